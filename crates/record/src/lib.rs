//! Rows of a run, the files that hold them, and the tables and plots made from them.

mod compare;
mod error;
mod files;
mod folder;
mod header;
mod machine;
mod named;
mod number;
mod place;
mod read;
mod row;
mod tensorboard;
mod time;

pub use error::{Error, Result};
pub use folder::RunFolder;
pub use header::{DataId, FORMAT, Outcome, Reference, Resumed, RunHeader, Status};
pub use machine::{Machine, machine, peak_memory_bytes};
pub use named::Named;
pub use place::{dated_path, free_path, run_path};
pub use read::{Run, find_runs, read_run};
pub use row::{EpochRow, GATE_BINS, gate_histogram};
pub use time::{now, today};
