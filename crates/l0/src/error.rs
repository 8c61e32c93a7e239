//! What can be wrong with gates, with a configuration, or with what either is put on.

/// An error of this crate: most are found when something is configured, not in the middle of a run.
///
/// Layers, whose mistakes are mismatched shapes, return [`candle_core::Error`] as Candle's own do; an error of this
/// kind turns into one with `?`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The constants do not describe a hard concrete distribution.
    #[error(
        "hard concrete needs beta > 0, zeta > 1 and gamma <= -zeta / 100^(1 / max(1, beta)), found beta {beta}, gamma \
         {gamma}, zeta {zeta}: nearer to 0, no gate could close"
    )]
    Distribution {
        /// Temperature found.
        beta: f64,
        /// Lower end found.
        gamma: f64,
        /// Upper end found.
        zeta: f64,
    },
    /// A number lies outside of its range.
    #[error("{name} must be {range}, found {found}")]
    Range {
        /// What the number is.
        name: &'static str,
        /// Where it may lie, in words.
        range: &'static str,
        /// The number.
        found: f64,
    },
    /// A word is not one of those known.
    #[error("unknown {what} {found:?}, expected one of {expected}")]
    Unknown {
        /// What the word should name.
        what: &'static str,
        /// The word.
        found: String,
        /// The words known.
        expected: &'static str,
    },
    /// A target density that no network with these gates can have.
    #[error(
        "{target} of the {of} is asked for, but the smallest network with these gates keeps {}: with less, nothing \
         of the input would reach the output; ask for more, place gates on more layers, or lower \
         the multiple in which channels are kept",
        share(*least)
    )]
    Target {
        /// The density asked for.
        target: f64,
        /// What it is a share of.
        of: String,
        /// The density of the smallest network.
        least: f64,
    },
    /// Lists that belong together have different lengths.
    #[error("found {found} {what}, expected {expected}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: String,
    },
    /// An error of the network that the gates are on.
    #[error(transparent)]
    Net(#[from] l0_net::Error),
    /// An error of Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) | Error::Net(l0_net::Error::Candle(error)) => error,
            error => candle_core::Error::wrap(error),
        }
    }
}

/// `found` if it lies in the range that `range` says in words and `holds` tells.
pub(crate) fn in_range(name: &'static str, found: f64, range: &'static str, holds: bool) -> Result<f64> {
    if holds { Ok(found) } else { Err(Error::Range { name, range, found }) }
}

/// A share as one reads it: 0.78, 0.045, 2.3e-5.
fn share(least: f64) -> String {
    if least >= 1e-3 { format!("{}", (least * 1e4).ceil() / 1e4) } else { format!("{least:.1e}") }
}
