//! What is known of a run as a whole: `run.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Machine, Result, files, number, time};

/// The version of the files that this crate writes and reads.
pub const FORMAT: u32 = 1;

/// What is known of a run as a whole: the content of `run.json`.
///
/// ```
/// use l0_record::{RunHeader, machine};
///
/// let header = RunHeader {
///     title: "L0, lambda separate".into(),
///     network: "LeNet-5-Caffe".into(),
///     revision: "0a1b2c3".into(),
///     machine: machine(1),
///     ..RunHeader::new("lenet5-l0-sep", 1, serde_json::json!({ "epochs": 200 }))
/// };
/// assert_eq!(header.recipe, "lenet5-l0-sep");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    /// Version of the format, [`FORMAT`].
    pub format: u32,
    /// Name of the recipe, as one types it.
    pub recipe: String,
    /// The recipe as a table calls it, as `L0, lambda = 0.1/N`; the recipe's name if empty.
    #[serde(default)]
    pub title: String,
    /// The network's name, which heads the table the run belongs to.
    #[serde(default)]
    pub network: String,
    /// Seed of all randomness.
    pub seed: u64,
    /// Every setting as it was used. What differs between seeds does not belong here;
    /// a `seed` at its top is passed over when runs are grouped.
    pub config: Value,
    /// Revision of the code.
    #[serde(default)]
    pub revision: String,
    /// What the run was trained on.
    #[serde(default)]
    pub data: DataId,
    /// The machine it started on.
    #[serde(default)]
    pub machine: Machine,
    /// The command line.
    #[serde(default)]
    pub command: Vec<String>,
    /// When it began, in UTC.
    pub start: String,
    /// When it went on after a stop, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<Resumed>,
    /// When it ended, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// The published row that this run repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// In what the run is smaller than what it stands for, as `WRN-16-1 in place of WRN-28-10`.
    /// Shown wherever the run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled_down: Option<String>,
    /// What took the place of real data, as `digits drawn by the program`. Shown wherever the run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<String>,
    /// How far the run has come.
    pub status: Status,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl RunHeader {
    /// A header of this format that starts now; the other fields are left to be filled in.
    pub fn new(recipe: impl Into<String>, seed: u64, config: Value) -> Self {
        let recipe = recipe.into();
        Self {
            format: FORMAT,
            recipe,
            seed,
            config,
            start: time::now(),
            ..Self::default()
        }
    }

    /// The recipe as a table calls it.
    pub fn title(&self) -> &str {
        if self.title.is_empty() {
            &self.recipe
        } else {
            &self.title
        }
    }

    /// What must be said wherever the run is shown: that it is smaller, or its data not real.
    pub fn caveat(&self) -> Option<String> {
        let synthetic = self
            .synthetic
            .as_ref()
            .map(|what| format!("synthetic data: {what}"));
        let smaller = self
            .scaled_down
            .as_ref()
            .map(|what| format!("scaled down: {what}"));
        let parts: Vec<String> = smaller.into_iter().chain(synthetic).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut bytes =
            serde_json::to_vec_pretty(self).map_err(|error| unreadable(path, &error))?;
        bytes.push(b'\n');
        files::write_atomically(path, &bytes)
    }

    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        /// Read first: the other fields of a later format may mean something else.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version =
            serde_json::from_slice(bytes).map_err(|error| unreadable(path, &error))?;
        if version.format != FORMAT {
            let path = path.to_path_buf();
            return Err(Error::Version {
                path,
                found: version.format,
                expected: FORMAT,
            });
        }
        serde_json::from_slice(bytes).map_err(|error| unreadable(path, &error))
    }
}

fn unreadable(path: &Path, error: &serde_json::Error) -> Error {
    Error::Parse {
        path: path.to_path_buf(),
        line: error.line().max(1),
        message: error.to_string(),
        expected: "the header of a run, as run.json holds it",
    }
}

/// A data set and the digest that tells it from others of that name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataId {
    /// Its name, as `mnist`.
    pub name: String,
    /// Its sha256, in hexadecimal.
    pub sha256: String,
}

/// A run going on after a stop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resumed {
    /// When, in UTC.
    pub at: String,
    /// Revision of the code that went on.
    pub revision: String,
    /// The machine it went on on.
    pub machine: Machine,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being trained, or was killed without a word.
    #[default]
    Running,
    /// It reached its end.
    Finished,
    /// It was asked to stop and can go on.
    Interrupted,
    /// It stopped on an error, which the header's `message` tells.
    Failed,
}

impl Status {
    /// The word for it, as in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// What a run came to. Counts are of the network that remains once the pruned parts are gone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Error of the last epoch on the test images, in percent.
    #[serde(
        with = "number::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub test_error_percent: Option<f64>,
    /// Gates open at test time, layer by layer, as the paper lists them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architecture: Vec<usize>,
    /// Parameters of the whole network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_total: Option<u64>,
    /// Parameters that remain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_kept: Option<u64>,
    /// Weights of the whole network: its parameters without biases and normalisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_total: Option<u64>,
    /// Weights that remain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_kept: Option<u64>,
    /// Multiply-accumulates of the whole network for one example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs_total: Option<u64>,
    /// Multiply-accumulates that remain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs_kept: Option<u64>,
    /// Expected share of the gated weights, from 0 to 1.
    #[serde(
        with = "number::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub expected_density: Option<f64>,
    /// Seconds spent training, evaluation left out.
    #[serde(
        with = "number::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub train_seconds: Option<f64>,
    /// The most memory the process held, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

impl Outcome {
    /// Weights that remain, in percent of all.
    pub fn weights_kept_percent(&self) -> Option<f64> {
        percent(self.weights_kept, self.weights_total)
    }

    /// Parameters that remain, in percent of all.
    pub fn params_kept_percent(&self) -> Option<f64> {
        percent(self.params_kept, self.params_total)
    }

    /// Multiply-accumulates that remain, in percent of all.
    pub fn macs_kept_percent(&self) -> Option<f64> {
        percent(self.macs_kept, self.macs_total)
    }
}

fn percent(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    match (part?, whole?) {
        (_, 0) => None,
        (part, whole) => Some(100.0 * part as f64 / whole as f64),
    }
}

/// A published row: what somebody reported for a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// The network it is about, as [`RunHeader::network`] names it.
    pub network: String,
    /// The method, as `BC-GNJ`.
    pub label: String,
    /// Who reported it and where, as `Louizos et al. 2018, Table 1`.
    pub source: String,
    /// Test error in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_percent: Option<f64>,
    /// What remains, layer by layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architecture: Vec<usize>,
    /// Weights kept, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_kept_percent: Option<f64>,
    /// Multiply-accumulates kept, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs_kept_percent: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RunHeader {
        let mut header = RunHeader::new("mlp-l0", u64::MAX, serde_json::json!({ "lr": 0.1 }));
        header.outcome.test_error_percent = Some(f64::NAN);
        header.outcome.macs_kept = Some(u64::MAX);
        header
    }

    #[test]
    fn the_file_is_flat_and_comes_back() {
        let text = serde_json::to_string(&header()).unwrap();
        assert!(
            text.contains(r#""status":"running","test_error_percent":"NaN","macs_kept""#),
            "{text}"
        );
        let back = RunHeader::parse(Path::new("run.json"), text.as_bytes()).unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", header()));
    }

    #[test]
    fn another_format_is_refused_before_its_fields_are_read() {
        let error =
            RunHeader::parse(Path::new("run.json"), br#"{"format":2,"seed":"x"}"#).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("format 2, this program reads format 1"),
            "{error}"
        );
    }

    #[test]
    fn shares_of_nothing_are_not_numbers() {
        assert_eq!(percent(Some(1), Some(0)), None);
        assert_eq!(percent(Some(1), Some(4)), Some(25.0));
    }

    #[test]
    fn the_caveat_says_all_of_it() {
        let mut header = header();
        assert_eq!(header.caveat(), None);
        header.scaled_down = Some("10 epochs".into());
        header.synthetic = Some("drawn digits".into());
        assert_eq!(
            header.caveat().unwrap(),
            "scaled down: 10 epochs; synthetic data: drawn digits"
        );
    }
}
