//! What data is asked for: a name, a place, and how its examples are to be made. It is read from a command line, from a
//! recipe, and from what a run recorded.

use crate::{Augment, Benchmark, Error, Normalise, Result, Task, idx};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How a data set of the Hub is marked in a text.
const HUB: &str = "hub:";
/// How the names of files end that are read as data sets.
const ENDINGS: [&str; 5] = ["npz", "safetensors", "csv", "tsv", "parquet"];

/// The keys of a table that say where data comes from.
const ORIGINS: [&str; 4] = ["name", "hub", "file", "folder"];

/// A data set that somebody asks for.
///
/// As text, it is a known name, `hub:owner/name`, the path of a file, or that of a folder; in a recipe also a table
/// with one of `name`, `hub`, `file` and `folder`, and whatever else is to be chosen.
///
/// ```
/// use l0_data::{Benchmark, DataSpec, Origin};
/// let spec: DataSpec = "cifar10".parse()?;
/// assert_eq!(spec.origin, Origin::Known(Benchmark::Cifar10));
/// let spec: DataSpec = "hub:someone/ants-bees".parse()?;
/// assert_eq!(spec.resize(64).to_string(), "hub:someone/ants-bees at 64x64");
/// # Ok::<(), l0_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct DataSpec {
    /// Where it comes from.
    pub origin: Origin,
    /// How its examples are to be made.
    pub options: Options,
}

/// Where data comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A data set that is known by name.
    Known(Benchmark),
    /// A data set of the Hub: owner and name.
    Hub(String),
    /// A file of arrays or a table: `.npz`, `.safetensors`, `.csv`, `.tsv` or `.parquet`.
    File(PathBuf),
    /// A folder of class folders, or of IDX files.
    Folder(PathBuf),
}

/// What may be chosen of a data set; what is not is found from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Rows and columns of an image: the shorter side of each picture is made as long, and the centre cut out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// 1 for grey images, 3 for colours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Share of the examples that is held out to test on, where the source has none for that; a fifth if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// How pixels, or the numbers of a table, become what a network reads; by the mean and standard deviation of the training
    /// examples if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalise: Option<NormaliseBy>,
    /// How training images are varied; not at all if not given, but for known names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<Augment>,
    /// The configuration of a data set of the Hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// The split of a data set of the Hub to learn from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<String>,
    /// The split of a data set of the Hub to test on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// The column of pictures of a data set of the Hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The column of labels of a table or of a data set of the Hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What the labels of a table are taken for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
}

/// How pixels, or the numbers of a table, become what a network reads, by name or by constants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected imagenet, cifar10, cifar100, mnist, unit, computed or none, or numbers, as { mean = [0.5], std = [0.25] }"
)]
pub enum NormaliseBy {
    /// Constants that many use.
    Name(NormaliseName),
    /// Mean and standard deviation of each channel, or of all, of pixels from 0 to 1.
    Constants {
        /// Means.
        mean: Vec<f64>,
        /// Standard deviations.
        std: Vec<f64>,
    },
}

/// Constants that many use, and two rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormaliseName {
    /// Those of ImageNet.
    ImageNet,
    /// Those of CIFAR-10.
    Cifar10,
    /// Those of CIFAR-100.
    Cifar100,
    /// Those of MNIST.
    Mnist,
    /// Pixels from 0 to 1.
    Unit,
    /// Mean and standard deviation of the training images, or of the training rows for each column of a table.
    Computed,
    /// The columns of a table, and the numbers to be predicted, as they are.
    None,
}

impl NormaliseBy {
    /// The constants for images of so many channels; `None` if they are to be computed.
    ///
    /// # Errors
    /// If they are for another number of channels, for a table, or make no sense.
    pub fn constants(&self, channels: usize) -> Result<Option<Normalise>> {
        let constants = match self {
            Self::Constants { mean, std } => Normalise::of_pixels_to_one(mean, std)?,
            Self::Name(NormaliseName::ImageNet) => Normalise::imagenet(),
            Self::Name(NormaliseName::Cifar10) => Normalise::cifar10(),
            Self::Name(NormaliseName::Cifar100) => Normalise::cifar100(),
            Self::Name(NormaliseName::Mnist) => Normalise::mnist(),
            Self::Name(NormaliseName::Unit) => Normalise::unit(),
            Self::Name(NormaliseName::Computed) => return Ok(None),
            Self::Name(NormaliseName::None) => {
                let said = "none leaves the columns of a table as they are; pixels are bytes, of which unit makes numbers from 0 to 1";
                return Err(Error::Argument(said.into()));
            }
        };
        constants.for_channels(channels).map(Some)
    }
}

impl FromStr for NormaliseName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        serde_json::from_value(text.into()).map_err(|_| {
            let known = "imagenet, cifar10, cifar100, mnist, unit, computed, none";
            Error::Argument(format!("no normalisation is called {text:?}; known are {known}"))
        })
    }
}

impl Options {
    /// Whether the columns of a table are to be read as they are.
    pub(crate) fn leaves_columns(&self) -> bool {
        self.normalise == Some(NormaliseBy::Name(NormaliseName::None))
    }

    /// Refuses what plays no part in data of a kind, of which `these` can be chosen: what is ignored would pass for done.
    pub(crate) fn only_for(&self, source: impl fmt::Display, kind: &str, these: &[&str]) -> Result<()> {
        let Self { size, channels, held_out, normalise: _, augment: _, config, train, test, image, label, task } = self;
        let chosen = [
            ("a size", size.is_some()),
            ("channels", channels.is_some()),
            ("a share held out", held_out.is_some()),
            ("a configuration", config.is_some()),
            ("a split to learn from", train.is_some()),
            ("a split to test on", test.is_some()),
            ("a column of pictures", image.is_some()),
            ("a column of labels", label.is_some()),
            // Pictures have classes, so that these are no news.
            ("a task", task.is_some_and(|task| task != Task::Classes || !these.contains(&"channels"))),
        ];
        match chosen.into_iter().find(|(what, is_chosen)| *is_chosen && !these.contains(what)) {
            Some((what, _)) => {
                let said = format!("{source}: {what} is chosen, which {kind} do not know; leave it out");
                Err(Error::Argument(said))
            }
            None => Ok(()),
        }
    }
}

impl DataSpec {
    /// All that its origin says.
    pub fn new(origin: Origin) -> Self {
        Self { origin, options: Options::default() }
    }

    /// With images of this size.
    pub fn resize(mut self, size: usize) -> Self {
        self.options.size = Some(size);
        self
    }

    /// The file or folder that it is, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File(path) | Origin::Folder(path) => Some(path),
            Origin::Known(_) | Origin::Hub(_) => None,
        }
    }

    /// The same at another path, if it is a file or folder.
    pub(crate) fn at(&self, path: PathBuf) -> Self {
        let origin = match &self.origin {
            Origin::File(_) => Origin::File(path),
            Origin::Folder(_) => Origin::Folder(path),
            other => other.clone(),
        };
        Self { origin, options: self.options.clone() }
    }

    /// A short name for it: its own, or that of its file or folder.
    pub fn short(&self) -> String {
        match &self.origin {
            Origin::Known(known) => known.as_str().into(),
            Origin::Hub(name) => name.replace('/', "--"),
            Origin::File(path) | Origin::Folder(path) => {
                path.file_stem().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned())
            }
        }
    }

    /// The name as people write it.
    pub fn title(&self) -> String {
        self.known().map_or_else(|| self.short(), |known| known.title().into())
    }

    /// Whether it may have pictures, of which a size can be chosen: no tables, and no arrays or IDX files, whose images
    /// have theirs.
    pub fn may_have_pictures(&self) -> bool {
        match &self.origin {
            Origin::Known(_) => false,
            Origin::Hub(_) => true,
            Origin::File(path) => has_ending(path, &["parquet"]),
            Origin::Folder(dir) => !idx::is_in(dir),
        }
    }

    /// Whether it may be a table, of whose labels a task can be chosen.
    pub fn may_be_a_table(&self) -> bool {
        self.path().is_some_and(|path| has_ending(path, &["csv", "tsv", "parquet"]))
    }

    /// The data set that is known by name, if it is one.
    pub fn known(&self) -> Option<Benchmark> {
        match self.origin {
            Origin::Known(known) => Some(known),
            _ => None,
        }
    }

    /// The same, if what it asks for makes sense.
    ///
    /// # Errors
    /// If a number is out of its range, or something is chosen of a data set that is known by name.
    pub fn check(self) -> Result<Self> {
        let Options { size, held_out, channels, .. } = self.options;
        let wrong = |said: String| Err(Error::Argument(format!("{self}: {said}")));
        let chosen = Options { augment: None, normalise: None, ..self.options.clone() };
        if self.known().is_some() && chosen != Options::default() {
            return wrong("of a known data set nothing but augment and normalise can be chosen".into());
        }
        if let Some(size) = size.filter(|size| !(1..=4096).contains(size)) {
            return wrong(format!("a size of {size} pixels, where 1 to 4096 are possible"));
        }
        if let Some(share) = held_out.filter(|share| !(*share > 0.0 && *share < 1.0)) {
            return wrong(format!("a share of {share} held out, which lies between 0 and 1"));
        }
        if let Some(channels) = channels.filter(|channels| !matches!(channels, 1 | 3)) {
            return wrong(format!("{channels} channels, where 1 (grey) and 3 (colours) are possible"));
        }
        Ok(self)
    }
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
}

impl From<Benchmark> for DataSpec {
    fn from(known: Benchmark) -> Self {
        Self::new(Origin::Known(known))
    }
}

impl FromStr for DataSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(known) = text.parse::<Benchmark>() {
            return Ok(known.into());
        }
        if let Some(name) = text.strip_prefix(HUB) {
            return Ok(Self::new(Origin::Hub(hub_name(name)?)));
        }
        let path = PathBuf::from(text);
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let is_file = ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) && !path.is_dir();
        if is_file {
            return Ok(Self::new(Origin::File(path)));
        }
        if path.is_file() {
            return Err(Error::Argument(format!(
                "{text} is no file that data is read from: these end in .{}; numpy.savez writes arrays x_train, y_train, \
                 x_test and y_test into an .npz",
                ENDINGS.join(", .")
            )));
        }
        let is_path = text.contains(['/', '\\']) || path.is_dir();
        if is_path {
            return Ok(Self::new(Origin::Folder(path)));
        }
        let known = Benchmark::ALL.map(Benchmark::as_str).join(", ");
        Err(Error::Argument(format!(
            "no data set is called {text:?}; known are {known}, else name a folder of pictures that is there, an .npz, \
             .safetensors, .csv or .parquet file, or hub:owner/name"
        )))
    }
}

fn hub_name(name: &str) -> Result<String> {
    let is_word = |word: &str| {
        let usual = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !word.is_empty() && word.chars().all(usual) && !word.starts_with('.')
    };
    let is_name = name.split_once('/').is_some_and(|(owner, name)| is_word(owner) && is_word(name));
    is_name
        .then(|| name.to_string())
        .ok_or_else(|| Error::Argument(format!("{name:?} is no data set of the Hub: owner/name is one")))
}

impl fmt::Display for DataSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Known(known) => return f.pad(known.as_str()),
            Origin::Hub(name) => write!(f, "{HUB}{name}")?,
            Origin::File(path) | Origin::Folder(path) => write!(f, "{}", path.display())?,
        }
        self.options.size.map_or(Ok(()), |size| write!(f, " at {size}x{size}"))
    }
}

/// A [`DataSpec`] as it is written: a text alone, or a table.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a name, or a table that says where it comes from")]
enum Written {
    Text(String),
    Table(Map<String, Value>),
}

impl From<DataSpec> for Written {
    fn from(DataSpec { origin, options }: DataSpec) -> Self {
        let (key, value) = match origin {
            Origin::Known(known) if options == Options::default() => return Self::Text(known.as_str().into()),
            Origin::Known(known) => ("name", known.as_str().into()),
            Origin::Hub(name) => ("hub", name),
            Origin::File(path) => ("file", path.display().to_string()),
            Origin::Folder(path) => ("folder", path.display().to_string()),
        };
        let mut table = Map::from_iter([(key.to_string(), Value::from(value))]);
        if let Ok(Value::Object(options)) = serde_json::to_value(options) {
            table.extend(options);
        }
        Self::Table(table)
    }
}

impl TryFrom<Written> for DataSpec {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let mut table = match written {
            Written::Text(text) => return text.parse(),
            Written::Table(table) => table,
        };
        let found: Vec<(&str, Value)> = ORIGINS.iter().filter_map(|&key| Some((key, table.remove(key)?))).collect();
        let [(key, Value::String(text))] = &found[..] else {
            return Err(Error::Argument(format!("data has a text as one of {}", ORIGINS.join(", "))));
        };
        let origin = match *key {
            "name" => Origin::Known(text.parse()?),
            "hub" => Origin::Hub(hub_name(text.trim_start_matches(HUB))?),
            "file" => Origin::File(text.into()),
            _ => Origin::Folder(text.into()),
        };
        let options = serde_json::from_value(Value::Object(table));
        let options = options.map_err(|error| Error::Argument(format!("data = {{ {key} = {text:?} }}: {error}")))?;
        Self { origin, options }.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_from_text_and_written_back() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("my photos é");
        std::fs::create_dir(&folder).unwrap();
        for (text, origin) in [
            ("mnist", Origin::Known(Benchmark::Mnist)),
            ("hub:someone/ants-bees", Origin::Hub("someone/ants-bees".into())),
            ("a/b.NPZ", Origin::File("a/b.NPZ".into())),
            ("wine.csv", Origin::File("wine.csv".into())),
            (folder.to_str().unwrap(), Origin::Folder(folder.clone())),
            ("./not-yet-there", Origin::Folder("./not-yet-there".into())),
        ] {
            let spec: DataSpec = text.parse().unwrap();
            assert_eq!(spec.origin, origin);
            let written = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<DataSpec>(&written).unwrap(), spec, "{written}");
        }
        for wrong in ["mnits", "hub:alone", "hub:a/b/c", "hub:../x", "hub:a/", ""] {
            assert!(wrong.parse::<DataSpec>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_table_says_what_is_chosen_and_what_makes_no_sense_is_refused() {
        let read = |text: &str| serde_json::from_str::<DataSpec>(text).map_err(|error| error.to_string());
        let spec =
            read(r#"{"folder": "photos", "size": 64, "normalise": "imagenet", "augment": {"pad": 4, "flip": true}}"#);
        let spec = spec.unwrap();
        assert_eq!((spec.options.size, spec.options.augment), (Some(64), Some(Augment::cifar())));
        let by = spec.options.normalise.as_ref().unwrap();
        assert_eq!(by.constants(3).unwrap(), Some(Normalise::imagenet()));
        assert!(by.constants(1).is_err());
        assert_eq!(read(&serde_json::to_string(&spec).unwrap()), Ok(spec));
        assert_eq!(read(r#""cifar10""#).unwrap(), Benchmark::Cifar10.into());
        assert!(read(r#"{"name": "mnist", "normalise": "unit"}"#).unwrap().check().is_ok()); // a network may know it otherwise
        for wrong in [
            r#"{"folder": "a", "hub": "b/c"}"#,
            r#"{"size": 64}"#,
            r#"{"folder": "a", "size": 0}"#,
            r#"{"folder": "a", "sise": 64}"#,
            r#"{"folder": "a", "held_out": 1}"#,
            r#"{"folder": "a", "channels": 2}"#,
            r#"{"name": "mnist", "size": 64}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
