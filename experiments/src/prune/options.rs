//! Which option of the command line makes a run another one than that in its folder.

use std::path::Path;

use anyhow::Error;
use l0_record::compare::{Difference, differences, settled, shown};
use l0_record::{RunHeader, read_run};
use serde_json::{Value, json};

/// What the command line calls the settings of a run: those first from which others follow.
const OPTIONS: [(&str, &str); 18] = [
    ("config.brought", "network"),
    ("config.tested_on", "--validation"),
    ("data", "--data or --normalise"),
    ("config.normalise", "--normalise, --mean or --std"),
    ("config.training.epochs", "--epochs"),
    ("config.training.batch_size", "--batch-size"),
    ("config.training.frozen_epochs", "--learning-epochs"),
    ("config.residual_stream", "--residual-stream"),
    ("config.gates", "--only, --except or --gate-inputs"),
    ("config.training.optimiser.kind", "--optimiser"),
    ("config.training.optimiser", "--learning-rate"),
    ("config.training.weight_decay", "--weight-decay"),
    ("config.objective.constraint.fit.fill.multiple", "--round"),
    ("config.objective.constraint.fit", "--ranking"),
    ("config.augment", "--shift"),
    ("config.teacher", "--distill"),
    ("config.distillation", "--distill"),
    ("machine", "--precision"),
];

/// Longer values than this say nothing at a glance.
const SHORT: usize = 12;

/// What was asked for otherwise than of the run in a folder, as an error that names the option; `None` if no option says
/// it.
pub(super) fn another(folder: &Path, asked: &RunHeader) -> Option<Error> {
    let stored = read_run(folder).ok()?.header;
    let found = differences(&identity(&stored), &identity(asked));
    let of = |key: &str| found.iter().find(|difference| difference.path.starts_with(key));
    let (option, difference) = OPTIONS.iter().find_map(|(key, option)| Some((option, of(key)?)))?;
    Some(anyhow::anyhow!(
        "{} holds a run with another {option}{}; give the same again, or another --out",
        folder.display(),
        values(difference)
    ))
}

/// What makes a run this one and no other.
fn identity(header: &RunHeader) -> Value {
    json!({
        "config": settled(&header.config),
        "data": header.data.sha256,
        "machine": header.machine.precision(),
    })
}

/// " (0.1, not 0.2)", where both are short.
fn values(difference: &Difference) -> String {
    let short = |value: &Option<Value>| {
        let is_one = value.as_ref().is_some_and(|value| !value.is_object() && !value.is_array() && !value.is_null());
        Some(shown(value.as_ref())).filter(|text| is_one && text.len() <= SHORT)
    };
    match (short(&difference.left), short(&difference.right)) {
        (Some(stored), Some(asked)) => format!(" ({stored}, not {asked})"),
        _ => String::new(),
    }
}
