//! What a row that begins with the trained networks of another row says of them.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The row whose networks one begins with, seed by seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// The row that trains them: "resnet20-dense".
    pub row: String,
    /// The share of its epochs that they are trained for, where the row that begins with them is shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_epochs: Option<f64>,
}

impl Begun {
    /// Checks every number.
    ///
    /// # Errors
    /// If one is out of its range.
    pub(crate) fn check(&self) -> Result<()> {
        check_share("start", self.share_of_epochs)
    }

    /// The same for a row that is trained for `epochs` in place of `before`.
    pub(crate) fn with_epochs(self, before: u64, epochs: u64) -> Self {
        Self { share_of_epochs: shortened(self.share_of_epochs, before, epochs), ..self }
    }
}

/// Checks a share of the epochs of another row; none is all of them.
///
/// # Errors
/// If it is none.
pub(crate) fn check_share(table: &str, share: Option<f64>) -> Result<()> {
    let share = share.unwrap_or(1.0);
    ensure!(share > 0.0 && share <= 1.0, "{table}.share_of_epochs is {share}, expected a share above 0, 1 at most");
    Ok(())
}

/// The share for a row that is trained for `epochs` in place of `before`: the other is shortened in proportion, and never
/// trained for longer.
pub(crate) fn shortened(share: Option<f64>, before: u64, epochs: u64) -> Option<f64> {
    Some(share.unwrap_or(1.0) * epochs as f64 / before.max(1) as f64).filter(|&share| share < 1.0)
}

/// Epochs of a row that has so many, of which this share is trained.
pub(crate) fn epochs_of(share: Option<f64>, row: u64) -> u64 {
    share.map_or(row, |share| ((share * row as f64).round() as u64).clamp(1, row))
}
