//! What can be wrong with a network or what is handed to it.

use crate::FileProblem;

/// An error of this crate; the message names the thing, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two nodes of one description have the same name.
    #[error("two nodes are named {0:?}; names are the keys of parameters and must differ")]
    DuplicateName(String),
    /// Two parameters of one set have the same name.
    #[error("two parameters are named {0:?}; names are their keys and must differ")]
    DuplicateParameter(String),
    /// A mask that cannot be applied.
    #[error("mask of {space:?}: {problem}")]
    Mask {
        /// The name of the space.
        space: String,
        /// What is wrong, with what was found and expected.
        problem: String,
    },
    /// A name that stands for nothing.
    #[error("there is no {kind} {name:?}; there is {known}")]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A layer that cannot stand where it stands.
    #[error("node {node:?}: {problem}")]
    Layer {
        /// The name of the node.
        node: String,
        /// What is wrong, with what was found and expected.
        problem: String,
    },
    /// A tensor of the wrong shape.
    #[error("{name:?} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// What the tensor is.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: Vec<usize>,
    },
    /// Another number of things than there are places for them.
    #[error("found {found} {what}, expected {expected}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: String,
    },
    /// A file that was refused, or could not be read or written.
    #[error("{file}: {problem}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: FileProblem,
    },
    /// A file that is not to be overwritten.
    #[error("{0} exists already; ask for it to be replaced, or choose another name")]
    Exists(String),
    /// A value that cannot be written as JSON.
    #[error("cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// An error of Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn file(file: &str, problem: FileProblem) -> Self {
        Self::File { file: file.into(), problem }
    }

    pub(crate) fn mask(space: &str, problem: impl Into<String>) -> Self {
        Self::Mask { space: space.into(), problem: problem.into() }
    }

    pub(crate) fn layer(node: &str, problem: impl Into<String>) -> Self {
        Self::Layer { node: node.into(), problem: problem.into() }
    }
}
