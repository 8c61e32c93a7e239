//! How long ONNX files take in onnxruntime, where there is a Python that has it.

use std::path::PathBuf;
use std::process::Command;

/// Times of one file with so many threads and so many examples at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// The file's name without its ending.
    pub name: String,
    /// Threads.
    pub threads: usize,
    /// Examples.
    pub batch: usize,
    /// Milliseconds of a call.
    pub median: f64,
}

/// The times of some files, measured by turns; `None` where `python` has no onnxruntime or cannot be started.
pub fn times(python: &str, files: &[PathBuf]) -> Option<Vec<Timing>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/onnxruntime_latency.py");
    let output = Command::new(python).arg(script).args(files).output().ok()?;
    let said = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(said.lines().filter_map(timing).collect())
}

/// The times that a line of the script's table holds.
fn timing(line: &str) -> Option<Timing> {
    let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").map(str::trim).collect();
    let [name, threads, batch, median, _] = cells[..] else { return None };
    let (threads, batch, median) = (threads.parse().ok()?, batch.parse().ok()?, median.parse().ok()?);
    Some(Timing { name: name.into(), threads, batch, median })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table_are_read_and_others_are_not() {
        let read = timing("| net.int8 | 1 | 64 | 0.2500 | 0.2400 |");
        assert_eq!(read, Some(Timing { name: "net.int8".into(), threads: 1, batch: 64, median: 0.25 }));
        assert_eq!(timing("| network | threads | batch | median ms | fastest ms |"), None);
        assert_eq!(timing("| --- | --- | --- | --- | --- |"), None);
    }
}
