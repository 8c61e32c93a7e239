//! What is asked of a smaller network.

use std::fmt;

use l0::Quantity;

/// How much of a network is to be left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// This share of the weights of its linear layers and convolutions, in (0, 1].
    Weights(f64),
    /// This share of the multiply-accumulates that an example takes, in (0, 1].
    Macs(f64),
}

impl Target {
    /// The share.
    pub fn share(self) -> f64 {
        match self {
            Self::Weights(share) | Self::Macs(share) => share,
        }
    }

    /// Of what.
    pub fn quantity(self) -> Quantity {
        match self {
            Self::Weights(_) => Quantity::Weights,
            Self::Macs(_) => Quantity::Macs,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self {
            Self::Weights(_) => "weights",
            Self::Macs(_) => "MACs",
        };
        write!(f, "{} of the {of}", self.share())
    }
}
