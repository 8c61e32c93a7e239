//! How far a training has come.

use serde::{Deserialize, Serialize};

/// What one step came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepResult {
    /// Mean loss of the batch: of labels, or of labels and teacher.
    pub loss: f64,
    /// The penalty, without weight decay that gates do not feel ([`l0::L2::Detached`]): the optimiser adds its
    /// gradient.
    pub penalty: f64,
    /// Labels predicted wrongly; none where numbers are predicted.
    pub wrong: u64,
    /// Examples seen.
    pub seen: u64,
    /// How long it took.
    pub seconds: f64,
}

/// The place of a training and what its steps came to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done of the next one.
    pub step: u64,
    /// Steps done in all.
    pub steps: u64,
    /// Seconds spent in steps.
    pub seconds: f64,
    /// Totals of the epoch that the last step was in.
    pub sums: Sums,
}

impl Progress {
    /// Takes in one more of the `steps` of an epoch.
    pub(crate) fn advance(&mut self, result: &StepResult, steps: u64) {
        if self.step == 0 {
            self.sums = Sums::default();
        }
        self.sums.add(result);
        self.seconds += result.seconds;
        self.steps += 1;
        self.step += 1;
        if self.step == steps {
            (self.epoch, self.step) = (self.epoch + 1, 0);
        }
    }
}

/// Totals over the steps of an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f64, f64, u64, u64)", into = "(f64, f64, u64, u64)")]
pub struct Sums {
    /// Loss, summed over examples.
    pub loss: f64,
    /// Penalty, summed over examples.
    pub penalty: f64,
    /// Labels predicted wrongly; none where numbers are predicted.
    pub wrong: u64,
    /// Examples seen.
    pub seen: u64,
}

impl From<(f64, f64, u64, u64)> for Sums {
    fn from((loss, penalty, wrong, seen): (f64, f64, u64, u64)) -> Self {
        Self { loss, penalty, wrong, seen }
    }
}

impl From<Sums> for (f64, f64, u64, u64) {
    fn from(Sums { loss, penalty, wrong, seen }: Sums) -> Self {
        (loss, penalty, wrong, seen)
    }
}

impl Sums {
    fn add(&mut self, step: &StepResult) {
        self.loss += step.loss * step.seen as f64;
        self.penalty += step.penalty * step.seen as f64;
        self.wrong += step.wrong;
        self.seen += step.seen;
    }

    /// A sum over examples as a mean.
    pub(crate) fn mean(&self, sum: f64) -> f64 {
        sum / self.seen.max(1) as f64
    }
}
