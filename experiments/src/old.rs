//! Settings as versions before the [objective](l0::Objective) laid them out: lambdas, weight decay and L2 in the table
//! of the network, the constraint in that of the training. The headers of their runs are read as if they were written
//! now.

use std::path::Path;

use anyhow::Result;
use l0_record::{Error, RunHeader, read_run};
use serde_json::{Map, Value, json};

/// What to change in a recipe of such a version.
pub(crate) const HOW_TO_CHANGE: &str = "this is the layout of an earlier version; [model] is called [architecture] now, its \
    `architecture` is `kind`, and `gating` is \"dense\", \"dropout\" or \"l0\"; `lambdas`, `weight_decay` and `l2` of the \
    network and the `constraint` of the training belong to a table [objective] (--print-config shows that of a row)";

/// Whether a recipe is laid out as before.
pub(crate) fn is_old(text: &str) -> bool {
    text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("model"))
}

/// The settings of a run in the present layout; what is no old layout stays as it is.
pub fn upgraded(config: &Value) -> Value {
    let mut settings = config.clone();
    match upgrade(&mut settings) {
        Some(()) => settings,
        None => config.clone(),
    }
}

/// Brings settings of several runs to one layout. Where all are old they stay, so that a report on them stays what it
/// was.
pub(crate) fn align(configs: Vec<&mut Value>) {
    if configs.iter().any(|config| config.get("architecture").is_some()) {
        configs.into_iter().for_each(|config| *config = upgraded(config));
    }
}

fn upgrade(settings: &mut Value) -> Option<()> {
    let settings = settings.as_object_mut()?;
    let Some(Value::Object(mut model)) = settings.remove("model") else { return None };
    let constraint = settings.get_mut("training")?.as_object_mut()?.remove("constraint");
    let (kind, Value::Object(mut gating)) = (model.remove("architecture")?, model.remove("gating")?) else {
        return None;
    };
    let (gates, lambdas) = (gating.remove("kind")?, gating.remove("lambdas"));
    let (weight_decay, l2) = (model.remove("weight_decay"), model.remove("l2"));
    if gates == "l0" {
        let l2 = l2.unwrap_or_else(|| "attached".into());
        let weight_decay = gated_weight_decay(weight_decay.and_then(|value| value.as_f64()), &l2);
        let mut objective = Map::from_iter([("weight_decay".into(), weight_decay.into()), ("l2".into(), l2)]);
        match constraint {
            Some(constraint) => objective.insert("constraint".into(), with_quantity(constraint)),
            None => objective.insert("lambdas".into(), lambdas?),
        };
        settings.insert("objective".into(), objective.into());
    }
    model.extend([("kind".into(), kind), ("gating".into(), gates)]);
    settings.insert("architecture".into(), model.into());
    Some(())
}

/// That of a Wide ResNet was raised where gates felt it; no other network had one.
fn gated_weight_decay(weight_decay: Option<f64>, l2: &Value) -> f64 {
    let weight_decay = weight_decay.unwrap_or(0.0);
    if l2 == "attached" { weight_decay / (1.0 - l0_wide_resnet::DROPRATE) } else { weight_decay }
}

/// The share of the weights was called that of the params.
fn with_quantity(mut constraint: Value) -> Value {
    if constraint["quantity"] == "params" {
        constraint["quantity"] = json!("weights");
    }
    constraint
}

/// Checks that the run in `path`, with this header, has these settings, in whatever layout.
///
/// # Errors
/// The first that differs, as `config.training.epochs`.
pub(crate) fn check_config(path: &Path, header: &RunHeader, config: &Value) -> l0_record::Result<()> {
    let now = RunHeader { config: upgraded(&header.config), ..header.clone() };
    now.check_config(path, config).map_err(|error| match error {
        Error::Differs { path, field, stored, asked } => {
            Error::Differs { path, field: format!("config.{field}"), stored, asked } // as where whole headers differ
        }
        error => error,
    })
}

/// The header of a run that `path` holds, with its settings as they stand there if they say the same in an old layout:
/// then it is the same run.
///
/// # Errors
/// If they are of an old layout and say something else.
pub(crate) fn as_begun(path: &Path, header: RunHeader) -> Result<RunHeader> {
    let Ok(found) = read_run(path).map(|run| run.header) else { return Ok(header) };
    if upgraded(&found.config) == found.config {
        return Ok(header);
    }
    check_config(path, &found, &header.config)?;
    Ok(RunHeader { config: found.config, ..header })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes;

    fn old(model: &Value, training: Value) -> Value {
        let mut training = training;
        training["epochs"] = json!(3);
        json!({ "data": "mnist", "model": model, "training": training })
    }

    #[test]
    fn a_network_without_gates_has_no_objective() {
        let dense =
            json!({ "architecture": "wide_resnet", "sizes": 1, "gating": { "kind": "dense" }, "weight_decay": 5e-4 });
        let architecture = json!({ "kind": "wide_resnet", "sizes": 1, "gating": "dense" });
        let expected = json!({ "data": "mnist", "architecture": architecture, "training": { "epochs": 3 } });
        assert_eq!(upgraded(&old(&dense, json!({}))), expected);
    }

    #[test]
    fn prices_and_constraints_become_objectives() {
        let gating = json!({ "kind": "l0", "lambdas": [{ "per-weight": 0.1 }] });
        let mlp = json!({ "architecture": "mlp", "gating": gating });
        let priced = json!({ "weight_decay": 0.0, "l2": "attached", "lambdas": [{ "per-weight": 0.1 }] });
        assert_eq!(upgraded(&old(&mlp, json!({})))["objective"], priced);
        let wrn = json!({ "architecture": "wide_resnet", "gating": gating, "weight_decay": 5e-4 });
        assert_eq!(upgraded(&old(&wrn, json!({})))["objective"]["weight_decay"], json!(5e-4 / 0.7));
        let wrn = json!({ "architecture": "wide_resnet", "gating": gating, "weight_decay": 5e-4, "l2": "detached" });
        let held = upgraded(&old(&wrn, json!({ "constraint": { "quantity": "params", "restart": true } })));
        let constraint = json!({ "quantity": "weights", "restart": true });
        assert_eq!(held["objective"], json!({ "weight_decay": 5e-4, "l2": "detached", "constraint": constraint }));
        assert_eq!(held["training"], json!({ "epochs": 3 }));
    }

    #[test]
    fn an_old_run_beside_a_present_one_of_the_same_recipe_has_the_same_settings() {
        let now = recipes::named("mlp-l0").unwrap().config();
        let gating = json!({ "kind": "l0", "lambdas": [{ "per-weight": 0.1 }] });
        let model = json!({ "architecture": "mlp", "sizes": now["architecture"]["sizes"], "gating": gating });
        let before = json!({ "data": "mnist", "model": model, "training": now["training"] });
        let (mut alone, mut beside, mut present) = (before.clone(), before.clone(), now.clone());
        align(vec![&mut alone]);
        align(vec![&mut beside, &mut present]);
        assert_eq!((alone, &beside, &present), (before, &now, &now));
    }

    /// The committed runs are of the old layout, each with a seed of its own.
    #[test]
    fn every_committed_run_is_read_and_those_on_mnist_have_the_settings_of_their_recipes() {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results");
        let runs = l0_report::Collection::read(&results).unwrap().runs;
        assert!(runs.len() > 60, "{} runs", runs.len());
        for header in runs.into_iter().map(|run| run.header) {
            let recipe = crate::config::of_run(&header).unwrap();
            assert_eq!(upgraded(&header.config), recipe.config(), "{}", header.recipe);
            if header.config["data"] == "mnist" {
                assert_eq!(recipe.config(), recipes::named(&header.recipe).unwrap().config(), "{}", header.recipe);
            }
        }
    }

    #[test]
    fn whatever_else_a_header_says_stays() {
        for config in
            [json!(null), json!({ "model": 3 }), json!({ "training": 3 }), json!({ "model": {}, "training": {} })]
        {
            assert_eq!(upgraded(&config), config);
        }
        let now = recipes::quickstart().config();
        assert_eq!(upgraded(&now), now);
    }

    #[test]
    fn a_recipe_of_the_old_layout_is_refused_with_what_to_change() {
        let text = "name = \"mine\"\ndata = \"mnist\"\n[model]\narchitecture = \"mlp\"\n";
        let error = crate::config::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("[model] is called [architecture] now") && error.contains("[objective]"), "{error}");
    }
}
