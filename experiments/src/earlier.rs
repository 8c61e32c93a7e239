//! What a row says of the rows that come before it: the one whose networks it begins with, and the one whose networks
//! teach it.

use anyhow::{Result, ensure};
use l0_train::Distillation;
use serde::{Deserialize, Serialize};

/// Most networks that one learns from.
const MOST: u64 = 20;

/// The row whose networks a row begins with, seed by seed, in place of random values: `[start]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRow {
    /// The row that trains them: "resnet20-dense".
    pub row: String,
    /// The share of its epochs that they are trained for, where the row that begins with them is shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_epochs: Option<f64>,
}

/// What a row learns from beside the labels: `[teacher]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taught {
    /// The row that trains the teachers: "lenet5-dropout".
    pub row: String,
    /// How many of them: the mean of their logits is learnt from. Seed s learns from the seeds (s - 1) n + 1 to s n.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub networks: u64,
    /// The share of its row's epochs that a teacher is trained for, where its pupil is shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_epochs: Option<f64>,
    /// T of the distillation.
    pub temperature: f64,
    /// The part of the loss that the teachers' outputs have.
    pub share: f64,
}

fn one() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_one(n: &u64) -> bool {
    *n == 1
}

impl StartRow {
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

impl Taught {
    /// How much of the loss comes from the teachers.
    pub fn distillation(&self) -> Distillation {
        Distillation { temperature: self.temperature, share: self.share }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// If one is out of its range.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!((1..=MOST).contains(&self.networks), "teacher.networks is {}, expected 1 to {MOST}", self.networks);
        check_share("teacher", self.share_of_epochs)?;
        Ok(self.distillation().check()?)
    }

    /// The same for a pupil that is trained for `epochs` in place of `before`.
    pub(crate) fn with_epochs(self, before: u64, epochs: u64) -> Self {
        Self { share_of_epochs: shortened(self.share_of_epochs, before, epochs), ..self }
    }

    /// The seeds of the teachers of a pupil.
    pub(crate) fn seeds(&self, pupil: u64) -> std::ops::RangeInclusive<u64> {
        let before = pupil.saturating_sub(1).saturating_mul(self.networks).min(u64::MAX - self.networks);
        before + 1..=before + self.networks
    }
}

/// Refuses a row that would begin with a network and learn from it after another share of the same training: both are
/// one run.
///
/// # Errors
/// If it would.
pub(crate) fn check_one_run(start: Option<&StartRow>, teacher: Option<&Taught>) -> Result<()> {
    let Some((start, teacher)) = start.zip(teacher).filter(|(start, teacher)| start.row == teacher.row) else {
        return Ok(());
    };
    let [begins, learns] = [start.share_of_epochs, teacher.share_of_epochs].map(|share| share.unwrap_or(1.0));
    ensure!(
        begins == learns,
        "start.share_of_epochs is {begins} and teacher.share_of_epochs {learns}, but {} is trained once for both; give them \
         the same share",
        start.row
    );
    Ok(())
}

fn check_share(table: &str, share: Option<f64>) -> Result<()> {
    let share = share.unwrap_or(1.0);
    ensure!(share > 0.0 && share <= 1.0, "{table}.share_of_epochs is {share}, expected a share above 0, 1 at most");
    Ok(())
}

/// The share of an earlier row's epochs for a row of `epochs` in place of `before`: it is shortened in proportion, and
/// never trained for longer than it says.
fn shortened(share: Option<f64>, before: u64, epochs: u64) -> Option<f64> {
    Some(share.unwrap_or(1.0) * epochs as f64 / before.max(1) as f64).filter(|&share| share < 1.0)
}

/// This share of so many epochs, one at least; all of them without a share.
pub(crate) fn share_of(epochs: u64, share: Option<f64>) -> u64 {
    share.map_or(epochs, |share| ((share * epochs as f64).round() as u64).clamp(1, epochs))
}
