use super::cache::{self, Folder};
use super::meter::Meter;
use crate::{Error, Progress, Result, Source, SourceFile, digest};
use hf_hub::{HFClient, HFError, HFRepository, RepoTypeDataset};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// The branch on which the Hub keeps its own conversion of every data set to parquet. It can move: what is pinned is
/// each file's digest.
const REVISION: &str = "refs/convert/parquet";
const TICK: Duration = Duration::from_millis(100);
/// Attempts in a row that may bring nothing, and attempts in all.
const FRUITLESS: usize = 4;
const ATTEMPTS: usize = 24;

/// A file of a data set on the Hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// Owner and name of the data set.
    pub repo: String,
    /// The file within the revision `refs/convert/parquet`.
    pub path: String,
    /// The digest it must have, in lower-case hex; without one, the one that the Hub states.
    pub sha256: Option<String>,
}

/// The file in the Hub's cache, fetched if it is not there, its digest found right.
///
/// A file of the cache with another digest is removed and fetched anew. A download goes on where it was cut; one that
/// stands still for `source.patience` ends in an error.
///
/// # Errors
/// If the Hub cannot be reached or does not deliver, or not these bytes; or if the file is not in the cache and
/// `source.offline` is set.
pub fn fetch(file: &HubFile, source: &Source, progress: &dyn Progress) -> Result<SourceFile> {
    let run = || {
        let session = Session::new(file, source, progress)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| session.failed(&error))?;
        let fetched = runtime.block_on(session.fetch());
        progress.finish();
        // A look-up of a name may still hang: do not wait for it.
        runtime.shutdown_background();
        fetched
    };
    // On a thread of its own, because a runtime cannot be started inside another one.
    let thread = std::thread::scope(|scope| scope.spawn(run).join());
    thread.unwrap_or_else(|_| {
        let reason = "the client failed unexpectedly".to_string();
        Err(Error::Hub { file: file.path.clone(), endpoint: file.repo.clone(), reason })
    })
}

/// The asynchronous client, because only a future can be given up: a blocking call to a server that stands still
/// would hold its thread for ever.
struct Session<'a> {
    file: &'a HubFile,
    source: &'a Source,
    progress: &'a dyn Progress,
    client: HFClient,
    repo: HFRepository<RepoTypeDataset>,
    folder: Folder,
    meter: Arc<Meter>,
}

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

impl<'a> Session<'a> {
    fn new(file: &'a HubFile, source: &'a Source, progress: &'a dyn Progress) -> Result<Self> {
        let mut builder = HFClient::builder();
        if let Some(endpoint) = &source.endpoint {
            builder = builder.endpoint(endpoint);
        }
        if let Some(cache) = &source.cache {
            builder = builder.cache_dir(cache);
        }
        let client = builder.build().map_err(|error| {
            let endpoint = source.endpoint.clone().unwrap_or_else(|| "the Hub".into());
            Error::Hub { file: name(file), endpoint, reason: chain(&error) }
        })?;
        let (owner, dataset) = hf_hub::split_id(&file.repo);
        let repo = client.dataset(owner, dataset);
        let folder = Folder::new(client.cache_dir(), &file.repo);
        let meter = Arc::new(Meter::new());
        Ok(Self { file, source, progress, client, repo, folder, meter })
    }

    async fn fetch(&self) -> Result<SourceFile> {
        if let Some(found) = self.cached().await? {
            return Ok(found);
        }
        if self.source.offline {
            let cache = self.client.cache_dir().to_path_buf();
            return Err(Error::Offline { file: name(self.file), cache });
        }
        let (mut fruitless, mut best) = (0, 0);
        for attempt in 1.. {
            let reason = match self.attempt().await {
                Ok(path) => return self.checked(path),
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

    /// The file in the cache if it is there and right; a wrong one is removed.
    async fn cached(&self) -> Result<Option<SourceFile>> {
        let local = self.repo.download_file().filename(&self.file.path).revision(REVISION);
        match local.local_files_only(true).send().await {
            Ok(path) => match self.checked(path) {
                Err(error @ Error::Checksum { .. }) if !self.source.offline => {
                    tracing::warn!("{error}");
                    Ok(None)
                }
                checked => checked.map(Some),
            },
            Err(HFError::LocalEntryNotFound { .. } | HFError::EntryNotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Compares the digest of a file of the cache; if it is wrong the file does not stay there.
    fn checked(&self, path: PathBuf) -> Result<SourceFile> {
        let expected = self.file.sha256.clone().or_else(|| cache::promised(&path));
        let Some(expected) = expected else {
            return Err(self.failed(&"the Hub states no sha256 for it"));
        };
        let sha256 = digest::of_file(&path)?;
        if sha256 == expected {
            return Ok(SourceFile { path, sha256 });
        }
        cache::discard(&path)?;
        let advice = "the file was removed; fetch it again, from another HF_ENDPOINT if this repeats, or name a folder \
                      that holds the right one with --data DIR or L0_DATA";
        Err(Error::Checksum { path, expected, found: sha256, advice: advice.into() })
    }

    /// What is left of a cut download, or else the whole file, by way of `hf-hub`.
    async fn attempt(&self) -> Result<PathBuf, Failure> {
        self.resume().await?;
        let before = self.folder.arriving();
        let download = self.repo.download_file().filename(&self.file.path).revision(REVISION);
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
        cache::discard(&path)?;
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
        let stream = self.repo.download_file_stream().filename(&self.file.path).revision(REVISION);
        let (_, mut stream) = stream.range(range).send().await.map_err(|error| self.judge(&error))?;
        let write = |error| Failure::Final(Error::io("write", path)(error));
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
    async fn watch<T>(&self, work: impl Future<Output = T>) -> Result<T> {
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
        match error {
            HFError::Request { source, .. } if source.is_connect() || source.is_builder() => {
                Failure::Final(self.failed(&chain(error)))
            }
            HFError::Request { .. } => Failure::Cut(self.cut()),
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

    fn failed(&self, reason: &dyn std::fmt::Display) -> Error {
        let (file, endpoint) = (name(self.file), self.client.endpoint().to_string());
        Error::Hub { file, endpoint, reason: reason.to_string() }
    }
}

fn name(file: &HubFile) -> String {
    format!("{}/{}", file.repo, file.path)
}

/// An error with its causes, as far as each says something new.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
