//! Event files, so that TensorBoard can show a run while it is being trained.
//!
//! The file is a function of the header and the rows and holds nothing else, so a resumed run
//! writes it anew from the rows that remain and no point is ever in it twice.

mod message;
mod record;

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use l0_files::{At, Existing};

use crate::{EpochRow, Result, RunHeader, time};
use message::{Event, Value};

/// How the names of event files begin: TensorBoard knows them by it. Between this and the end is when the run began.
const PREFIX: &str = "events.out.tfevents.";

/// How ours end.
const SUFFIX: &str = ".l0";

/// Writes the events of `rows` anew and opens the file for those that follow.
pub(crate) fn rewrite(folder: &Path, header: &RunHeader, rows: &[EpochRow]) -> Result<File> {
    let path = path(folder, header);
    l0_files::write(&path, &file(header, rows), Existing::Replace)?;
    Ok(File::options().append(true).open(&path).at("open", &path)?)
}

/// Where the events of a run are.
pub(crate) fn path(folder: &Path, header: &RunHeader) -> PathBuf {
    folder.join(format!("{PREFIX}{}{SUFFIX}", start(header)))
}

/// Whether a file has the name of one that holds the events of a run.
pub(crate) fn is_events(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

/// The whole file.
fn file(header: &RunHeader, rows: &[EpochRow]) -> Vec<u8> {
    let mut bytes = record::framed(&Event::version(start(header) as f64).encode());
    bytes.extend(rows.iter().flat_map(|row| events(header, row)));
    bytes
}

/// What a row adds to the file.
pub(crate) fn events(header: &RunHeader, row: &EpochRow) -> Vec<u8> {
    let wall_time = start(header) as f64 + row.seconds;
    let event = Event::summary(wall_time, row.step, values(row));
    record::framed(&event.encode())
}

fn start(header: &RunHeader) -> u64 {
    time::parse(&header.start).unwrap_or(0)
}

fn values(row: &EpochRow) -> Vec<Value> {
    let count = |n: Option<u64>| n.map(|n| n as f64);
    let scalars = [
        ("loss/train", Some(row.train_loss)),
        ("loss/test", row.test_loss),
        ("loss/penalty", Some(row.penalty)),
        ("error_percent/train", row.train_error_percent),
        ("error_percent/test", row.test_error_percent),
        ("rmse/test", row.test_rmse),
        ("r2/test", row.test_r2),
        ("learning_rate", Some(row.learning_rate)),
        ("expected/l0", row.expected_l0),
        ("expected/params", row.expected_params),
        ("expected/macs", row.expected_macs),
        ("hard/params", count(row.hard_params)),
        ("hard/macs", count(row.hard_macs)),
        ("step_ms", row.step_ms),
    ];
    let scalars = scalars.into_iter().filter_map(|(tag, x)| Some(Value::scalar(tag.into(), x?)));
    let open = under("open", row.open.iter().map(|(name, n)| (name, *n as f64)));
    let multipliers = under("multiplier", row.multipliers.iter().map(|(name, x)| (name, *x)));
    let violations = under("violation", row.violations.iter().map(|(name, x)| (name, *x)));
    let gates = row.gates.iter().map(|(name, bins)| Value::histogram(format!("gates/{name}"), bins));
    scalars.chain(open).chain(multipliers).chain(violations).chain(gates).collect()
}

fn under<'a>(group: &'a str, values: impl Iterator<Item = (&'a String, f64)>) -> impl Iterator<Item = Value> {
    values.map(move |(name, x)| Value::scalar(format!("{group}/{name}"), x))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<EpochRow> {
        let row = |epoch| EpochRow {
            epoch,
            step: 600 * epoch,
            seconds: 2.5 * epoch as f64,
            train_loss: 1.0 / epoch as f64,
            open: [("fc1".into(), 219)].into(),
            gates: [("fc1".into(), vec![3, 0, 1])].into(),
            ..EpochRow::default()
        };
        (1..4).map(row).collect()
    }

    #[test]
    fn a_row_only_adds_to_the_file() {
        let header = RunHeader::new("mlp-l0", 1, serde_json::Value::Null);
        let rows = rows();
        let mut grown = file(&header, &rows[..1]);
        rows[1..].iter().for_each(|row| grown.extend(events(&header, row)));
        assert_eq!(grown, file(&header, &rows));
    }

    #[test]
    fn what_was_not_measured_has_no_point() {
        let tags: Vec<String> = values(&rows()[0]).into_iter().map(|value| value.tag).collect();
        assert!(!tags.iter().any(|tag| tag == "error_percent/test"));
        assert!(tags.iter().any(|tag| tag == "open/fc1") && tags.iter().any(|tag| tag == "gates/fc1"));
    }
}
