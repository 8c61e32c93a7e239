//! What the system refused, on which file.

use std::io;
use std::path::{Path, PathBuf};

/// The system refused to read or write.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {cause}", path.display())]
pub struct Error {
    /// What was tried, as "read" or "create the folder".
    pub action: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    /// What the system answered.
    pub cause: io::Error,
}

/// The result of everything that touches a file.
pub type Result<T> = std::result::Result<T, Error>;

/// Adds the action and the path to an answer of the system.
///
/// ```
/// use l0_files::At;
///
/// let path = std::path::Path::new("no/such/file");
/// let error = std::fs::read(path).at("read", path).unwrap_err().to_string();
/// assert!(error.starts_with("cannot read no/such/file: "));
/// ```
pub trait At<T> {
    /// The value, or the error with what was tried and on which file or folder.
    ///
    /// # Errors
    /// If the answer is one.
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|cause| Error { action, path: path.to_path_buf(), cause })
    }
}
