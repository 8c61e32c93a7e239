//! What can be wrong with a network or what is handed to it.

use crate::{Agreement, FileProblem, OnnxProblem};

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
    #[error("there is no {kind} {name:?}; {known}")]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// The names that exist, or the nearest of many.
        known: String,
    },
    /// Values that do not cover a network.
    #[error("{missing} of {of} parameters have no value: {names}; {left_over}")]
    Missing {
        /// How many parameters have no value.
        missing: usize,
        /// How many there are.
        of: usize,
        /// Their names and shapes, the first ten of them.
        names: String,
        /// The values that no parameter asked for, the first ten of them.
        left_over: String,
    },
    /// A tensor that does not hold f32.
    #[error("{name:?} holds {found:?}, expected F32; convert it with to_dtype(DType::F32)")]
    Dtype {
        /// What the tensor is.
        name: String,
        /// What it holds.
        found: candle_core::DType,
    },
    /// A value that is no number, or too large for f32.
    #[error("{name:?} holds {found} as f32, expected finite numbers; look at the training that it comes from")]
    NotFinite {
        /// What the tensor is.
        name: String,
        /// The first such value.
        found: f32,
    },
    /// A rule for names that cannot be followed.
    #[error("rename {rule:?}: {problem}")]
    Rename {
        /// The rule.
        rule: String,
        /// What is wrong, with what was found and expected.
        problem: String,
    },
    /// A batch without examples.
    #[error("the batch has shape {0:?}, expected one example or more")]
    EmptyBatch(Vec<usize>),
    /// Two networks that should compute the same and do not.
    #[error("the description computes something else than the model: {0}; compare their layers and the order of these")]
    Differs(Agreement),
    /// A network that cannot be made with these settings.
    #[error("{network}: {problem}")]
    Settings {
        /// The kind of network.
        network: &'static str,
        /// What is wrong, with what was found and expected.
        problem: String,
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
    /// A file that was refused, or could not be read or written; boxed, for it would make every result large.
    #[error("{file}: {problem}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: Box<FileProblem>,
    },
    /// An ONNX file that was refused; boxed as above.
    #[error("{file}: {problem}")]
    Onnx {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: Box<OnnxProblem>,
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

/// The most names that a message lists.
const MOST_NAMES: usize = 10;

/// The first of `names`, and how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    match names.len().checked_sub(MOST_NAMES) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..MOST_NAMES].join(", ")),
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A name that is none of `known`.
    pub(crate) fn unknown<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Unknown { kind, name: name.into(), known: Self::known(name, known) }
    }

    /// Which names there are, or the nearest of many.
    pub(crate) fn known<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
        let mut known: Vec<&str> = known.into_iter().collect();
        let all = known.len();
        known.sort_by_cached_key(|known| strsim::damerau_levenshtein(name, known));
        match all {
            0 => "there is none".into(),
            1..=MOST_NAMES => format!("there is {}", known.join(", ")),
            _ => format!("nearest of {all} are {}", known[..3].join(", ")),
        }
    }

    pub(crate) fn file(file: &str, problem: FileProblem) -> Self {
        Self::File { file: file.into(), problem: Box::new(problem) }
    }

    pub(crate) fn onnx(file: &str, problem: OnnxProblem) -> Self {
        Self::Onnx { file: file.into(), problem: Box::new(problem) }
    }

    pub(crate) fn mask(space: &str, problem: impl Into<String>) -> Self {
        Self::Mask { space: space.into(), problem: problem.into() }
    }

    pub(crate) fn layer(node: &str, problem: impl Into<String>) -> Self {
        Self::Layer { node: node.into(), problem: problem.into() }
    }
}
