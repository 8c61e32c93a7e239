//! Why a network cannot be quantised.

/// An error of this crate; the message holds what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are no inputs to calibrate on.
    #[error(
        "no inputs to calibrate on: the ranges of what a network computes follow from a few hundred training examples"
    )]
    NoInputs,
    /// The network computes something that is no finite number, or too large or small to be quantised.
    #[error(
        "layer {node:?} makes values from {least} to {most} of the inputs for calibration, expected finite numbers; a \
         network that computes such things cannot be quantised"
    )]
    Range {
        /// The layer.
        node: String,
        /// The least value, or what is no number.
        least: f32,
        /// The largest value.
        most: f32,
    },
    /// A weight or a bias that is no finite number.
    #[error("layer {node:?} has values that are no finite numbers; a network that has them cannot be quantised")]
    Weights {
        /// The layer.
        node: String,
    },
    /// Nothing in the network is a linear layer or a convolution.
    #[error("nothing in this network can be quantised: it has neither a linear layer nor a convolution")]
    Nothing,
    /// A percentile that is none.
    #[error("a percentile of {found}, expected more than 50 and at most 100")]
    Percentile {
        /// What it is.
        found: f64,
    },
    /// An error of the network.
    #[error(transparent)]
    Net(#[from] l0_net::Error),
    /// An error of Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
