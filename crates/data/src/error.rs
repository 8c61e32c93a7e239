//! What can go wrong between a file and a batch, and how it is said.

use std::fmt;
use std::path::{Path, PathBuf};

/// What can go wrong between a file and a batch. Every message names the file, what was expected, what was found and
/// what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to read or write.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// "read", "write", "create", ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },

    /// A file is not what its format says it should be.
    #[error("{}: expected {expected}, found {found}; replace the file by a fresh copy", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the format asks for.
        expected: String,
        /// What the file holds.
        found: String,
    },

    /// The files in a folder do not make one data set.
    #[error("{}: {problem}; {advice}", dir.display())]
    Layout {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with its files.
        problem: String,
        /// What to do next.
        advice: &'static str,
    },

    /// A folder was named that does not hold the data set.
    #[error(
        "{} does not hold {name}: looked for {looked_for}{found}; name the folder that does",
        dir.display()
    )]
    NotThere {
        /// The folder that was named.
        dir: PathBuf,
        /// The data set.
        name: &'static str,
        /// The files that would have been read.
        looked_for: String,
        /// What is there in their place, beginning with a comma, or nothing.
        found: String,
    },

    /// Reading this needs the feature `hub`, which this program was built without.
    #[error("{what} needs the feature `hub` of l0-data{otherwise}")]
    NeedsHub {
        /// What was asked for.
        what: String,
        /// Another way, beginning with a comma, or nothing.
        otherwise: &'static str,
    },

    /// A file of the user's is well formed, but nothing can be learnt from it as it is.
    #[error("{}: {problem}; {advice}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        problem: String,
        /// What to do next.
        advice: String,
    },

    /// Pictures have different sizes, and nobody said which the images are to have.
    #[error("{name} has pictures of different sizes, {} and {}: choose the size of the images, as 64", examples[0], examples[1])]
    NeedsSize {
        /// The data set.
        name: String,
        /// Two pictures, each with its rows and columns.
        examples: [String; 2],
    },

    /// A file's digest is not the one that is known to be right.
    #[error(
        "{}: expected sha256 {expected}, found {found}; {advice}", path.display()
    )]
    Checksum {
        /// The file, as the user can find it.
        path: PathBuf,
        /// Lower-case hex.
        expected: String,
        /// Lower-case hex.
        found: String,
        /// What to do next.
        advice: String,
    },

    /// The cache does not hold a file, and nothing else may be asked.
    #[error(
        "{file} is not in the cache {}, and offline nothing can be fetched; go online once, or name a folder \
         that holds the file", cache.display()
    )]
    Offline {
        /// Repository and file.
        file: String,
        /// The Hub's cache.
        cache: PathBuf,
    },

    /// The file system refused to read or write the Hub's cache: no server has a part in it.
    #[error(
        "cannot {action} {file} in the Hub's cache {}: {cause}, or name a folder that \
         holds the files", cache.display()
    )]
    Cache {
        /// "store" or "look for".
        action: &'static str,
        /// Repository and file.
        file: String,
        /// The Hub's cache.
        cache: PathBuf,
        /// What the system said, and what to do next.
        cause: std::io::Error,
    },

    /// The Hub could not be reached, or did not deliver.
    #[error(
        "cannot fetch {file} from {endpoint}: {reason}; try again later, set HF_ENDPOINT to a mirror, or name a folder \
         that holds the files"
    )]
    Hub {
        /// Repository and file.
        file: String,
        /// The server's address.
        endpoint: String,
        /// What happened.
        reason: String,
    },

    /// A caller's mistake: shapes, counts or ranges that do not fit together.
    #[error("{0}")]
    Argument(String),

    /// Making the tensor of a batch failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Short for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether a folder of the user's that holds the files would help: the place for a program to say how one is named.
    pub fn wants_folder(&self) -> bool {
        use Error::{Cache, Checksum, Hub, Layout, NeedsHub, NotThere, Offline};
        matches!(
            self,
            NotThere { .. }
                | Layout { .. }
                | NeedsHub { .. }
                | Checksum { .. }
                | Offline { .. }
                | Cache { .. }
                | Hub { .. }
        )
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |cause| Self::Io { action, path, cause }
    }

    pub(crate) fn layout(dir: &Path, problem: &str, advice: &'static str) -> Self {
        Self::Layout { dir: dir.to_path_buf(), problem: problem.into(), advice }
    }

    pub(crate) fn format(path: &Path, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::Format { path: path.to_path_buf(), expected: expected.to_string(), found: found.to_string() }
    }
}
