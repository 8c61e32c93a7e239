//! What can go wrong with a report, said so that the reader knows what to do next.

use std::path::PathBuf;

/// The result of everything in this crate that touches a file.
pub type Result<T> = std::result::Result<T, Error>;

/// A mistake in what was asked, or in the files that were found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused to read or write.
    #[error(transparent)]
    Io(#[from] l0_files::Error),

    /// A run or a file of measurements cannot be read.
    #[error(transparent)]
    Record(#[from] l0_record::Error),

    /// A file that no report wrote stands where one is to be written.
    #[error("{} was not written by a report, which would replace it; move it, or give another folder", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },

    /// A picture that cannot be drawn as points.
    #[cfg(feature = "png")]
    #[error("cannot draw {}: {problem}", path.display())]
    Picture {
        /// Where it was to lie.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A document without the markers between which a table belongs.
    #[error("{} has no pair of markers <!-- {name}:start --> and <!-- {name}:end -->; add them where the table belongs", path.display())]
    Marker {
        /// The document.
        path: PathBuf,
        /// The markers' name.
        name: String,
    },
}
