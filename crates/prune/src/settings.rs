//! What someone says of a pruning; all else follows from it and from the steps there are.

use l0_train::Optimiser;

use crate::Target;
use crate::gates::Choice;

/// The settings of a pruning.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) target: Target,
    pub(crate) epochs: u64,
    pub(crate) batch_size: usize,
    pub(crate) weight_decay: f64,
    /// Units of a space are kept in multiples of so many.
    pub(crate) multiple: usize,
    pub(crate) optimiser: Option<Optimiser>,
    pub(crate) learning_rate: Option<f64>,
    /// In how many epochs gates learn.
    pub(crate) learning: Option<u64>,
    pub(crate) droprate_init: f64,
    /// How far training images are shifted at most, in pixels.
    pub(crate) shift: Option<usize>,
    pub(crate) choice: Choice,
    /// The share that training aims at until a limit in milliseconds decides.
    pub(crate) aim: Option<f64>,
}

impl Default for Settings {
    /// Half of the multiply-accumulates in 10 epochs.
    fn default() -> Self {
        Self {
            target: Target::Macs(0.5),
            epochs: 10,
            batch_size: 128,
            weight_decay: 5e-4,
            multiple: 1,
            optimiser: None,
            learning_rate: None,
            learning: None,
            droprate_init: 0.02,
            shift: None,
            choice: Choice::default(),
            aim: None,
        }
    }
}
