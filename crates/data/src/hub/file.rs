//! Which file of which repository of the Hub.

use crate::{Error, Result};

/// The branch on which the Hub keeps its own conversion of every data set to parquet. It can move: what is pinned is
/// each file's digest.
pub(super) const PARQUET: &str = "refs/convert/parquet";

/// What a repository of the Hub holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// A data set: its files are those of the revision `refs/convert/parquet`.
    Data,
    /// A network, which the Hub calls a model: its files are those of the revision `main`.
    Network,
}

impl Holds {
    pub(super) fn revision(self) -> &'static str {
        match self {
            Self::Data => PARQUET,
            Self::Network => "main",
        }
    }

    /// How the cache calls such repositories.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Data => "datasets",
            Self::Network => "models",
        }
    }
}

/// A file of a repository of the Hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// What the repository holds.
    pub holds: Holds,
    /// Owner and name of the repository.
    pub repo: String,
    /// The file within it.
    pub path: String,
    /// The digest it must have, in lower-case hex; without one, the one that the Hub states.
    pub sha256: Option<String>,
}

impl HubFile {
    /// A file of a data set whose digest nobody knows.
    pub(super) fn of_data(repo: impl Into<String>, path: impl Into<String>) -> Self {
        Self { holds: Holds::Data, repo: repo.into(), path: path.into(), sha256: None }
    }

    /// A file of a network, from "owner/name/path".
    ///
    /// # Errors
    /// If it names no owner, repository and file.
    pub fn of_network(name: &str) -> Result<Self> {
        let parts: Vec<&str> = name.splitn(3, '/').collect();
        match parts[..] {
            [owner, repo, path] if ![owner, repo, path].contains(&"") => {
                Ok(Self { holds: Holds::Network, repo: format!("{owner}/{repo}"), path: path.into(), sha256: None })
            }
            _ => Err(Error::Argument(format!("{name:?} is no file of the Hub, expected owner/name/file.onnx"))),
        }
    }
}
