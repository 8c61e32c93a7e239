//! What a run was asked to keep of its network, beside what it kept.
//!
//! A target that was missed, or a lambda that closed next to nothing, is no failure of the program, but whoever reads
//! the error of such a run must not take it for that of a network of the size that was asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use l0::{Constraint, Estimator, GatedNet, Lambda, Objective, Pressure, Quantity, Targets};
use l0_net::Weights;
use l0_record::compare::settled;
use l0_record::{Reference, Run, Status};
use l0_report::Collection;
use serde::Deserialize;
use serde_json::Value;

use crate::{Recipe, config, old, published, recipes};

/// By how much a kept share may be above the one that was asked for: at most two points, or half of it. Training presses
/// on what is expected of the gates, and what the estimator counts at the end lies a little above or below; a pruning of
/// a network that was brought keeps as many channels as fit, and has no such margin ([`crate::prune::Page`]).
const MARGIN: f64 = 0.02;

/// The share of all gates below which a lambda did next to nothing.
const NEXT_TO_NOTHING: f64 = 0.01;

/// What is left of a network at test time.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// Share of the weights.
    pub weights: f64,
    /// Share of the multiply-accumulates.
    pub macs: f64,
    /// Each set of gates.
    pub gates: Vec<Open>,
}

/// A set of gates at test time.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// The layer it belongs to.
    pub layer: String,
    /// How many gates are not 0.
    pub open: u64,
    /// How many there are.
    pub all: u64,
}

impl Left {
    /// Of a finished run, by its files.
    pub fn of_run(run: &Run) -> Option<Self> {
        let (outcome, last) = (&run.header.outcome, run.rows.last()?);
        let open = |layer: &str| last.open.get(layer).copied();
        let gates = last.gates.iter().filter_map(|(layer, bins)| {
            let all = bins.iter().fold(0, |all: u64, &bin| all.saturating_add(bin)); // a file may say anything
            Some(Open { layer: layer.into(), open: open(layer)?.min(all), all })
        });
        Some(Self {
            weights: outcome.weights_kept_percent()? / 100.0,
            macs: outcome.macs_kept_percent()? / 100.0,
            gates: gates.collect(),
        })
    }

    /// Of a network with gates, read by an estimator.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn of_network(network: &GatedNet, weights: &Weights, estimator: Estimator) -> Result<Self> {
        let pruned = network.pruned(weights, estimator)?;
        let (left, all) = (&pruned.cost, network.net().cost());
        let gates = pruned.open.iter().zip(network.gated_units());
        let gates = gates.map(|((layer, open), all)| Open { layer: layer.into(), open: *open as u64, all: all as u64 });
        Ok(Self {
            weights: left.weights() as f64 / all.weights() as f64,
            macs: left.macs() as f64 / all.macs() as f64,
            gates: gates.collect(),
        })
    }

    fn share(&self, quantity: Quantity) -> f64 {
        match quantity {
            Quantity::Weights => self.weights,
            Quantity::Macs => self.macs,
        }
    }
}

/// What was asked for and what was kept, in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Both, as "asked 20 % of the weights, kept 71.52 %".
    pub said: String,
    /// If more was kept than was asked for, the word for it.
    pub missed: Option<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.missed {
            Some(word) => write!(f, "{}: {word}", self.said),
            None => f.write_str(&self.said),
        }
    }
}

/// Holds what is left of a network against what a run's settings ask for; nothing if they ask for nothing, or are not
/// those of our recipes.
pub fn verdict(config: &Value, left: &Left) -> Option<Verdict> {
    match Objective::deserialize(&old::upgraded(config)["objective"]).ok()?.gates {
        Pressure::Constraint(Constraint { targets: Targets::Model(target), quantity, .. }) => {
            Some(of_model(target, quantity, left))
        }
        Pressure::Constraint(Constraint { targets: Targets::Layers(targets), .. }) => Some(of_layers(&targets, left)),
        Pressure::Price(lambdas) => of_price(&lambdas, left),
    }
}

/// The same of a finished run.
pub fn of_run(run: &Run) -> Option<Verdict> {
    verdict(&run.header.config, &Left::of_run(run)?)
}

/// All runs below a folder, with settings that can be compared, a remark on those that missed what they were asked for or
/// had more epochs than their recipe, and which have the settings of their recipe.
///
/// # Errors
/// As [`Collection::read`].
pub fn collection(root: &Path) -> Result<Collection> {
    let mut collection = Collection::read(root)?;
    old::align(collection.runs.iter_mut().map(|run| &mut run.header.config).collect());
    let known = published::rows();
    for reference in collection.runs.iter_mut().filter_map(|run| run.header.reference.as_mut()) {
        // What is known of the published row by now, in place of what a run of earlier wrote down.
        let is_it = |row: &&Reference| {
            (&row.network, &row.label, &row.source) == (&reference.network, &reference.label, &reference.source)
        };
        if let Some(found) = known.iter().find(is_it) {
            *reference = found.clone();
        }
    }
    let finished = collection.runs.iter().filter(|run| run.header.status == Status::Finished);
    let remarked = finished.filter_map(|run| Some((run.path.clone(), remark(run)?)));
    let remarks: BTreeMap<PathBuf, String> = remarked.collect();
    collection.remarks = remarks;
    collection.own_settings =
        collection.runs.iter().filter(|run| has_own_settings(run)).map(|run| run.path.clone()).collect();
    Ok(collection)
}

/// What a reader of a run's error must know besides.
fn remark(run: &Run) -> Option<String> {
    let missed = of_run(run).filter(|verdict| verdict.missed.is_some()).map(|verdict| verdict.to_string());
    let said: Vec<String> = missed.into_iter().chain(longer(run)).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// That a run had more epochs than its recipe, if it had; that it had fewer stands in its header.
fn longer(run: &Run) -> Option<String> {
    let epochs = run.header.config.pointer("/training/epochs")?.as_u64()?;
    let usual = recipes::named(&run.header.recipe)?.training.epochs;
    (epochs > usual).then(|| format!("{epochs} epochs in place of {usual}"))
}

/// Whether a run has the settings that the recipe of its name has now, in whatever layout, and is no smaller.
fn has_own_settings(run: &Run) -> bool {
    let (recipe, found) = (recipes::named(&run.header.recipe), config::of_run(&run.header).ok());
    let settings = |recipe: &Recipe| (settled(&recipe.config()), recipe.scaled_down.clone());
    recipe.zip(found).is_some_and(|(recipe, found)| settings(&recipe) == settings(&found))
}

fn of_model(target: f64, quantity: Quantity, left: &Left) -> Verdict {
    let (kept, what) = (left.share(quantity), named(quantity));
    let missed = (kept > target + margin(target)).then(|| "missed".into());
    Verdict { said: format!("asked {} % of the {what}, kept {:.2} %", percent(target), 100.0 * kept), missed }
}

fn of_layers(targets: &[f64], left: &Left) -> Verdict {
    let shares: Vec<f64> = left.gates.iter().map(|gates| gates.open as f64 / gates.all.max(1) as f64).collect();
    // Gates are whole: of a few, half of one is many points.
    let slack = |target: f64, gates: &Open| margin(target) + 0.5 / gates.all.max(1) as f64;
    let each = targets.iter().zip(&left.gates).zip(&shares);
    let missed = each.filter(|((target, gates), share)| **share > *target + slack(**target, gates));
    let missed: Vec<&str> = missed.map(|((_, gates), _)| gates.layer.as_str()).collect();
    let listed = |shares: &[f64]| shares.iter().map(|share| percent(*share)).collect::<Vec<_>>().join(", ");
    let said = format!("asked {} % of the gates, kept {} %", listed(targets), listed(&shares));
    Verdict { said, missed: (!missed.is_empty()).then(|| format!("missed in {}", missed.join(", "))) }
}

/// Of a lambda there is something to say only if it did next to nothing.
fn of_price(lambdas: &[Lambda], left: &Left) -> Option<Verdict> {
    let sum = |of: fn(&Open) -> u64| left.gates.iter().fold(0, |sum: u64, gates| sum.saturating_add(of(gates)));
    let (all, closed) = (sum(|gates| gates.all), sum(|gates| gates.all - gates.open));
    let is_priced = lambdas.iter().any(|lambda| lambda.value() > 0.0);
    let is_missed = is_priced && (closed as f64) < NEXT_TO_NOTHING * all as f64;
    is_missed.then(|| Verdict {
        said: format!("lambda closed {closed} of {all} gates"),
        missed: Some("next to nothing".into()),
    })
}

fn margin(target: f64) -> f64 {
    MARGIN.min(0.5 * target)
}

/// What a target of this quantity is a share of.
fn named(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Weights => "weights",
        Quantity::Macs => "MACs",
    }
}

/// A share in percent, with no more digits than it takes: 20, 12.5.
fn percent(share: f64) -> String {
    let rounded = (1e4 * share).round() / 100.0;
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use l0_record::{Outcome, RunFolder, RunHeader};
    use serde_json::json;

    use super::*;

    fn left(weights: f64, open: [u64; 2]) -> Left {
        let gates = [("conv", open[0], 20), ("fc", open[1], 800)];
        let gates = gates.map(|(layer, open, all)| Open { layer: layer.into(), open, all });
        Left { weights, macs: 0.9, gates: gates.to_vec() }
    }

    fn held_to(targets: Value, quantity: &str) -> Value {
        let constraint = json!({ "targets": targets, "quantity": quantity, "learning_rate": 1e-4, "restart": true });
        json!({ "objective": { "weight_decay": 0.0, "constraint": constraint } })
    }

    fn said(config: &Value, left: &Left) -> String {
        verdict(config, left).map_or(String::new(), |verdict| verdict.to_string())
    }

    #[test]
    fn a_target_is_held_against_what_was_kept_of_the_same_quantity() {
        let weights = held_to(json!({ "model": 0.2 }), "weights");
        assert_eq!(said(&weights, &left(0.7152, [20, 800])), "asked 20 % of the weights, kept 71.52 %: missed");
        assert_eq!(said(&weights, &left(0.2199, [20, 800])), "asked 20 % of the weights, kept 21.99 %");
        let macs = held_to(json!({ "model": 0.2 }), "macs");
        assert_eq!(said(&macs, &left(0.2, [20, 800])), "asked 20 % of the MACs, kept 90.00 %: missed");
        let few = held_to(json!({ "model": 0.01 }), "weights"); // two points would be three times as much
        assert_eq!(said(&few, &left(0.029, [20, 800])), "asked 1 % of the weights, kept 2.90 %: missed");
    }

    #[test]
    fn targets_of_layers_are_shares_of_their_gates() {
        let layers = held_to(json!({ "layers": [0.5, 0.125] }), "weights");
        assert_eq!(said(&layers, &left(0.9, [10, 100])), "asked 50, 12.5 % of the gates, kept 50, 12.5 %");
        let missed = "asked 50, 12.5 % of the gates, kept 50, 50 %: missed in fc";
        assert_eq!(said(&layers, &left(0.0, [10, 400])), missed);
    }

    /// Longer runs of a recipe stand beside its own, and must not pass for them.
    #[test]
    fn a_run_of_more_epochs_than_its_recipe_has_a_remark_and_other_settings() {
        let root = tempfile::tempdir().unwrap();
        let row = recipes::named("mlp-l0").unwrap();
        let rows = [
            ("own", row.clone()),
            ("held out", row.clone().with_caveat("tested on held-out images")),
            ("longer", row.with_epochs(400)),
        ];
        for (name, row) in rows {
            let scaled_down = row.scaled_down.clone();
            let header = RunHeader { scaled_down, ..RunHeader::new(&row.name, 1, row.config()) };
            RunFolder::create(root.path().join(name), &header).unwrap().finish(Outcome::default()).unwrap();
        }
        let found = collection(root.path()).unwrap();
        assert_eq!(found.own_settings.iter().collect::<Vec<_>>(), [&root.path().join("own")]);
        let remarks: Vec<_> = found.remarks.iter().map(|(path, said)| (path.clone(), said.as_str())).collect();
        assert_eq!(remarks, [(root.path().join("longer"), "400 epochs in place of 200")]);
    }

    #[test]
    fn of_a_price_only_what_did_nothing_is_worth_a_word() {
        let priced =
            |lambda: f64| json!({ "objective": { "weight_decay": 0.0, "lambdas": [{ "per-weight": lambda }] } });
        assert_eq!(said(&priced(0.1), &left(1.0, [20, 799])), "lambda closed 1 of 820 gates: next to nothing");
        assert_eq!(said(&priced(0.1), &left(1.0, [12, 799])), "");
        assert_eq!(said(&priced(0.0), &left(1.0, [20, 800])), "");
        assert_eq!(said(&json!({ "training": 3 }), &left(1.0, [20, 800])), "");
        assert_eq!(said(&json!(null), &left(1.0, [20, 800])), "");
    }
}
