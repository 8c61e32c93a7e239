//! Reading runs back.

use std::path::{Path, PathBuf};
use std::{fs, io};

use l0_files::At;
use serde::Serialize;

use crate::{EpochRow, Error, Named, Result, RunHeader};

pub(crate) const HEADER: &str = "run.json";
pub(crate) const METRICS: &str = "metrics.jsonl";
pub(crate) const GATES: &str = "gates.json";

/// A run as its folder tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The folder.
    pub path: PathBuf,
    /// The run as a whole.
    pub header: RunHeader,
    /// Its epochs, in order.
    pub rows: Vec<EpochRow>,
    /// The final test-time value of every gate, by layer; empty if they were not written.
    pub gates: Named<Vec<f32>>,
    /// What a person should know about the files, as a last row that was cut off.
    pub warnings: Vec<String>,
}

/// Reads the run in a folder.
///
/// # Errors
/// If a file is not there, cannot be read, or is of another format.
pub fn read_run(path: impl AsRef<Path>) -> Result<Run> {
    let path = path.as_ref();
    let header = header(path)?;
    let metrics = Metrics::read(path)?;
    let gates = gates(&path.join(GATES))?;
    let warnings = metrics.warning.into_iter().collect();
    Ok(Run { path: path.to_path_buf(), header, rows: metrics.rows, gates, warnings })
}

/// The folders below `root` that hold a run, `root` among them, in the order of their names.
///
/// Links are not followed, and what begins with a dot is left out; so is a folder `scratch`, where
/// runs lie that nobody means to keep, unless it is `root` itself. Others may be at work there: what is gone by the time
/// it is looked into, as the checkpoints of a run that has just finished, holds no run.
///
/// # Errors
/// If a folder cannot be read.
pub fn find_runs(root: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let root = root.as_ref();
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        if folder.join(HEADER).is_file() {
            found.push(folder.clone());
        }
        let listed = fs::read_dir(&folder);
        let listed = if folder == root { listed.map(Some) } else { unless_gone(listed) };
        for entry in listed.at("list", &folder)?.into_iter().flatten() {
            let entry = entry.at("list", &folder)?;
            let name = entry.file_name();
            let passed_over = name == "scratch" || name.to_string_lossy().starts_with('.');
            let kind = unless_gone(entry.file_type()).at("list", &folder)?;
            if !passed_over && kind.is_some_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The answer, or nothing where a file or folder is not there any more.
fn unless_gone<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        answer => answer.map(Some),
    }
}

pub(crate) fn header(path: &Path) -> Result<RunHeader> {
    let file = path.join(HEADER);
    if path.is_dir() && !file.exists() {
        return Err(Error::NoRun { path: path.to_path_buf() });
    }
    RunHeader::parse(&file, &fs::read(&file).at("read", &file)?)
}

fn gates(path: &Path) -> Result<Named<Vec<f32>>> {
    if !path.exists() {
        return Ok(Named::default());
    }
    let bytes = fs::read(path).at("read", path)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Parse {
        path: path.to_path_buf(),
        line: error.line().max(1),
        message: error.to_string(),
        expected: "lists of gate values under the names of layers",
    })
}

/// A row as a line of the file in `path`.
pub(crate) fn line(path: &Path, row: &EpochRow) -> Result<Vec<u8>> {
    let mut bytes = as_json(path, row, "a row that has a form in JSON")?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The gates of a run as the file in `path` holds them: JSON has no word for values that are not finite, so none is written.
pub(crate) fn gates_file(path: &Path, gates: &Named<Vec<f32>>) -> Result<Vec<u8>> {
    for (layer, values) in gates {
        if let Some((index, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            let problem = format!("value {index} of {layer}, from 0, is {value}");
            return Err(Error::Unwritable { path: path.to_path_buf(), problem, expected: "finite values of gates" });
        }
    }
    as_json(path, gates, "gates that have a form in JSON")
}

fn as_json(path: &Path, content: &impl Serialize, expected: &'static str) -> Result<Vec<u8>> {
    let unwritable =
        |error: serde_json::Error| Error::Unwritable { path: path.to_path_buf(), problem: error.to_string(), expected };
    serde_json::to_vec(content).map_err(unwritable)
}

/// The rows of a run beside the bytes they came from.
pub(crate) struct Metrics {
    bytes: Vec<u8>,
    pub(crate) rows: Vec<EpochRow>,
    pub(crate) warning: Option<String>,
}

impl Metrics {
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(METRICS);
        // A run that was stopped between its header and its metrics has no rows.
        let bytes = if path.exists() { fs::read(&path).at("read", &path)? } else { Vec::new() };
        Self::parse(&path, bytes)
    }

    fn parse(path: &Path, mut bytes: Vec<u8>) -> Result<Self> {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let warning = (whole < bytes.len()).then(|| {
            let cut = bytes.len() - whole;
            format!("{}: the last row was cut off; its {cut} bytes are left out", path.display())
        });
        bytes.truncate(whole);
        let mut rows: Vec<EpochRow> = Vec::new();
        for (index, text) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let row = row(path, index + 1, text)?;
            match rows.last() {
                Some(last) if row.epoch <= last.epoch => {
                    return Err(disorder(path, index + 1, last, &row));
                }
                _ => rows.push(row),
            }
        }
        Ok(Self { bytes, rows, warning })
    }

    /// The first `n` lines as they stand in the file.
    pub(crate) fn first_lines(&self, n: usize) -> &[u8] {
        let lines = self.bytes.split_inclusive(|&byte| byte == b'\n').take(n);
        &self.bytes[..lines.map(<[u8]>::len).sum()]
    }
}

fn row(path: &Path, line: usize, text: &[u8]) -> Result<EpochRow> {
    serde_json::from_slice(text).map_err(|error| Error::Parse {
        path: path.to_path_buf(),
        line,
        message: error.to_string(),
        expected: "the row of an epoch as JSON",
    })
}

fn disorder(path: &Path, line: usize, last: &EpochRow, row: &EpochRow) -> Error {
    Error::Parse {
        path: path.to_path_buf(),
        line,
        message: format!("epoch {} follows epoch {}", row.epoch, last.epoch),
        expected: "every epoch once, in order",
    }
}
