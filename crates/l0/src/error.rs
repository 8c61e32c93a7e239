//! Values of a configuration that cannot mean anything.

/// What is wrong with a configuration; found when it is made, not in the middle of a run.
///
/// Layers, whose other mistakes are mismatched shapes, return [`candle_core::Error`] as Candle's own do; an error of
/// this kind turns into one with `?`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The constants do not describe a hard concrete distribution.
    #[error("hard concrete needs beta > 0 and gamma < 0 < 1 < zeta, found beta {beta}, gamma {gamma}, zeta {zeta}")]
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
    /// Lists that belong together have different lengths.
    #[error("found {found} {what}, expected {expected}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        candle_core::Error::wrap(error)
    }
}

/// `found` if it lies in the range that `range` says in words and `holds` tells.
pub(crate) fn in_range(name: &'static str, found: f64, range: &'static str, holds: bool) -> Result<f64> {
    if holds { Ok(found) } else { Err(Error::Range { name, range, found }) }
}
