//! Training: from a network, its [objective](l0::Objective), data and a [`Training`] to a run folder with its metrics
//! and final values.
//!
//! [`run`] holds the loop over epochs and reads down a page; [`Trainer::step`] is one step of it. What a step needs to
//! be repeated bit for bit is in two places: the values, seed, place and multipliers of a [`Trainer`], which a checkpoint
//! holds, and what it was configured with: the objective, the [`Training`], a [`Teacher`] and what [freezes](Freeze) its
//! gates, all of which must be set again after a resume.
//!
//! This is the only library code that calls `backward`.

mod average;
mod checkpoint;
mod config;
mod error;
mod evaluate;
mod expected;
mod gated;
mod loss;
mod optimiser;
mod pace;
mod precision;
mod progress;
mod run;
mod score;
mod teacher;
mod terms;
mod trainer;

pub use average::Average;
pub use checkpoint::Checkpoints;
pub use config::{MOST_EPOCHS, Optimiser, Schedule, Training};
pub use error::{Error, Number, Result};
pub use evaluate::{Evaluation, evaluate, evaluation_batch};
pub use gated::{DATA, DATA_CAVEAT, DATASET, GATED, card};
pub use loss::Loss;
pub use precision::Precision;
pub use progress::{Progress, StepResult, Sums};
pub use run::{Finished, Job, Watch, run};
pub use score::{Score, Tally, significant};
pub use teacher::{Distillation, Teacher};
pub use trainer::{Freeze, Trainer};
