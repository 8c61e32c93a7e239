//! What can end a run.

use std::fmt;
use std::path::PathBuf;

/// What must stay a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Number {
    /// Mean loss of a batch.
    Loss,
    /// What open gates and large weights cost.
    Penalty,
    /// A value, average or moment of the gates, by its name in a checkpoint.
    Gate(String),
    /// Any other value, average or moment.
    Value(String),
}

impl Number {
    /// What helps when it is none.
    fn advice(&self) -> &'static str {
        match self {
            Self::Loss | Self::Value(_) => "lower the learning rate, or look at the data",
            Self::Penalty => "lower lambda; if that is small, the weight decay or the learning rate",
            Self::Gate(_) => "lower lambda, or the learning rate of the gates",
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss => f.write_str("the training loss"),
            Self::Penalty => f.write_str("the penalty"),
            Self::Gate(name) | Self::Value(name) => f.write_str(name),
        }
    }
}

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot be used.
    #[error("{name} is {found}, expected {expected}")]
    Config {
        /// The setting.
        name: String,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A quantity stopped being a number.
    #[error("{quantity} is {value} at step {step} of epoch {epoch}; {advice}", advice = quantity.advice())]
    NotFinite {
        /// What it is.
        quantity: Number,
        /// What it became.
        value: f64,
        /// The epoch, from 1.
        epoch: u64,
        /// The step in the epoch, from 1.
        step: u64,
    },
    /// A step beyond the end of a training.
    #[error(
        "the training of {epochs} epochs is over after {steps} steps; to go on for longer, start another one from its \
         averages (Trainer::start_from), with frozen_epochs = epochs where its gates are frozen"
    )]
    Over {
        /// The epochs of the training.
        epochs: u64,
        /// The steps that were made.
        steps: u64,
    },
    /// The run was asked to stop; it can be resumed.
    #[error("interrupted in epoch {epoch} after {step} steps; the same command goes on where it stopped, in {folder}", folder = folder.display())]
    Interrupted {
        /// The epoch, from 1.
        epoch: u64,
        /// Steps of it that are done.
        step: u64,
        /// The run folder.
        folder: PathBuf,
    },
    /// The system refused to read or write.
    #[error(transparent)]
    Io(#[from] l0_files::Error),
    /// A checkpoint that cannot be used.
    #[error("{path}: {problem}", path = path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint that is whole, but of another training.
    #[error(
        "{path} is not of this training: {problem}; go on with the settings that it was written with, or train in another \
         folder",
        path = path.display()
    )]
    OtherTraining {
        /// The file, which is left as it is.
        path: PathBuf,
        /// What is not the same.
        problem: String,
    },
    /// A checkpoint of another version of this crate.
    #[error(
        "{path} has format {found}, this program reads {expected}: finish the run with the version that began it, or move its \
         folder away to train it anew",
        path = path.display()
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format of this version.
        expected: u32,
    },
    /// The images do not fit the network.
    #[error("the network reads images of {expected:?}, {data} has {found:?}")]
    Images {
        /// The data set.
        data: String,
        /// Shape of its images.
        found: Vec<usize>,
        /// Shape of the network's input.
        expected: Vec<usize>,
    },
    /// Labels that the outputs of the network cannot be held against.
    #[error(
        "the network computes {output:?}, the labels are {found:?}, expected {expected:?}: classes (b,) for (b, classes) and \
         (b, h, w) for (b, classes, h, w), numbers of the outputs' own shape"
    )]
    Labels {
        /// Shape of the labels.
        found: Vec<usize>,
        /// Shape of the outputs.
        output: Vec<usize>,
        /// Shape of labels that would fit.
        expected: Vec<usize>,
    },
    /// An error of the network.
    #[error(transparent)]
    Net(#[from] l0_net::Error),
    /// An error of the gates.
    #[error(transparent)]
    Gates(#[from] l0::Error),
    /// An error of the data.
    #[error(transparent)]
    Data(#[from] l0_data::Error),
    /// An error of the run folder.
    #[error(transparent)]
    Record(#[from] l0_record::Error),
    /// An error of Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn config(name: &str, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Config { name: name.into(), found: found.to_string(), expected: expected.into() }
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
