//! What a row that learns from other networks of this workspace says of them.

use anyhow::{Result, ensure};
use l0_train::Distillation;
use serde::{Deserialize, Serialize};

use crate::begun;

/// Most networks that one learns from.
const MOST: u64 = 20;

/// What a row learns from beside the labels.
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
        begun::check_share("teacher", self.share_of_epochs)?;
        Ok(self.distillation().check()?)
    }

    /// The same for a pupil that is trained for `epochs` in place of `before`: its teachers are trained shorter in
    /// proportion, and never longer.
    pub(crate) fn with_epochs(self, before: u64, epochs: u64) -> Self {
        Self { share_of_epochs: begun::shortened(self.share_of_epochs, before, epochs), ..self }
    }

    /// The seeds of the teachers of a pupil.
    pub(crate) fn seeds(&self, pupil: u64) -> std::ops::RangeInclusive<u64> {
        let first = pupil.saturating_sub(1).saturating_mul(self.networks) + 1;
        first..=first + self.networks - 1
    }
}
