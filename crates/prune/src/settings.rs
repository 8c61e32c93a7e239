//! What someone says of a pruning; all else follows from it and from the steps there are.

use l0::Ranking;
use l0_train::Optimiser;

use crate::Target;
use crate::gates::{Choice, ResidualStream};

/// The settings of a pruning.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) target: Target,
    pub(crate) epochs: u64,
    pub(crate) batch_size: Option<usize>,
    pub(crate) weight_decay: f64,
    /// Units of a space are kept in multiples of so many.
    pub(crate) multiple: usize,
    /// How units of different spaces are compared, if anything was said of it.
    pub(crate) ranking: Option<Ranking>,
    pub(crate) optimiser: Option<Optimiser>,
    pub(crate) learning_rate: Option<f64>,
    /// In how many epochs gates learn.
    pub(crate) learning: Option<u64>,
    pub(crate) droprate_init: f64,
    /// How far training images are shifted at most, in pixels.
    pub(crate) shift: Option<usize>,
    pub(crate) choice: Choice,
    /// What becomes of the stream, if anything was said of it.
    pub(crate) stream: Option<ResidualStream>,
    /// The share that training aims at until a limit in milliseconds decides.
    pub(crate) aim: Option<f64>,
}

/// Examples in a batch, unless there are few of them.
const BATCH: usize = 128;

/// The fewest in a batch of few examples.
const SMALLEST_BATCH: usize = 16;

/// Steps that an epoch of few examples should have.
const STEPS: usize = 50;

/// Steps that gates should learn for.
const LEARNING_STEPS: u64 = 200;

/// The share of the epochs in which gates learn.
const LEARNING: f64 = 0.1;

impl Settings {
    /// The size of a batch: what was said, or 128, halved for as long as an epoch of so many examples has fewer than 50
    /// steps, 16 at least.
    pub(crate) fn batch_of(&self, examples: usize) -> usize {
        let mut usual = BATCH;
        while usual > SMALLEST_BATCH && examples.div_ceil(usual) < STEPS {
            usual /= 2;
        }
        self.batch_size.unwrap_or(usual)
    }

    /// In how many epochs of so many steps gates learn: what was said, or a tenth of the epochs, or as many as have 200
    /// steps, but no more than half of them.
    pub(crate) fn learning_of(&self, steps: u64) -> u64 {
        let tenth = (LEARNING * self.epochs as f64).round() as u64;
        let enough = LEARNING_STEPS.div_ceil(steps.max(1)).min(self.epochs / 2);
        self.learning.unwrap_or(tenth.max(enough)).clamp(1, self.epochs - 1)
    }
}

impl Default for Settings {
    /// Half of the multiply-accumulates in 10 epochs.
    fn default() -> Self {
        Self {
            target: Target::Macs(0.5),
            epochs: 10,
            batch_size: None,
            weight_decay: 5e-4,
            multiple: 1,
            ranking: None,
            optimiser: None,
            learning_rate: None,
            learning: None,
            droprate_init: 0.02,
            shift: None,
            choice: Choice::default(),
            stream: None,
            aim: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_examples_come_in_small_batches_and_gates_learn_for_longer() {
        let of = |examples: usize, epochs: u64| {
            let settings = Settings { epochs, ..Settings::default() };
            let batch = settings.batch_of(examples);
            (batch, settings.learning_of(examples.div_ceil(batch) as u64))
        };
        assert_eq!(of(50_000, 10), (128, 1)); // 391 steps an epoch
        assert_eq!(of(6_273, 10), (128, 4)); // 50
        assert_eq!(of(6_272, 10), (64, 3)); // 98
        assert_eq!(of(640, 10), (16, 5)); // 40: five epochs of ten have 200 steps
        assert_eq!(of(640, 100), (16, 10));
        assert_eq!(of(1, 2), (16, 1));
        let asked = Settings { batch_size: Some(500), learning: Some(2), ..Settings::default() };
        assert_eq!((asked.batch_of(640), asked.learning_of(2)), (500, 2));
    }
}
