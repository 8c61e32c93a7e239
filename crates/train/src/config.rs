//! How a network is trained: everything but the network, its [objective](l0::Objective), the data and the seed.

use l0::{Estimator, Fit, Objective, Sampling};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// More epochs than any run has.
pub const MOST_EPOCHS: u64 = 1_000_000;

/// More images than any batch here has.
const LARGEST_BATCH: usize = 1_000_000;

/// What is expected where no epoch is frozen, and one has to be.
const ONE_FROZEN: &str = "1 or more, and so 2 epochs or more";

/// An optimiser and its constants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimiser {
    /// Adam (Kingma and Ba, 2015).
    Adam {
        /// Step size.
        learning_rate: f64,
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        eps: f64,
    },
    /// Adam with one second moment for a whole parameter, the mean of those of its numbers (after NovoGrad, Ginsburg et
    /// al. 2019): for gates. Those that matter least close first.
    Novograd {
        /// Step size.
        learning_rate: f64,
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        eps: f64,
    },
    /// Gradient descent with momentum.
    Sgd {
        /// Step size.
        learning_rate: f64,
        /// Decay of the velocity.
        momentum: f64,
        /// Look ahead along the velocity.
        nesterov: bool,
    },
    /// Orthogonal steps for weights that are matrices (Muon, Jordan et al. 2024), and Adam for all else: biases,
    /// normalisations, convolutions of a single input channel. Gates have an optimiser of their own beside it.
    Muon {
        /// How far a step of a matrix goes, as a share of its norm.
        learning_rate: f64,
        /// Decay of the velocity of matrices.
        momentum: f64,
        /// Step size of Adam, with the constants of its paper.
        adam_rate: f64,
    },
}

impl Optimiser {
    /// Adam with the constants of its paper.
    pub fn adam(learning_rate: f64) -> Self {
        Self::Adam { learning_rate, beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }

    /// One second moment for a whole parameter, with the constants of Adam's paper.
    pub fn novograd(learning_rate: f64) -> Self {
        Self::Novograd { learning_rate, beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }

    /// Muon with the momentum that suits a network with normalisations.
    pub fn muon(learning_rate: f64) -> Self {
        Self::Muon { learning_rate, momentum: 0.9, adam_rate: 0.1 * learning_rate }
    }

    /// The same at another learning rate; Muon's Adam changes in proportion.
    #[must_use]
    pub fn with_rate(self, rate: f64) -> Self {
        match self {
            Self::Adam { beta1, beta2, eps, .. } => Self::Adam { learning_rate: rate, beta1, beta2, eps },
            Self::Novograd { beta1, beta2, eps, .. } => Self::Novograd { learning_rate: rate, beta1, beta2, eps },
            Self::Sgd { momentum, nesterov, .. } => Self::Sgd { learning_rate: rate, momentum, nesterov },
            Self::Muon { learning_rate, momentum, adam_rate } => {
                Self::Muon { learning_rate: rate, momentum, adam_rate: adam_rate * rate / learning_rate }
            }
        }
    }

    /// Checks every number; `name` is how messages call this optimiser.
    fn check(&self, name: &str) -> Result<()> {
        let (rate, shares, eps) = match *self {
            Self::Adam { learning_rate, beta1, beta2, eps } | Self::Novograd { learning_rate, beta1, beta2, eps } => {
                (learning_rate, vec![("beta1", beta1), ("beta2", beta2)], eps)
            }
            Self::Sgd { learning_rate, momentum, .. } => (learning_rate, vec![("momentum", momentum)], 1.0),
            Self::Muon { learning_rate, momentum, adam_rate } => {
                positive(&format!("{name}.adam_rate"), adam_rate)?;
                (learning_rate, vec![("momentum", momentum)], 1.0)
            }
        };
        positive(&format!("{name}.learning_rate"), rate)?;
        positive(&format!("{name}.eps"), eps)?;
        shares.into_iter().try_for_each(|(of, share)| below_one(&format!("{name}.{of}"), share))
    }

    /// The step size before any schedule.
    pub fn learning_rate(&self) -> f64 {
        match *self {
            Self::Adam { learning_rate, .. }
            | Self::Novograd { learning_rate, .. }
            | Self::Sgd { learning_rate, .. }
            | Self::Muon { learning_rate, .. } => learning_rate,
        }
    }
}

/// How learning rates change over a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// They do not.
    Constant,
    /// They are multiplied by `factor` after each of the listed epochs.
    Steps {
        /// Numbers of epochs done.
        after: Vec<u64>,
        /// The factor.
        factor: f64,
    },
    /// They climb in a straight line from 0, then fall in one to 0 at the end, step by step (Smith 2018): the schedule
    /// for few epochs.
    OneCycle {
        /// The share of the training after which they are at their height.
        peak: f64,
    },
    /// One rate while gates learn, then one cycle for the network that they leave: once they are frozen, rates climb to
    /// their height and fall to 0 at the end.
    Settle {
        /// What rates are multiplied by until the gates are frozen.
        before: f64,
        /// The share of the frozen epochs after which they are at their height.
        peak: f64,
    },
}

impl Schedule {
    fn check(&self) -> Result<()> {
        match self {
            Self::Constant => Ok(()),
            Self::Steps { factor, .. } => positive("schedule.factor", *factor),
            Self::OneCycle { peak } => below_one("schedule.peak", *peak),
            Self::Settle { before, peak } => {
                positive("schedule.before", *before)?;
                below_one("schedule.peak", *peak)
            }
        }
    }

    /// What learning rates are multiplied by at a point of a training of `epochs` epochs, in epochs from its start;
    /// gates are frozen for the last `frozen` of them.
    pub fn factor(&self, at: f64, epochs: u64, frozen: u64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Steps { after, factor } => factor.powi(after.iter().filter(|&&n| n as f64 <= at).count() as i32),
            Self::OneCycle { peak } => cycle(at / epochs as f64, *peak),
            Self::Settle { before, peak } => {
                let learning = epochs.saturating_sub(frozen) as f64;
                if at < learning { *before } else { cycle((at - learning) / frozen as f64, *peak) }
            }
        }
    }
}

/// Up in a straight line from 0 to 1 at `peak`, and down in one to 0 at 1.
fn cycle(done: f64, peak: f64) -> f64 {
    if done < peak { done / peak } else { ((1.0 - done) / (1.0 - peak)).max(0.0) }
}

/// How a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Passes over the training images.
    pub epochs: u64,
    /// Images in a batch.
    pub batch_size: usize,
    /// Optimiser of weights, biases and normalisations.
    pub optimiser: Optimiser,
    /// Optimiser of the gates.
    pub gate_optimiser: Optimiser,
    /// How both learning rates change.
    pub schedule: Schedule,
    /// L2 coefficient of the parameters that no gate covers; that of gated ones belongs to the
    /// [objective](l0::Objective::weight_decay).
    pub weight_decay: f64,
    /// Decay of the average of all values that is evaluated; 0 evaluates the values themselves.
    pub average: f64,
    /// One sample of the gates for a batch, or one for each example.
    pub sampling: Sampling,
    /// What a gate is worth at test time.
    pub estimator: Estimator,
    /// For how many last epochs the gates stay at their test-time values, brought within the objective's constraint
    /// first, while the weights adapt to them. All epochs only for a training that [starts](crate::Job::start) from
    /// gates that are chosen: they never learn then, and are not brought within anything. At least one where the
    /// constraint fills gates in or the schedule is [`Schedule::Settle`].
    pub frozen_epochs: u64,
}

impl Training {
    /// The steps of an epoch on `n_train` examples: its batches, the last incomplete one included.
    pub fn steps_an_epoch(&self, n_train: usize) -> u64 {
        n_train.div_ceil(self.batch_size.max(1)) as u64
    }

    /// Checks every number.
    ///
    /// # Errors
    /// If one is out of its range; the message says which.
    pub fn check(&self) -> Result<()> {
        if !(1..=MOST_EPOCHS).contains(&self.epochs) {
            return wrong("epochs", self.epochs, format!("1 to {MOST_EPOCHS}"));
        }
        if !(1..=LARGEST_BATCH).contains(&self.batch_size) {
            return wrong("batch_size", self.batch_size, format!("1 to {LARGEST_BATCH}"));
        }
        self.optimiser.check("optimiser")?;
        self.gate_optimiser.check("gate_optimiser")?;
        if let Optimiser::Muon { .. } = self.gate_optimiser {
            return wrong("gate_optimiser.kind", "muon", "adam, novograd or sgd: gates are no matrices");
        }
        self.schedule.check()?;
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return wrong("weight_decay", self.weight_decay, "a number of 0 or more");
        }
        below_one("average", self.average)?;
        if self.frozen_epochs > self.epochs {
            return wrong("frozen_epochs", self.frozen_epochs, format!("0 to {}", self.epochs));
        }
        if self.frozen_epochs == 0 && matches!(self.schedule, Schedule::Settle { .. }) {
            let why = "the schedule \"settle\" is for what frozen gates leave";
            return wrong("frozen_epochs", 0, format!("{ONE_FROZEN}: {why}"));
        }
        Ok(())
    }

    /// Checks that it does what `objective` asks of it: gates that are to be filled in as they freeze do freeze, and are
    /// not chosen among again by [`Estimator::TopK`].
    ///
    /// # Errors
    /// If it does not; the message says what to change.
    pub fn check_with(&self, objective: &Objective) -> Result<()> {
        if !objective.constraint().is_some_and(|constraint| matches!(constraint.fit, Fit::Fill(_))) {
            return Ok(());
        }
        if self.frozen_epochs == 0 {
            let why = "the constraint's `fit = { fill = ... }` is done as gates freeze";
            return wrong(
                "training.frozen_epochs",
                0,
                format!("{ONE_FROZEN}: {why}; or leave it out, and read gates by top-k"),
            );
        }
        if self.estimator == Estimator::TopK {
            let why = "the estimator top-k chooses among the gates again that `fit = { fill = ... }` has chosen";
            return wrong("training.estimator", Estimator::TopK, format!("mean or median: {why}"));
        }
        Ok(())
    }

    /// What learning rates are multiplied by in a step, counted from 0, of the `steps` in the epoch after `epoch`
    /// epochs.
    pub fn rate_factor(&self, epoch: u64, step: u64, steps: u64) -> f64 {
        // In the middle of the step: a cycle's first and last step have a learning rate, too.
        let at = epoch as f64 + (step as f64 + 0.5) / steps as f64;
        self.schedule.factor(at, self.epochs, self.frozen_epochs)
    }

    /// Whether the gates are frozen in the epoch after `done` epochs.
    pub fn is_frozen(&self, done: u64) -> bool {
        self.frozen_epochs > 0 && done + self.frozen_epochs >= self.epochs
    }
}

pub(crate) fn positive(name: &str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() { Ok(()) } else { wrong(name, value, "a number above 0") }
}

fn below_one(name: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) { Ok(()) } else { wrong(name, value, "0 or more and below 1") }
}

pub(crate) fn wrong(name: &str, found: impl ToString, expected: impl Into<String>) -> Result<()> {
    Err(Error::config(name, found, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cycle_climbs_to_its_peak_and_falls_to_zero() {
        let schedule = Schedule::OneCycle { peak: 0.25 };
        let factors = [0.0, 2.5, 5.0, 12.5, 20.0, 21.0].map(|at| schedule.factor(at, 20, 0));
        assert_eq!(factors, [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]);
        assert_eq!(Schedule::OneCycle { peak: 0.0 }.factor(0.0, 20, 0), 1.0);
    }

    #[test]
    fn a_network_settles_in_a_cycle_of_its_own_once_gates_are_frozen() {
        let schedule = Schedule::Settle { before: 0.25, peak: 0.5 };
        let factors = [0.0, 3.9, 4.0, 5.5, 7.0, 8.5, 10.0].map(|at| schedule.factor(at, 10, 6));
        assert_eq!(factors, [0.25, 0.25, 0.0, 0.5, 1.0, 0.5, 0.0]);
        assert_eq!(schedule.factor(9.9, 10, 0), 0.25);
    }

    #[test]
    fn steps_count_from_the_end_of_the_epochs_they_name() {
        let schedule = Schedule::Steps { after: vec![1, 3], factor: 0.5 };
        assert_eq!(
            [0.0, 0.9, 1.0, 2.9, 3.0, 9.0].map(|at| schedule.factor(at, 9, 0)),
            [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
        );
    }
}
