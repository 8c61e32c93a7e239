//! Training: from a network, data and a [`Training`] to a run folder with its metrics and final values.
//!
//! [`run`] holds the loop over epochs and reads down a page; [`Trainer::step`] is one step of it. What a step needs to
//! be repeated bit for bit is in three places: the values in a [`Trainer`], which a checkpoint saves; the address
//! (seed, epoch, step) of all its random numbers; and the [`Training`] it was configured with.
//!
//! This is the only crate that calls `backward`.

mod average;
mod checkpoint;
mod config;
mod error;
mod evaluate;
mod gated;
mod optimiser;
mod run;
mod trainer;

pub use average::Average;
pub use checkpoint::{Checkpoints, State};
pub use config::{Constraint, Optimiser, Schedule, Training};
pub use error::{Error, Number, Result};
pub use evaluate::{Evaluation, evaluate};
pub use gated::{DATASET, GATED, card};
pub use run::{Finished, Job, Watch, run};
pub use trainer::{StepResult, Sums, Trainer};
