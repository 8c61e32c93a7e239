//! How a constraint was met.

use l0_record::{EpochRow, Named, Run, RunHeader};
use serde_json::Value;

use super::shared::{Curve, epoch, shown, slug};
use crate::plot::{Axis, Chart, Color, Figure};
use crate::{Group, notes};

/// The multipliers of a group's constraints over the epochs, and how far each was from holding.
pub fn constraint(network: &str, group: &Group) -> Figure {
    let chart = |label: &str, names: Vec<String>, value: fn(&Run, &EpochRow, &str) -> Option<f64>| {
        let chart = Chart::new("", Axis::count("epoch"), Axis::linear(label));
        names.iter().enumerate().fold(chart, |chart, (index, name)| {
            let curve = Curve::of(group, epoch, |run, row| value(run, row, name));
            let [band, line] = curve.marks();
            chart.with("", Color::Own(index), band).with(name, Color::Own(index), line)
        })
    };
    let multipliers = chart("multiplier", names(group, |row| &row.multipliers), multiplier);
    let violations = chart("density less its target", names(group, |row| &row.violations), violation);
    Figure {
        name: slug(&["constraint", network, &group.header().recipe, &group.short_settings()]),
        title: format!("{network}, {}: how the target is met", group.marked_label()),
        caption: caption(&Held::of(group.header())),
        charts: vec![multipliers, violations],
        height: 260.0,
        notes: notes(std::slice::from_ref(group)),
        ..Figure::default()
    }
}

/// What a reader must know of this kind of constraint.
fn caption(held: &Held) -> String {
    let mut text = String::from(
        "Left, the multiplier of each constraint, which grows while its bound is exceeded. Right, the density less its \
         target: at or below zero the target is met.",
    );
    if held.is_gradual() {
        text += " The bound comes down to its target over the epochs in which gates learn: that the target is exceeded \
                 then is no violation.";
    }
    match held.frozen_after {
        Some(last) => {
            text += &format!(
                " Up to epoch {last} gates learn, and the density is the expected one; after it they are frozen, and it is \
                 the share that is kept at test time, where that is known."
            );
        }
        None => text += " The density is the expected one.",
    }
    text
}

/// What a run's settings say of its constraint.
struct Held<'a> {
    constraint: &'a Value,
    /// The last epoch in which gates learn, if they are frozen after it.
    frozen_after: Option<u64>,
}

impl<'a> Held<'a> {
    fn of(header: &'a RunHeader) -> Self {
        let setting = |path| header.config.pointer(path);
        // Earlier versions had it among the settings of the training.
        let constraint = setting("/objective/constraint").or_else(|| setting("/training/constraint"));
        let number = |path| setting(path).and_then(Value::as_u64);
        let frozen = number("/training/frozen_epochs").filter(|&frozen| frozen > 0);
        let frozen_after = number("/training/epochs").zip(frozen).map(|(all, frozen)| all.saturating_sub(frozen));
        Self { constraint: constraint.unwrap_or(&Value::Null), frozen_after }
    }

    fn is_gradual(&self) -> bool {
        self.constraint["gradual"] == true
    }

    /// The target of a constraint; those of layers stand in the order of the row.
    fn target(&self, row: &EpochRow, name: &str) -> Option<f64> {
        let targets = &self.constraint["targets"];
        let of_layer = || targets["layers"].get(row.violations.get_index_of(name)?)?.as_f64();
        targets["model"].as_f64().or_else(of_layer)
    }

    /// The share that is kept at test time, where a row tells it.
    fn kept(&self, run: &Run, row: &EpochRow, name: &str) -> Option<f64> {
        let outcome = &run.header.outcome;
        if self.constraint["targets"]["layers"].is_array() {
            // A file may say anything: the sum may be larger than a number.
            let gates = row.gates.get(name)?.iter().fold(0, |sum: u64, &gates| sum.saturating_add(gates));
            return share(*row.open.get(name)?, gates);
        }
        if self.constraint["quantity"] == "macs" {
            return share(row.hard_macs?, outcome.macs_total?);
        }
        // A row counts parameters, not weights: where it has those of the end, it has the weights of the end.
        if row.hard_params? != outcome.params_kept? {
            return None;
        }
        share(outcome.weights_kept?, outcome.weights_total?)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn multiplier(_: &Run, row: &EpochRow, name: &str) -> Option<f64> {
    row.multipliers.get(name).copied()
}

/// By how much a constraint was above its target. Once gates are frozen, what is expected of them means nothing any more,
/// though older runs have recorded it: then the share that is kept counts, or nothing.
fn violation(run: &Run, row: &EpochRow, name: &str) -> Option<f64> {
    let recorded = *row.violations.get(name)?;
    let held = Held::of(&run.header);
    match held.frozen_after {
        Some(last) if row.epoch > last => Some(held.kept(run, row, name)? - held.target(row, name)?),
        _ => Some(recorded),
    }
}

fn names(group: &Group, values: fn(&EpochRow) -> &Named<f64>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in shown(group).iter().flat_map(|run| run.rows.iter()).flat_map(|row| values(row).keys()) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use l0_record::Outcome;
    use serde_json::json;

    /// A run of 9 epochs, the last 4 with frozen gates, held to what is said.
    fn run(constraint: Value) -> Run {
        let config =
            json!({ "objective": { "constraint": constraint }, "training": { "epochs": 9, "frozen_epochs": 4 } });
        let outcome = Outcome {
            params_kept: Some(11),
            weights_total: Some(100),
            weights_kept: Some(10),
            macs_total: Some(1000),
            ..Outcome::default()
        };
        Run {
            path: "seed-1".into(),
            header: RunHeader { outcome, ..RunHeader::new("held", 1, config) },
            rows: Vec::new(),
            gates: Named::default(),
            warnings: Vec::new(),
        }
    }

    fn row(epoch: u64, names: &[&str]) -> EpochRow {
        EpochRow {
            epoch,
            violations: names.iter().map(|name| ((*name).into(), 0.25)).collect(),
            hard_params: Some(11),
            hard_macs: Some(500),
            open: [("a".into(), 2), ("b".into(), 1)].into(),
            gates: [("a".into(), vec![2, 2]), ("b".into(), vec![3, 1])].into(),
            ..EpochRow::default()
        }
    }

    #[test]
    fn once_gates_are_frozen_the_share_that_is_kept_counts() {
        let weights = run(json!({ "quantity": "weights", "targets": { "model": 0.1 } }));
        let at = |run: &Run, epoch, name| violation(run, &row(epoch, &["params", "macs"]), name);
        assert_eq!([5, 6].map(|epoch| at(&weights, epoch, "params")), [Some(0.25), Some(0.0)]);
        let macs = run(json!({ "quantity": "macs", "targets": { "model": 0.5 } }));
        assert_eq!([5, 9].map(|epoch| at(&macs, epoch, "macs")), [Some(0.25), Some(0.0)]);
        let layers = run(json!({ "quantity": "weights", "targets": { "layers": [0.5, 0.125] } }));
        let each = ["a", "b"].map(|name| violation(&layers, &row(6, &["a", "b"]), name));
        assert_eq!(each, [Some(0.0), Some(0.125)]);
    }

    #[test]
    fn what_a_row_does_not_tell_is_not_drawn() {
        let weights = run(json!({ "quantity": "weights", "targets": { "model": 0.1 } }));
        let other = EpochRow { hard_params: Some(12), ..row(6, &["params"]) };
        assert_eq!(violation(&weights, &other, "params"), None);
        assert_eq!(violation(&weights, &row(6, &["params"]), "macs"), None);
        assert_eq!(violation(&run(Value::Null), &row(6, &["params"]), "params"), None);
    }

    #[test]
    fn a_caption_says_which_bound_is_in_force() {
        let gradual = run(json!({ "gradual": true, "targets": { "model": 0.1 } }));
        let said = caption(&Held::of(&gradual.header));
        assert!(said.contains("comes down to its target") && said.contains("Up to epoch 5 gates learn"), "{said}");
        let plain = caption(&Held::of(&RunHeader::new("held", 1, Value::Null)));
        assert!(!plain.contains("comes down") && plain.ends_with("the expected one."), "{plain}");
    }
}
