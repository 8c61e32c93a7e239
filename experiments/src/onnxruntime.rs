//! How long ONNX files take in onnxruntime, where there is a Python that has it.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

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

/// The times of some files, measured by turns, file by file; `None` where there is no such Python, or it lacks a
/// module.
///
/// # Errors
/// If it cannot be started or fails otherwise, or says nothing of a file.
pub fn times(python: &str, files: &[PathBuf]) -> Result<Option<Vec<Vec<Timing>>>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/onnxruntime_latency.py");
    let output = match Command::new(python).arg(script).args(files).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        output => output.with_context(|| format!("cannot start {python}"))?,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("without a word");
    match output.status.success() {
        true => by_file(files, String::from_utf8_lossy(&output.stdout).lines().filter_map(timing).collect()).map(Some),
        false if last.starts_with("ModuleNotFoundError") => Ok(None),
        false => bail!("onnxruntime: {python} failed ({}): {last}", output.status),
    }
}

/// The lines of each file; they stand in the order of the files, as many of each.
fn by_file(files: &[PathBuf], lines: Vec<Timing>) -> Result<Vec<Vec<Timing>>> {
    let each = lines.len() / files.len().max(1);
    let of_one = lines.chunks(each.max(1)).map(<[Timing]>::to_vec).collect::<Vec<_>>();
    let is = |(file, lines): (&PathBuf, &Vec<Timing>)| {
        lines.iter().all(|line| file.file_stem().is_some_and(|stem| *stem == *line.name))
    };
    ensure!(
        of_one.len() == files.len() && files.iter().zip(&of_one).all(is),
        "onnxruntime: found {} lines of times, expected as many of each of {} files",
        lines.len(),
        files.len()
    );
    Ok(of_one)
}

/// The median time of a file with so many threads and examples.
///
/// # Errors
/// If there is no line of it.
pub fn median(times: &[Timing], threads: usize, batch: usize) -> Result<f64> {
    let found = times.iter().find(|timing| timing.threads == threads && timing.batch == batch);
    Ok(found.with_context(|| format!("onnxruntime: no time of batch {batch} with threads: {threads}"))?.median)
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

    #[test]
    fn what_is_missing_and_what_fails_are_told_apart() {
        let files = [PathBuf::from("a/net.onnx")];
        assert_eq!(times("no-such-python", &files).unwrap(), None);
        assert!(
            times("false", &files).unwrap_err().to_string().contains("false failed (exit status: 1): without a word")
        );
        assert!(times("true", &files).unwrap_err().to_string().contains("found 0 lines of times"));
    }

    #[test]
    fn files_of_one_name_keep_their_own_times_and_a_missing_line_is_noticed() {
        let line = |batch, median| Timing { name: "net".into(), threads: 1, batch, median };
        let files = ["a/net.onnx", "b/net.onnx"].map(PathBuf::from);
        let found = by_file(&files, vec![line(1, 0.1), line(64, 0.2), line(1, 0.3), line(64, 0.4)]).unwrap();
        assert_eq!(median(&found[1], 1, 64).unwrap(), 0.4);
        assert!(median(&found[1], 1, 256).is_err());
        assert!(by_file(&files, vec![line(1, 0.1), line(64, 0.2), line(1, 0.3)]).is_err());
        assert!(by_file(&["a/net.onnx", "b/other.onnx"].map(PathBuf::from), found.concat()).is_err());
    }
}
