use crate::repo::Repo;
use crate::{Augment, Dataset, Digits, Error, Normalise, Progress, Result, SourceFile, folder, hub};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The data sets that can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetName {
    /// Handwritten digits, 60,000 + 10,000 images of 1x28x28, 10 classes.
    Mnist,
    /// 50,000 + 10,000 colour images of 3x32x32, 10 classes.
    Cifar10,
    /// 50,000 + 10,000 colour images of 3x32x32, 100 classes.
    Cifar100,
    /// Digits drawn by the program ([`Digits::default`]), 1x28x28, 10 classes.
    Digits,
}

impl DatasetName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mnist, Self::Cifar10, Self::Cifar100, Self::Digits];

    /// The name as written on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::Digits => "digits",
        }
    }

    /// The name as people write it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Mnist => "MNIST",
            Self::Cifar10 => "CIFAR-10",
            Self::Cifar100 => "CIFAR-100",
            Self::Digits => "drawn digits",
        }
    }

    /// Channels, height and width of an image.
    pub fn shape(self) -> (usize, usize, usize) {
        match self {
            Self::Mnist | Self::Digits => (1, 28, 28),
            Self::Cifar10 | Self::Cifar100 => (3, 32, 32),
        }
    }

    /// Number of classes.
    pub fn classes(self) -> usize {
        match self {
            Self::Mnist | Self::Digits | Self::Cifar10 => 10,
            Self::Cifar100 => 100,
        }
    }

    /// The normalisation that the paper's experiments use.
    pub fn normalise(self) -> Normalise {
        match self {
            Self::Mnist | Self::Digits => Normalise::unit(),
            Self::Cifar10 => Normalise::cifar10(),
            Self::Cifar100 => Normalise::cifar100(),
        }
    }

    /// The augmentation that the paper's experiments use in training.
    pub fn augment(self) -> Option<Augment> {
        match self {
            Self::Mnist | Self::Digits => None,
            Self::Cifar10 | Self::Cifar100 => Some(Augment::cifar()),
        }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DatasetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|name| name.as_str() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::Argument(format!("no data set is called {text:?}; known are {known}"))
        })
    }
}

/// Where to look for a data set. The program fills it from its command line and environment; this crate reads neither,
/// but for what `hf-hub` reads itself (HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A folder that holds the files. If named, nothing else is tried.
    pub dir: Option<PathBuf>,
    /// Use only what is in the Hub's cache.
    pub offline: bool,
    /// The Hub's address, if not what `hf-hub` finds itself.
    pub endpoint: Option<String>,
    /// The Hub's cache folder, if not what `hf-hub` finds itself.
    pub cache: Option<PathBuf>,
    /// How long a download may stand still before it ends in an error.
    pub patience: Duration,
}

impl Default for Source {
    /// The Hub's cache, then the Hub; 20 seconds of patience.
    fn default() -> Self {
        Self { dir: None, offline: false, endpoint: None, cache: None, patience: Duration::from_secs(20) }
    }
}

impl Source {
    /// A folder, and nothing else.
    pub fn dir(dir: impl Into<PathBuf>) -> Self {
        Self { dir: Some(dir.into()), ..Self::default() }
    }
}

/// Loads a data set: from `source.dir` if there is one, else from the Hub's cache, else from the Hub. Every file that
/// comes by way of the Hub is checked against its sha256 before it is read.
///
/// A folder may hold the IDX files of MNIST (in it or below MNIST/raw, with or without their gzip), the binary files of
/// CIFAR (in it or in the folder of their archive), or the Hub's parquet files, all shards of them, as
/// `ylecun/mnist/mnist/train/0000.parquet`, as `mnist/train/0000.parquet` or as `train/0000.parquet`, or by the names of a
/// clone, as `mnist/train-00000-of-00001.parquet`. What they hold is compared with the known contents of the data set and
/// [said](Dataset::caveat) if it is something else.
///
/// # Errors
/// See [`Error`]; parquet files and the Hub need the feature `hub`.
pub fn load(name: DatasetName, source: &Source, progress: &dyn Progress) -> Result<Dataset> {
    match (Repo::of(name), &source.dir) {
        (None, _) => Digits::default().draw(),
        (Some(repo), Some(dir)) => folder::load(&repo, dir),
        (Some(repo), None) => hub::load(&repo, source, progress),
    }
}

/// Fetches the files of a data set into the Hub's cache, unless they are there, and says where they are. The folder of
/// `source` plays no part.
///
/// # Errors
/// If the Hub cannot be reached or does not deliver the right bytes, if its cache cannot be written, and always without the
/// feature `hub`.
pub fn download(name: DatasetName, source: &Source, progress: &dyn Progress) -> Result<Vec<SourceFile>> {
    match Repo::of(name) {
        Some(repo) => hub::download(&repo, source, progress),
        None => Ok(vec![]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in DatasetName::ALL {
            assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
        }
        let message = "no data set is called \"mnits\"; known are mnist, cifar10, cifar100, digits";
        assert_eq!("mnits".parse::<DatasetName>().unwrap_err().to_string(), message);
    }

    #[cfg(not(feature = "hub"))]
    #[test]
    fn without_the_hub_an_error_says_what_to_do() {
        let error = load(DatasetName::Mnist, &Source::default(), &crate::Silent).unwrap_err();
        let message = "fetching ylecun/mnist from the Hub needs the feature `hub` of l0-data; or name a \
                       folder with its IDX or binary files";
        assert_eq!(error.to_string(), message);
    }
}
