//! Run folders: what was measured in a training, in files that survive a stop.
//!
//! A run is a folder. [`RunFolder`] writes it while a network is trained:
//!
//! | file | holds | written |
//! | --- | --- | --- |
//! | `run.json` | a [`RunHeader`]: recipe, seed, config, data, machine; at the end the [`Outcome`] | whole, under a temporary name |
//! | `metrics.jsonl` | an [`EpochRow`] a line | row by row, each flushed to the disk |
//! | `gates.json` | every gate's final value, if there are gates | once, at the end |
//! | `events.out.tfevents.*` | the rows again, for TensorBoard | row by row |
//! | `start.safetensors` | [`START`]: the values that the run began with, if those of another run; not written by this crate | once, at the start |
//! | `lock` | nothing; the system marks it as held while a process writes to the run | |
//!
//! [`read_run`] reads such a folder back. Tables and figures are made of it in `l0-report`, so that who only trains
//! compiles none of that.
//!
//! Three decisions, and what they cost:
//!
//! - *What was measured is stored, everything else is computed on reading.* A mean, a share or a
//!   rank can then not disagree with the numbers it was made from. Reading is a little slower.
//! - *A folder holds one run, ever.* A new run refuses a folder that holds anything, a resumed one
//!   refuses a folder whose recipe, seed, data or config is not its own and says which differs
//!   first, and a second process is refused as long as the first one lives. So a run cannot be
//!   started over by repeating its command; it wants a new folder. One that failed before its first epoch ended left
//!   nothing to keep, and makes way ([`RunFolder::makes_way`]).
//! - *Nothing is guessed.* A file of another format is refused by name; a last row that was cut off
//!   is left out and reported. Numbers that are not finite are written as words, for a run that
//!   diverged has to be able to say so.
//!
//! The crate knows no tensor, no recipe and no distribution: published numbers arrive as [`Reference`]s.

pub mod compare;
mod error;
mod folder;
mod header;
mod machine;
mod message;
mod named;
mod number;
mod outcome;
mod place;
mod read;
mod reference;
mod row;
mod tensorboard;
mod time;

pub use error::{Error, Result};
pub use folder::{RunFolder, START};
pub use header::{DataId, FORMAT, Resumed, RunHeader, StartedFrom};
pub use machine::{Machine, forget_peak_memory, machine, peak_memory_bytes};
pub use message::without_backtrace;
pub use named::Named;
pub use outcome::{Outcome, Status};
pub use place::{free_path, run_path};
pub use read::{Run, find_runs, read_run};
pub use reference::Reference;
pub use row::{EpochRow, GATE_BINS, gate_histogram};
pub use time::{now, today};
