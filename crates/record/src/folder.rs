//! The folder of one run, while it is being written.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use l0_files::{At, Existing, write};

use crate::compare::{check_same, settled};
use crate::read::{self, GATES, HEADER, METRICS};
use crate::{EpochRow, Error, Named, Outcome, Result, Resumed, RunHeader, Status};
use crate::{tensorboard, time, without_backtrace};

/// The file in a run's folder with the values that it began with, where they are those of another run. Who trains writes
/// it; it is removed where another run takes the place of this one.
pub const START: &str = "start.safetensors";

const LOCK: &str = "lock";

/// Longer than anyone needs to see whether a folder is locked.
const GLANCE: Duration = Duration::from_millis(20);

/// The folder of one run, held by this process until it is dropped.
///
/// ```
/// use l0_record::{EpochRow, Outcome, RunFolder, RunHeader, read_run};
///
/// # let temp = tempfile::tempdir()?;
/// # let path = temp.path().join("seed-1");
/// let header = RunHeader::new("mlp-l0", 1, serde_json::json!({ "epochs": 1 }));
/// let mut folder = RunFolder::create(&path, &header)?;
/// folder.append(&EpochRow { epoch: 1, step: 600, ..EpochRow::default() })?;
/// folder.finish(Outcome { test_error_percent: Some(1.4), ..Outcome::default() })?;
///
/// let run = read_run(&path)?;
/// assert_eq!(run.rows.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    header: RunHeader,
    metrics: File,
    events: File,
    last_epoch: u64,
    /// Held, not read: the system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl RunFolder {
    /// Starts a run in a new or empty folder. One that is refused is left as it is.
    ///
    /// # Errors
    /// If it holds something, another process is at work there, or a file cannot be written.
    pub fn create(path: impl AsRef<Path>, header: &RunHeader) -> Result<Self> {
        let path = path.as_ref();
        fs::create_dir_all(path).at("create the folder", path)?;
        // A lock is a file: none is put into a folder of something else.
        refuse_taken(path).map_err(|taken| if Self::is_locked(path) { locked(path) } else { taken })?;
        let lock = lock(path)?;
        refuse_taken(path)?; // by another process meanwhile
        Self::begin(path, header, lock)
    }

    fn begin(path: &Path, header: &RunHeader, lock: File) -> Result<Self> {
        let header = RunHeader { status: Status::Running, ..header.clone() };
        header.write(&path.join(HEADER))?;
        write(&path.join(METRICS), b"", Existing::Replace)?;
        Self::open(path, header, lock, &[])
    }

    /// Whether a new run may begin in a folder, which need not be there yet.
    ///
    /// # Errors
    /// If it holds something.
    pub fn check_free(path: impl AsRef<Path>) -> Result<()> {
        if path.as_ref().exists() { refuse_taken(path.as_ref()) } else { Ok(()) }
    }

    /// Whether the run in a folder makes way for one of other settings: it failed before its first epoch ended, without a
    /// checkpoint, and left nothing to go on with.
    pub fn makes_way(path: impl AsRef<Path>) -> bool {
        failed_at_once(path.as_ref())
    }

    /// Whether another process is at work on the run in a folder.
    pub fn is_locked(path: impl AsRef<Path>) -> bool {
        // Shared: who looks does not keep others from looking. Who begins just now tries again (`lock`).
        let file = OpenOptions::new().append(true).open(path.as_ref().join(LOCK));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Goes on with the run in a folder, which must be the one that `header` describes: recipe, seed, data, config,
    /// precision and the values it began with are compared, the rest may have changed. What is said of the data, and
    /// with it the table and the published row that the run belongs to, is what is known now.
    ///
    /// A last row that was cut off is dropped. The rows may reach further than the checkpoint:
    /// call [`truncate_after`](Self::truncate_after) next.
    ///
    /// A run of other settings that [makes way](Self::makes_way) is begun over: what it left is removed.
    ///
    /// # Errors
    /// If it is another run, is finished, or another process is at work there; if a file cannot be read or written.
    pub fn resume(path: impl AsRef<Path>, header: &RunHeader) -> Result<Self> {
        let path = path.as_ref();
        to_go_on_with(path, header)?; // a folder that is refused is not touched
        let lock = lock(path)?;
        let stored = to_go_on_with(path, header)?; // what another process left meanwhile
        l0_files::remove_unfinished(path)?;
        match stored {
            Some((stored, metrics)) => Self::go_on(path, stored, &metrics, header, lock),
            None => {
                remove_leftovers(path)?; // first: a kill in between leaves a run that makes way
                Self::begin(path, header, lock)
            }
        }
    }

    fn go_on(
        path: &Path,
        mut stored: RunHeader,
        metrics: &read::Metrics,
        header: &RunHeader,
        lock: File,
    ) -> Result<Self> {
        let resumed = Resumed { at: time::now(), revision: header.revision.clone(), machine: header.machine.clone() };
        stored.resumed.push(resumed);
        stored = RunHeader {
            data: header.data.clone(),
            network: header.network.clone(),
            reference: header.reference.clone(),
            status: Status::Running,
            message: None,
            end: None,
            ..stored
        };
        stored.write(&path.join(HEADER))?;
        write(&path.join(METRICS), metrics.first_lines(metrics.rows.len()), Existing::Replace)?;
        Self::open(path, stored, lock, &metrics.rows)
    }

    fn open(path: &Path, header: RunHeader, lock: File, rows: &[EpochRow]) -> Result<Self> {
        let (metrics, events) = logs(path, &header, rows)?;
        let last_epoch = rows.last().map_or(0, |row| row.epoch);
        Ok(Self { path: path.to_path_buf(), header, metrics, events, last_epoch, _lock: lock })
    }

    /// Drops the rows after `epoch`, the last one that the checkpoint has finished; 0 drops all. The others stay byte
    /// for byte.
    ///
    /// # Errors
    /// If the rows do not reach so far, or the file cannot be written.
    pub fn truncate_after(&mut self, epoch: u64) -> Result<()> {
        let metrics = read::Metrics::read(&self.path)?;
        let keep = metrics.rows.iter().take_while(|row| row.epoch <= epoch).count();
        let found = metrics.rows[..keep].last().map_or(0, |row| row.epoch);
        if found != epoch {
            return Err(Error::MissingRows { path: self.path.join(METRICS), found, expected: epoch });
        }
        write(&self.path.join(METRICS), metrics.first_lines(keep), Existing::Replace)?;
        (self.metrics, self.events) = logs(&self.path, &self.header, &metrics.rows[..keep])?;
        self.last_epoch = found;
        Ok(())
    }

    /// Appends a row; it has left the program when this returns.
    ///
    /// What a full disk lets through of a row is taken back.
    ///
    /// # Errors
    /// If its epoch does not follow that of the last row, or the file cannot be written.
    pub fn append(&mut self, row: &EpochRow) -> Result<()> {
        let path = self.path.join(METRICS);
        if row.epoch <= self.last_epoch {
            return Err(Error::Order { path, last: self.last_epoch, next: row.epoch });
        }
        append(&mut self.metrics, &path, &read::line(&path, row)?)?;
        self.last_epoch = row.epoch;
        append(&mut self.events, &tensorboard::path(&self.path, &self.header), &tensorboard::events(&self.header, row))
    }

    /// Writes the final test-time value of every gate, by layer, to `gates.json`.
    ///
    /// # Errors
    /// If a value is not finite, which could not be read back, or the file cannot be written.
    pub fn write_gates(&self, gates: &Named<Vec<f32>>) -> Result<()> {
        let path = self.path.join(GATES);
        Ok(write(&path, &read::gates_file(&path, gates)?, Existing::Replace)?)
    }

    /// The run reached its end.
    ///
    /// # Errors
    /// If the header cannot be written.
    pub fn finish(self, outcome: Outcome) -> Result<RunHeader> {
        self.end(Status::Finished, None, outcome)
    }

    /// The run stopped on an error; `message` goes into its header, without a backtrace that a library put into it.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish).
    pub fn fail(self, message: impl AsRef<str>) -> Result<RunHeader> {
        self.end(Status::Failed, Some(without_backtrace(message.as_ref())), Outcome::default())
    }

    /// The run was asked to stop; it can be resumed.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish).
    pub fn interrupted(self) -> Result<RunHeader> {
        self.end(Status::Interrupted, None, Outcome::default())
    }

    fn end(self, status: Status, message: Option<String>, outcome: Outcome) -> Result<RunHeader> {
        let end = Some(time::now());
        let header = RunHeader { status, message, end, outcome, ..self.header };
        header.write(&self.path.join(HEADER))?;
        Ok(header)
    }

    /// Where the run is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The header as it stands in the folder.
    pub fn header(&self) -> &RunHeader {
        &self.header
    }

    /// The epoch of the last row, 0 if there is none.
    pub fn last_epoch(&self) -> u64 {
        self.last_epoch
    }
}

/// The files that grow with every row, opened at their ends: the rows themselves and, made anew, those for TensorBoard.
fn logs(path: &Path, header: &RunHeader, rows: &[EpochRow]) -> Result<(File, File)> {
    let events = tensorboard::rewrite(path, header, rows)?;
    let metrics = path.join(METRICS);
    let metrics = OpenOptions::new().append(true).open(&metrics).at("open", &metrics)?;
    Ok((metrics, events))
}

fn append(file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
    let before = file.metadata().at("read the length of", path)?.len();
    let written = file.write_all(bytes).and_then(|()| file.sync_data());
    if written.is_err() {
        // A row cut in two would spoil the next one; if this fails too, reading drops the piece.
        let _ = file.set_len(before);
    }
    Ok(written.at("append to", path)?)
}

fn lock(path: &Path) -> Result<File> {
    let name = path.join(LOCK);
    let file = OpenOptions::new().create(true).append(true).open(&name).at("create", &name)?;
    let once_more = || {
        std::thread::sleep(GLANCE); // for one who only looks
        file.try_lock()
    };
    match file.try_lock().or_else(|_| once_more()) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(locked(path)),
        Err(TryLockError::Error(source)) => Ok(Err(source).at("lock", &name)?),
    }
}

fn locked(path: &Path) -> Error {
    Error::Locked { path: path.to_path_buf() }
}

/// A run begins in an empty folder; what an earlier attempt left before its header does not count.
fn refuse_taken(path: &Path) -> Result<()> {
    if let Ok(header) = read::header(path) {
        let found = format!("a run of {}, seed {}", header.recipe, header.seed);
        return Err(Error::Taken { path: path.to_path_buf(), found });
    }
    for entry in fs::read_dir(path).at("list", path)? {
        let name = entry.at("list", path)?.file_name();
        if name != LOCK && !l0_files::is_unfinished(&name) {
            return Err(Error::Taken { path: path.to_path_buf(), found: name.to_string_lossy().into_owned() });
        }
    }
    Ok(())
}

/// Whether the run in a folder ended by an error, with neither a row nor a folder of checkpoints.
fn failed_at_once(path: &Path) -> bool {
    let has_failed = read::header(path).is_ok_and(|header| header.status == Status::Failed);
    let has_folder =
        || fs::read_dir(path).is_ok_and(|mut all| all.any(|entry| entry.is_ok_and(|it| it.path().is_dir())));
    has_failed && read::Metrics::read(path).is_ok_and(|metrics| metrics.rows.is_empty()) && !has_folder()
}

/// Header and rows in a folder if they are of the run that `asked` describes, and it is not finished; nothing if they
/// are another's that makes way.
fn to_go_on_with(path: &Path, asked: &RunHeader) -> Result<Option<(RunHeader, read::Metrics)>> {
    let stored = read::header(path)?;
    match refuse_other(path, &stored, asked) {
        Err(_) if failed_at_once(path) => Ok(None),
        Err(other) => Err(other),
        Ok(()) if stored.status == Status::Finished => Err(Error::Finished { path: path.to_path_buf() }),
        Ok(()) => Ok(Some((stored, read::Metrics::read(path)?))),
    }
}

/// Removes what a run left that failed at once and is begun over: its events are named after its start, and the next
/// one would take the values that it began with for its own.
fn remove_leftovers(path: &Path) -> Result<()> {
    l0_files::remove(&path.join(START))?;
    for entry in fs::read_dir(path).at("list", path)? {
        let entry = entry.at("list", path)?;
        if tensorboard::is_events(&entry.file_name()) {
            l0_files::remove(&entry.path())?;
        }
    }
    Ok(())
}

fn refuse_other(path: &Path, stored: &RunHeader, asked: &RunHeader) -> Result<()> {
    // Of a file of others the digest is that which is stored, if it holds the same values.
    let taught_by = |header: &RunHeader| {
        let files = header.taught_by.iter().enumerate();
        files.map(|(i, from)| from.digest_beside(stored.taught_by.get(i)).to_string()).collect::<Vec<String>>()
    };
    let identity = |header: &RunHeader| {
        serde_json::json!({
            "recipe": header.recipe,
            "seed": header.seed,
            "started_from": header.started_from.as_ref().map(|from| from.digest_beside(stored.started_from.as_ref())),
            "taught_by": taught_by(header),
        })
    };
    check_same(path, &identity(stored), &identity(asked))?;
    stored.check_data(path, &asked.data)?; // before settings, of which some follow from how much data there is
    let config = |header: &RunHeader| serde_json::json!({ "config": settled(&header.config) });
    check_same(path, &config(stored), &config(asked))?;
    stored.check_precision(path, asked.machine.precision())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named() {
        let path = Path::new("/dev/full");
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        let error = append(&mut file, path, b"{}").unwrap_err().to_string();
        assert!(error.starts_with("cannot append to /dev/full: "), "{error}");
    }
}
