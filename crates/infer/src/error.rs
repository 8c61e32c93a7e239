//! What can be wrong with a network to compile or with what it is handed.

/// An error of this crate; the message holds what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A layer that has no step of its own and reads inputs of different sides.
    #[error(
        "node {node:?} is a {kind}, which cannot be compiled for inputs of these shapes; run the network with Model::forward"
    )]
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
    #[error(
        "the output of {node:?} has {c} x {h} x {w} values with zeros around them ({padding:?} above, to the left, below, to the right), more than {limit}"
    )]
    TooLarge {
        /// The layer.
        node: String,
        /// Channels.
        c: usize,
        /// Rows.
        h: usize,
        /// Columns.
        w: usize,
        /// Rows of zeros above, columns to the left, rows below, columns to the right.
        padding: [usize; 4],
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
