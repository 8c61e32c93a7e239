//! What is asked of a smaller network.

use std::fmt;

use l0::Quantity;

/// How far a latency may be above its limit and still meet it: no clock is better here.
const TOLERANCE: f64 = 1.05;

/// The share of the weights below which a price has closed the network itself.
const TOO_FEW_WEIGHTS: f64 = 1e-3;

/// How much of a network is to be left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// This share of the weights of its linear layers and convolutions, in (0, 1].
    Weights(f64),
    /// This share of the multiply-accumulates that an example takes, in (0, 1].
    Macs(f64),
    /// As many multiply-accumulates as take so many milliseconds, for one example on one thread of this machine in
    /// `infer`.
    Latency(f64),
    /// So many of the numbers that the network reads, as columns of a table; its other layers stay as they are.
    Inputs(usize),
    /// Whatever a price of lambda / N for each open weight leaves, in the paper's unit; above 0.
    Price(f64),
}

impl Target {
    /// The number that was asked for: a share, milliseconds, inputs, or a lambda.
    pub fn asked(self) -> f64 {
        match self {
            Self::Weights(share) | Self::Macs(share) => share,
            Self::Latency(milliseconds) => milliseconds,
            Self::Inputs(inputs) => inputs as f64,
            Self::Price(lambda) => lambda,
        }
    }

    /// What training bounds.
    pub fn quantity(self) -> Quantity {
        match self {
            Self::Weights(_) | Self::Inputs(_) | Self::Price(_) => Quantity::Weights,
            Self::Macs(_) | Self::Latency(_) => Quantity::Macs,
        }
    }

    /// Whether a network of which this is left meets it: a share, inputs, or milliseconds, of which 5 % more are no
    /// miss. A price is met by whatever it leaves, but for less than a thousandth of the weights, on which no output
    /// can well depend.
    pub fn is_met_by(self, left: f64) -> bool {
        match self {
            Self::Weights(share) | Self::Macs(share) => left <= share,
            Self::Latency(milliseconds) => left <= TOLERANCE * milliseconds,
            Self::Inputs(inputs) => left <= inputs as f64,
            Self::Price(_) => left >= TOO_FEW_WEIGHTS,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weights(share) => write!(f, "{share} of the weights"),
            Self::Macs(share) => write!(f, "{share} of the MACs"),
            Self::Latency(milliseconds) => write!(f, "{milliseconds} ms"),
            Self::Inputs(inputs) => write!(f, "{inputs} inputs"),
            Self::Price(lambda) => write!(f, "what lambda = {lambda}/N leaves of the weights"),
        }
    }
}
