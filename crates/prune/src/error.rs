//! Why a network cannot be pruned, or not as asked.

/// An error of this crate. All but those of training itself are found before it begins.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of its range.
    #[error("{name} is {found}, expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What it is.
        found: String,
        /// What it can be.
        expected: String,
    },
    /// The network is not for such data.
    #[error("the network {what} {found}, the data {expected}; {advice}")]
    Data {
        /// "reads", "gives".
        what: &'static str,
        /// What the network is for.
        found: String,
        /// What the data has.
        expected: String,
        /// What to do.
        advice: String,
    },
    /// No unit of the network can be left out.
    #[error("nothing in this network can be pruned: {why}")]
    Nothing {
        /// Which spaces there are, and what speaks against each.
        why: String,
    },
    /// A compact network does not compute what was trained.
    #[error("the compact network differs from what was trained: {0}")]
    Differs(l0_net::Agreement),
    /// An error of gates.
    #[error(transparent)]
    Gates(#[from] l0::Error),
    /// An error of the network.
    #[error(transparent)]
    Net(#[from] l0_net::Error),
    /// An error of training.
    #[error(transparent)]
    Train(#[from] l0_train::Error),
    /// An error of a run folder.
    #[error(transparent)]
    Record(#[from] l0_record::Error),
    /// An error of data.
    #[error(transparent)]
    Images(#[from] l0_data::Error),
    /// An error of the engine that a network is timed in.
    #[error(transparent)]
    Engine(#[from] l0_infer::Error),
    /// An error of Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An error of the file system.
    #[error("a folder for the run: {0}")]
    Io(#[from] std::io::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
