//! What is known of a run as a whole: `run.json`.

use std::path::Path;

use l0_files::Existing;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::compare::{check_same, settled};
use crate::{Error, Machine, Outcome, Reference, Result, Status, time};

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
    /// The rows that it is one of, each with another target or lambda, as `mlp-con` of runs held to one density each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<String>,
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
    /// The finished run whose values this one began with, if it did not begin anew. Shown wherever the run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_from: Option<StartedFrom>,
    /// The finished runs whose networks it learnt from beside the labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taught_by: Vec<StartedFrom>,
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
        Self { format: FORMAT, recipe, seed, config, start: time::now(), ..Self::default() }
    }

    /// The recipe as a table calls it.
    pub fn title(&self) -> &str {
        if self.title.is_empty() { &self.recipe } else { &self.title }
    }

    /// Whether it trained the units that another run kept, from new values: its gates stood still.
    pub fn is_from_scratch(&self) -> bool {
        self.started_from.as_ref().is_some_and(|from| from.from_scratch)
    }

    /// The recipe of the run whose units it trained from new values.
    pub fn from_scratch_after(&self) -> Option<&str> {
        self.started_from.as_ref().filter(|from| from.from_scratch).map(StartedFrom::recipe)
    }

    /// What must be said wherever the run is shown: that it is smaller, began with another's values, its data not real or
    /// not what its name says, or its numbers shorter than those of f32.
    pub fn caveat(&self) -> Option<String> {
        let synthetic = self.synthetic.as_ref().map(|what| format!("synthetic data: {what}"));
        let smaller = self.scaled_down.as_ref().map(|what| format!("scaled down: {what}"));
        let continued = self.started_from.as_ref().map(StartedFrom::caveat);
        let data = self.data.caveat.as_ref().map(|what| format!("data {what}"));
        let precision = Some(self.machine.precision()).filter(|&name| name != "f32");
        let precision = precision.map(|name| format!("computed in {name}"));
        let parts = [smaller, continued, synthetic, data, precision].into_iter().flatten().collect::<Vec<String>>();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Refuses data other than that of this run, which lies in `path`, or the same data with another normalisation;
    /// what is said of it may have changed. A normalisation that one of them does not record passes.
    ///
    /// # Errors
    /// [`Error::Differs`] if it is other data.
    pub fn check_data(&self, path: impl AsRef<Path>, data: &DataId) -> Result<()> {
        let id = |data: &DataId| serde_json::json!({ "data": { "name": data.name, "sha256": data.sha256 } });
        check_same(path.as_ref(), &id(&self.data), &id(data))?;
        let (Some(own), Some(asked)) = (self.data.normalisation(), data.normalisation()) else { return Ok(()) };
        let id = |constants: &Value| settled(&serde_json::json!({ "data": { "normalise": constants } }));
        check_same(path.as_ref(), &id(own), &id(asked))
    }

    /// Refuses a precision other than that of this run, which lies in `path`: what is trained in one is not resumed in
    /// another.
    ///
    /// # Errors
    /// [`Error::Differs`] if it is another one.
    pub fn check_precision(&self, path: impl AsRef<Path>, precision: &str) -> Result<()> {
        let id = |precision: &str| serde_json::json!({ "machine": { "precision": precision } });
        check_same(path.as_ref(), &id(self.machine.precision()), &id(precision))
    }

    /// Refuses settings that are not those of this run, which lies in `path`.
    ///
    /// # Errors
    /// [`Error::Differs`] if they are others; it names the first that differs.
    pub fn check_config(&self, path: impl AsRef<Path>, config: &Value) -> Result<()> {
        check_same(path.as_ref(), &settled(&self.config), &settled(config))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| unreadable(path, &error))?;
        bytes.push(b'\n');
        Ok(l0_files::write(path, &bytes, Existing::Replace)?)
    }

    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        /// Read first: the other fields of a later format may mean something else.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(|error| unreadable(path, &error))?;
        if version.format != FORMAT {
            let path = path.to_path_buf();
            return Err(Error::Version { path, found: version.format, expected: FORMAT });
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

/// The finished run whose values another one began with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedFrom {
    /// Its recipe and folder, as `mlp-l0/seed-1`.
    pub run: String,
    /// Epochs that the values had been trained for, in that run and any that it began with; from scratch, those of the
    /// run that it began with, which are not made up for.
    pub epochs: u64,
    /// sha256 of the file with the values, and with what it says of itself, as how long training took.
    pub sha256: String,
    /// sha256 of the values alone, their names and shapes: the same where the run was trained again to the same values.
    /// Runs of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<String>,
    /// Whether the units that it kept were taken over alone, and all values are new.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_scratch: bool,
    /// Whether the recipe names that run's row in `[start]`, as one that prunes trained networks: every run of it
    /// begins so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_recipe: bool,
}

impl StartedFrom {
    /// Whether both have the same values, whatever else their files say.
    pub fn has_values_of(&self, other: &Self) -> bool {
        self.sha256 == other.sha256 || (self.values.is_some() && self.values == other.values)
    }

    /// The digest of the file; that of the file of `stored` if it has the same values.
    pub(crate) fn digest_beside<'a>(&'a self, stored: Option<&'a Self>) -> &'a str {
        &stored.filter(|stored| self.has_values_of(stored)).unwrap_or(self).sha256
    }

    fn recipe(&self) -> &str {
        self.run.split('/').next().unwrap_or_default()
    }

    /// The same of the runs of all seeds.
    fn caveat(&self) -> String {
        let (epochs, recipe) = (self.epochs, self.recipe());
        let unit = if epochs == 1 { "epoch" } else { "epochs" };
        if self.from_scratch {
            let fewer = if epochs > 0 { format!(" and without the {epochs} {unit} before it") } else { String::new() };
            return format!("only the units that pruning kept, with new values from the start{fewer}");
        }
        if self.by_recipe {
            return format!("begun with what {recipe} left after {epochs} {unit}");
        }
        format!(
            "continued: begun with the averages that {recipe} left after {epochs} {unit}, with moments, multipliers and \
             schedule anew, which is not the same as one longer training"
        )
    }
}

/// A data set and the digest that tells it from others of that name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataId {
    /// Its name, as `mnist`.
    pub name: String,
    /// Its sha256, in hexadecimal.
    pub sha256: String,
    /// What must be said of it, as `not MNIST: 1000 training images in place of 60000`. Shown wherever the run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caveat: Option<String>,
    /// What the program wrote down of it where its name alone does not say it: where it came from, its classes, and how
    /// a network is to read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Value>,
    /// Its normalisation, where no record has it: means and standard deviations. Runs of earlier versions on known data
    /// have none, and the constants of that data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalise: Option<Value>,
    /// How training images were varied, if they were; runs of earlier versions do not say it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augment: Option<Value>,
}

impl DataId {
    /// Its normalisation, wherever that was written down.
    pub fn normalisation(&self) -> Option<&Value> {
        self.normalise.as_ref().or_else(|| self.record.as_ref()?.get("normalise"))
    }
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
        assert!(text.contains(r#""status":"running","test_error_percent":"NaN","macs_kept""#), "{text}");
        let back = RunHeader::parse(Path::new("run.json"), text.as_bytes()).unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", header()));
    }

    #[test]
    fn another_format_is_refused_before_its_fields_are_read() {
        let error = RunHeader::parse(Path::new("run.json"), br#"{"format":2,"seed":"x"}"#).unwrap_err();
        assert!(error.to_string().contains("format 2, this program reads format 1"), "{error}");
    }

    #[test]
    fn the_caveat_says_all_of_it() {
        let mut header = header();
        assert_eq!(header.caveat(), None);
        header.scaled_down = Some("10 epochs".into());
        header.synthetic = Some("drawn digits".into());
        header.data.caveat = Some("not MNIST: 9 training images".into());
        header.machine.precision = Some("bf16".into());
        let all =
            "scaled down: 10 epochs; synthetic data: drawn digits; data not MNIST: 9 training images; computed in bf16";
        assert_eq!(header.caveat().unwrap(), all);
    }
}
