//! What can go wrong, said so that the reader knows what to do next.

use std::path::PathBuf;

/// The result of everything in this crate that touches a file.
pub type Result<T> = std::result::Result<T, Error>;

/// A mistake in what was asked, or in the files that were found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused to read or write.
    #[error(transparent)]
    Io(#[from] l0_files::Error),

    /// The folder of a new run already holds something.
    #[error("{} already holds {found}; choose a new folder, or resume that run", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
        /// What it holds.
        found: String,
    },

    /// Another process is writing to the run.
    #[error("another process is writing to {}; wait for it or stop it, then try again", path.display())]
    Locked {
        /// The run's folder.
        path: PathBuf,
    },

    /// A folder without a `run.json`.
    #[error("{} holds no run: there is no run.json in it; give the folder that has one", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },

    /// The run in the folder is not the one that was asked for.
    #[error("{} is a run with {field} = {stored}, but {asked} was asked for; {}", path.display(), way_out(field))]
    Differs {
        /// The run's folder.
        path: PathBuf,
        /// The first field that differs, as `config.optimiser.lr`.
        field: String,
        /// Its value in the folder.
        stored: String,
        /// Its value in the request.
        asked: String,
    },

    /// A finished run was asked to go on.
    #[error("the run in {} is finished; there is nothing to resume", path.display())]
    Finished {
        /// The run's folder.
        path: PathBuf,
    },

    /// A file's content cannot be understood.
    #[error("{}, line {line}: {message}; expected {expected}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was found there.
        message: String,
        /// What should stand there.
        expected: &'static str,
    },

    /// A file of another version of this format.
    #[error("{} has format {found}, this program reads format {expected}; read it with the program that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        expected: u32,
    },

    /// A row that does not follow the last one.
    #[error("{}: a row of epoch {next} cannot follow one of epoch {last}; truncate the rows to the checkpoint first", path.display())]
    Order {
        /// The metrics file.
        path: PathBuf,
        /// The last epoch in the file.
        last: u64,
        /// The epoch of the refused row.
        next: u64,
    },

    /// What was to be written has no form in the file, or none that could be read back.
    #[error("cannot write {}: {problem}, expected {expected}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What stands in the way.
        problem: String,
        /// What the file can hold.
        expected: &'static str,
    },

    /// Rows that a checkpoint relies on are not in the file.
    #[error("{} ends at epoch {found}, but the checkpoint is of epoch {expected}; without the newest file in checkpoints/ the run goes on from the one before, without any from its start", path.display())]
    MissingRows {
        /// The metrics file.
        path: PathBuf,
        /// The last epoch in the file, 0 if there is none.
        found: u64,
        /// The epoch of the checkpoint.
        expected: u64,
    },

    /// A name that cannot be part of a path.
    #[error("{name:?} cannot name a folder; use letters, digits, '-', '_' and '.', not starting with '.'")]
    Name {
        /// The name.
        name: String,
    },
}

/// What helps where this field differs; a digest is no value that anyone could use.
fn way_out(field: &str) -> &'static str {
    match field {
        _ if field.starts_with("data.normalise") => "normalise as it was recorded, or choose a new folder",
        "data.sha256" => "give the same data, with the same --validation, or a new folder",
        "started_from" => "begin with the same values, or choose a new folder",
        "taught_by" => "learn from the same networks, or choose a new folder",
        _ => "use the stored value, or a new folder",
    }
}
