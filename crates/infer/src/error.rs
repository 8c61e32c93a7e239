//! What can be wrong with a network to compile or with what it is handed.

/// An error of this crate; the message holds what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A layer that cannot be compiled.
    #[error("node {node:?} is a {kind} of a kind that is not compiled; run the network with Model::forward")]
    Layer {
        /// Its name.
        node: String,
        /// What it is.
        kind: &'static str,
    },
    /// The network and its parameters do not fit.
    #[error(transparent)]
    Net(#[from] l0_net::Error),
    /// Another number of input values than the batch needs.
    #[error("found {found} input values for a batch of {batch}, expected {expected}")]
    Input {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
        /// Number of examples.
        batch: usize,
    },
    /// A layer whose output would not fit into a reasonable amount of memory.
    #[error("the output of {node:?} has {c} x {h} x {w} values with {padding} around, more than {limit}")]
    TooLarge {
        /// The layer.
        node: String,
        /// Channels.
        c: usize,
        /// Rows.
        h: usize,
        /// Columns.
        w: usize,
        /// Zeros on each side.
        padding: usize,
        /// The most values of a buffer.
        limit: usize,
    },
    /// A number of threads that is 0, or threads that could not be started.
    #[error("cannot run on {found} threads: {why}")]
    Threads {
        /// The number asked for.
        found: usize,
        /// What is wrong.
        why: String,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Net(error.into())
    }
}
