//! The settings of a training that nobody has chosen: they do for a few hundred examples as for many.

use anyhow::{Context, Result, bail, ensure};
use l0::{Constraint, Estimator, Filling, Fit, Lambda, Objective, Quantity, Targets};
use l0_train::Training;
use serde_json::{Map, Value, json};

/// The chance of a gate to be closed at first.
pub(super) const DROPRATE: f64 = 0.2;

/// Steps of a training, as long as it has [`EPOCHS`].
const STEPS: u64 = 4000;
/// Fewest and most epochs.
const EPOCHS: (u64, u64) = (10, 100);
/// From so many examples on, batches are the larger.
const MANY: usize = 10_000;
/// Images in a batch of few examples, and of many.
const BATCH: (u64, u64) = (32, 128);

/// By how much log alpha of a gate can fall in all steps: from where gates begin to well below where they close.
const FALL: f64 = 20.0;
/// The range of the gates' learning rate.
const GATE_RATES: (f64, f64) = (1e-3, 0.1);
/// The step size of multipliers, times all steps: as where networks are held to densities on MNIST.
const MULTIPLIER: f64 = 12.0;
/// The density of weights that gates are brought to.
const DENSITY: f64 = 0.5;

/// What a file may say of what closes gates, and of weight decay beside it.
const OBJECTIVE: [&str; 6] = ["density", "macs", "lambdas", "constraint", "weight_decay", "l2"];

/// A training with what is asked for, and the usual beside it.
///
/// # Errors
/// If a setting has no meaning.
pub(super) fn training(asked: Map<String, Value>, n: usize, is_gated: bool, is_held: bool) -> Result<Training> {
    let number = |key: &str| asked.get(key).and_then(Value::as_u64).filter(|&n| n > 0);
    let batch = number("batch_size").unwrap_or(if n < MANY { BATCH.0 } else { BATCH.1 });
    let in_epoch = (n as u64).div_ceil(batch).max(1);
    let epochs = number("epochs").unwrap_or((STEPS / in_epoch).clamp(EPOCHS.0, EPOCHS.1));
    let gate_rate = (FALL / (epochs.saturating_mul(in_epoch)) as f64).clamp(GATE_RATES.0, GATE_RATES.1);
    let usual = json!({
        "epochs": epochs,
        "batch_size": batch,
        "optimiser": adam(2e-3),
        "gate_optimiser": adam(gate_rate),
        "schedule": { "kind": "one_cycle", "peak": 0.2 },
        "weight_decay": 1e-4,
        "average": 0.0,
        "sampling": "minibatch",
        "frozen_epochs": if is_gated { epochs / 2 } else { 0 },
    });
    let Value::Object(mut usual) = usual else { unreachable!("it is a table") };
    for (key, value) in asked {
        let value = match (key.as_str(), value) {
            ("optimiser" | "gate_optimiser", Value::Object(asked)) => Value::Object(optimiser(asked, usual.get(&key))),
            (_, value) => value,
        };
        usual.insert(key, value);
    }
    // Gates that are never frozen are never brought within a target: top-k keeps about as many as are expected.
    let is_free = usual.get("frozen_epochs").and_then(Value::as_u64) == Some(0);
    usual.entry("estimator").or_insert(if is_held && is_free { "top-k" } else { "mean" }.into());
    let training: Training = serde_json::from_value(Value::Object(usual.clone()))?;
    // Serde passes over every key beside the kind of a schedule that has no settings.
    let (asked, read) =
        (usual.get("schedule").and_then(Value::as_object), serde_json::to_value(training.schedule.clone())?);
    if let Some(unread) = asked.and_then(|asked| asked.keys().find(|key| read.get(key.as_str()).is_none())) {
        bail!("schedule: unknown field `{unread}` of the kind {}", read["kind"]);
    }
    Ok(training)
}

fn adam(learning_rate: f64) -> Value {
    json!({ "kind": "adam", "learning_rate": learning_rate, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8 })
}

/// An optimiser with what is asked of it; of another kind than the usual one, with that kind's usual constants.
fn optimiser(asked: Map<String, Value>, usual: Option<&Value>) -> Map<String, Value> {
    let sgd = json!({ "kind": "sgd", "momentum": 0.9, "nesterov": true });
    let muon = json!({ "kind": "muon", "momentum": 0.9, "adam_rate": 2e-3 });
    let base = match asked.get("kind").and_then(Value::as_str) {
        Some("sgd") => Some(&sgd),
        Some("muon") => Some(&muon),
        _ => usual,
    };
    let base = base.and_then(Value::as_object).cloned().unwrap_or_default();
    base.into_iter().chain(asked).collect()
}

/// The objective with what is asked for: lambdas, a constraint, or `density` or `macs`, the share of the weights or of
/// the multiply-accumulates to be kept.
///
/// # Errors
/// If a setting has no meaning.
pub(super) fn objective(mut asked: Map<String, Value>, training: &Training, n: usize) -> Result<Objective> {
    let unknown = asked.keys().find(|key| !OBJECTIVE.contains(&key.as_str()));
    if let Some(unknown) = unknown {
        bail!("unknown field `{unknown}`, expected one of {}", OBJECTIVE.join(", "));
    }
    if let Some(lambdas) = asked.get("lambdas") {
        serde_json::from_value::<Vec<Lambda>>(lambdas.clone()).with_context(|| {
            format!(
                "lambdas = {lambdas}, expected a list as [{{ per-weight = 0.1 }}]: one for all gates, or one for each \
                 layer that has some"
            )
        })?;
    }
    let (density, macs) = (asked.remove("density"), asked.remove("macs"));
    let is_said = asked.contains_key("lambdas") || asked.contains_key("constraint");
    let both = "density, macs, lambdas and constraint each close gates; choose one";
    ensure!(u8::from(density.is_some()) + u8::from(macs.is_some()) + u8::from(is_said) <= 1, "{both}");
    if !is_said {
        let quantity = if macs.is_some() { Quantity::Macs } else { Quantity::Weights };
        let share = macs.or(density).unwrap_or(json!(DENSITY));
        let share = share.as_f64().with_context(|| format!("density is {share}, expected a number from 0 to 1"))?;
        let steps = training.epochs.saturating_mul(training.steps_an_epoch(n));
        let learning_rate = MULTIPLIER / steps.max(1) as f64;
        let constraint = Constraint::new(Targets::Model(share), quantity, learning_rate);
        asked.insert("constraint".into(), serde_json::to_value(constraint)?);
    }
    // Lowered to a small target with all others, the gates that stay open would be worth next to nothing
    // (docs/decisions/042-targets.md); top-k would choose again among those that are filled in, and gates that never
    // freeze are not brought within a target at all.
    let is_filled = training.frozen_epochs > 0 && training.estimator != Estimator::TopK;
    if let (Some(Value::Object(constraint)), true) = (asked.get_mut("constraint"), is_filled) {
        constraint.entry("fit").or_insert(serde_json::to_value(Fit::Fill(Filling::default()))?);
    }
    asked.entry("weight_decay").or_insert(json!(0.0));
    Ok(serde_json::from_value(Value::Object(asked))?)
}
