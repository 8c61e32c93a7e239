//! Recorded times of single steps and operations, beside those of another program that did the same work in turns.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use l0_files::At;
use l0_record::Machine;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Align, Result, Table};

/// What one benchmark measured, as in a file under `results/bench/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Where.
    pub machine: Machine,
    /// Revision of the code.
    pub revision: Option<String>,
    /// When, as [`now`](l0_record::now) writes it.
    pub when: String,
    /// Version of PyTorch, if it was there.
    pub torch: Option<String>,
    /// Threads of ours, and most threads of the other's.
    pub threads: usize,
    /// Speed of a product of matrices of 1024 x 1024, in GFLOP/s.
    pub matmul_gflops: f64,
    /// What was timed.
    pub rows: Vec<Timing>,
}

/// The times of one piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// What the work is.
    pub row: String,
    /// Our median over the other's best one; none if there was no other.
    pub ratio: Option<f64>,
    /// Our times, in ms.
    pub ours_ms: Spread,
    /// The work's arithmetic at the speed of the product, in ms.
    pub floor_ms: f64,
    /// The other's times, in ms, in each way it was run.
    pub peer: Vec<PeerTiming>,
}

/// The times of the other program, run in one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerTiming {
    /// Which way, as "compiled, 2 threads".
    pub name: String,
    /// Its times, in ms.
    pub ms: Spread,
}

/// The middle and the ends of some numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The one in the middle, or the mean of two.
    pub median: f64,
    /// The largest.
    pub max: f64,
    /// How many there are.
    pub n: usize,
}

impl Spread {
    /// Of these numbers; not numbers if there are none.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        let median = 0.5 * (at(last / 2) + at(last.div_ceil(2)));
        Self { min: at(0), median, max: at(last), n: values.len() }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{:.2} ({:.2}..{:.2})", self.median, self.min, self.max))
    }
}

impl Timing {
    /// From our times and the other's.
    pub fn new(row: &str, ours_ms: Spread, floor_ms: f64, peer: Vec<PeerTiming>) -> Self {
        let mut timing = Self { row: row.into(), ratio: None, ours_ms, floor_ms, peer };
        timing.ratio = timing.best().map(|best| ours_ms.median / best.ms.median);
        timing
    }

    /// The fastest way in which the other was run.
    pub fn best(&self) -> Option<&PeerTiming> {
        self.peer.iter().min_by(|a, b| a.ms.median.total_cmp(&b.ms.median))
    }
}

/// The latest comparison of each piece of work in the files of a folder, as Markdown: a table, and under it how it was
/// made. Empty if the folder holds none.
///
/// # Errors
/// If the folder or a file cannot be read, or a file is not what a benchmark writes.
pub(crate) fn speed_table(folder: &Path) -> Result<String> {
    let mut all: Vec<Timings> = read_folder(folder, "what `just bench` writes")?;
    all.sort_by(|a, b| a.when.cmp(&b.when));
    let mut latest: BTreeMap<&str, (&Timings, &Timing)> = BTreeMap::new();
    for timings in &all {
        for row in timings.rows.iter().filter(|row| row.ratio.is_some()) {
            latest.insert(&row.row, (timings, row));
        }
    }
    if latest.is_empty() {
        return Ok(String::new());
    }
    let versions = distinct(latest.values().filter_map(|(timings, _)| timings.torch.clone()));
    let machines = distinct(latest.values().map(|(timings, _)| timings.machine.describe()));
    Ok(format!(
        "{}\nMedians (least to most), taken in turns with the better of PyTorch {} eager and compiled (convolutions: \
         eager), with one thread and with all. {}.\n",
        table(latest.into_values()).markdown(),
        versions.join(" and "),
        machines.join("; ")
    ))
}

fn table<'a>(comparisons: impl Iterator<Item = (&'a Timings, &'a Timing)>) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("work", Left),
        ("ratio", Right),
        ("ours, ms", Right),
        ("PyTorch, ms", Right),
        ("its best", Left),
        ("day", Left),
    ]);
    for (timings, row) in comparisons {
        let Some((best, ratio)) = row.best().zip(row.ratio) else { continue };
        let day = timings.when.get(..10).unwrap_or(&timings.when).to_string();
        let (ours, theirs) = (row.ours_ms.to_string(), best.ms.to_string());
        table.push([row.row.clone(), format!("{ratio:.2}"), ours, theirs, best.name.clone(), day]);
    }
    table
}

/// All files of a folder that end in `.json`, in the order of their names; none if there is no such folder.
pub(crate) fn read_folder<T: DeserializeOwned>(folder: &Path, expected: &'static str) -> Result<Vec<T>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).at("read", folder)? {
        let path = entry.at("read", folder)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).at("read", &path)?;
        serde_json::from_str(&text).map_err(|error| {
            l0_record::Error::Parse { path, line: error.line(), message: error.to_string(), expected }.into()
        })
    };
    paths.into_iter().map(read).collect()
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut found = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timings(when: &str, rows: Vec<Timing>) -> Timings {
        let (machine, torch) = (Machine { cpu: "a".into(), ..Machine::default() }, Some("2".to_string()));
        Timings { machine, revision: None, when: when.into(), torch, threads: 2, matmul_gflops: 1.0, rows }
    }

    #[test]
    fn the_latest_comparison_of_each_work_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(speed_table(folder.path()).unwrap(), "");
        assert_eq!(speed_table(&folder.path().join("missing")).unwrap(), "");
        let row = |name, ours, peer: &[f64]| {
            let peer = peer.iter().map(|&ms| PeerTiming { name: format!("way {ms}"), ms: Spread::of(vec![ms]) });
            Timing::new(name, Spread::of(vec![ours]), 1.0, peer.collect())
        };
        let files = [
            timings("2026-01-02", vec![row("b", 1.0, &[4.0, 2.0])]),
            timings("2026-01-03", vec![row("b", 5.0, &[]), row("a", 3.0, &[4.0])]),
            timings("2026-01-01", vec![row("b", 9.0, &[1.0])]),
        ];
        for (i, file) in files.iter().enumerate() {
            fs::write(folder.path().join(format!("{i}.json")), serde_json::to_string(file).unwrap()).unwrap();
        }
        let table = speed_table(folder.path()).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[2].starts_with("| a ") && lines[2].contains("0.75"), "{table}");
        assert!(lines[3].contains("0.50") && lines[3].contains("way 2") && lines[3].contains("2026-01-02"), "{table}");
        assert_eq!(lines[4], "", "{table}");
        fs::write(folder.path().join("3.json"), "{}").unwrap();
        assert!(speed_table(folder.path()).unwrap_err().to_string().contains("3.json"));
    }

    #[test]
    fn a_spread_is_of_the_numbers_in_order() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0, n: 3 });
        assert!(Spread::of(vec![]).median.is_nan());
    }
}
