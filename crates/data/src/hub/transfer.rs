//! Getting the bytes: one attempt after another, each going on where the last one was cut.

use super::fetch::{Session, chain, name};
use super::refusal;
use crate::{Error, Result, digest};
use hf_hub::HFError;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(100);
/// Attempts in a row that may bring nothing, and attempts in all.
const FRUITLESS: usize = 4;
const ATTEMPTS: usize = 24;

/// Why an attempt failed.
enum Failure {
    /// Another attempt may bring more.
    Cut(String),
    /// It will not.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Session<'_> {
    /// The file in the cache, as the server has it.
    pub(super) async fn transfer(&self) -> Result<PathBuf> {
        let (mut fruitless, mut best) = (0, 0);
        for attempt in 1.. {
            let reason = match self.attempt().await {
                Ok(path) => return Ok(path),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Cut(reason)) => reason,
            };
            let received = self.meter.received();
            fruitless = if received > best { 0 } else { fruitless + 1 };
            best = best.max(received);
            if fruitless == FRUITLESS || attempt == ATTEMPTS {
                return Err(self.failed(&format!("{reason} ({attempt} attempts)")));
            }
            tracing::warn!("{}: {reason}; going on", name(self.file));
            if fruitless > 0 {
                self.watch(tokio::time::sleep(TICK * (1 << fruitless))).await?;
            }
        }
        unreachable!("the attempts are counted")
    }

    /// What is left of a cut download, or else the whole file, by way of `hf-hub`.
    async fn attempt(&self) -> Result<PathBuf, Failure> {
        self.resume().await?;
        let before = self.folder.arriving();
        let download = self.repo.download_file().filename(&self.file.path).revision(self.file.holds.revision());
        let download = download.progress(self.meter.clone()).send();
        match self.watch(download).await? {
            Ok(path) => self.whole(path),
            Err(HFError::CacheLockTimeout { .. }) => {
                if self.folder.arriving() != before {
                    self.meter.touch();
                }
                Err(Failure::Cut("another process is fetching it".into()))
            }
            Err(error) => Err(self.judge(&error)),
        }
    }

    /// `hf-hub` 1.0 does not look at the status of the answer that it stores: a short file is an error page.
    fn whole(&self, path: PathBuf) -> Result<PathBuf, Failure> {
        let size = std::fs::metadata(&path).map_or(0, |data| data.len());
        let total = self.meter.total();
        if total == 0 || size == total {
            return Ok(path);
        }
        self.folder.discard(&path)?;
        Err(Failure::Cut(format!("received {size} bytes instead of {total}")))
    }

    /// Completes what an earlier attempt of this session has left, if it has.
    async fn resume(&self) -> Result<(), Failure> {
        let (received, total) = (self.meter.received(), self.meter.total());
        if received == 0 || received >= total {
            return Ok(());
        }
        let Some(partial) = self.folder.take_partial(received) else { return Ok(()) };
        self.watch(self.receive(&partial.path, received..total)).await??;
        let found = digest::of_file(&partial.path)?;
        if found == partial.sha256 {
            return Ok(partial.complete()?);
        }
        partial.discard()?;
        self.meter.set(0, total);
        Err(Failure::Cut("the pieces of the download do not fit together".into()))
    }

    async fn receive(&self, path: &Path, range: std::ops::Range<u64>) -> Result<(), Failure> {
        use futures_util::StreamExt;
        use std::io::Write;
        let total = range.end;
        let stream = self.repo.download_file_stream().filename(&self.file.path).revision(self.file.holds.revision());
        let (_, mut stream) = stream.range(range).send().await.map_err(|error| self.judge(&error))?;
        let write = |error| Failure::Final(self.refused("store", error));
        let mut file = std::fs::OpenOptions::new().append(true).open(path).map_err(write)?;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| self.judge(&error))?;
            file.write_all(&chunk).map_err(write)?;
            let received = self.meter.received() + chunk.len() as u64;
            self.meter.set(received, total);
            if received > total {
                return Ok(());
            }
        }
        match self.meter.received() {
            received if received < total => Err(Failure::Cut(self.cut())),
            _ => file.sync_all().map_err(write),
        }
    }

    /// Waits for the work, but gives it up when nothing has moved for too long.
    pub(super) async fn watch<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let mut work = pin!(work);
        loop {
            let done = tokio::time::timeout(TICK, work.as_mut()).await;
            self.meter.report(&name(self.file), self.progress);
            match done {
                Ok(done) => return Ok(done),
                Err(_) if self.meter.still_for() >= self.source.patience => {
                    let (got, seconds) = (self.meter.received(), self.source.patience.as_secs_f32());
                    let reason = format!("nothing came for {seconds} s after {got} bytes");
                    return Err(self.failed(&reason));
                }
                Err(_) => {}
            }
        }
    }

    /// `hf-hub` has already repeated requests that could not be made or were answered by 5xx.
    fn judge(&self, error: &HFError) -> Failure {
        if let Some(cause) = refusal::of_file_system(error) {
            return Failure::Final(self.refused("store", cause));
        }
        match error {
            HFError::Request { source, .. } if source.is_connect() || source.is_builder() => {
                Failure::Final(self.failed(&format!("no connection ({})", root(source))))
            }
            HFError::Request { .. } => Failure::Cut(self.cut()),
            HFError::Http { context } => {
                Failure::Final(self.failed(&format!("the server answered {}", context.status)))
            }
            HFError::Xet { .. } => Failure::Cut(chain(error)),
            HFError::EntryNotFound { .. } | HFError::RepoNotFound { .. } => {
                Failure::Final(self.failed(&"the server does not have it"))
            }
            _ => Failure::Final(self.failed(&chain(error))),
        }
    }

    fn cut(&self) -> String {
        let (received, total) = (self.meter.received(), self.meter.total());
        format!("the connection was cut after {received} of {total} bytes")
    }
}

/// The cause behind all others.
fn root(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
