//! A file of the Hub: from the cache if it is there, else downloaded, and in both cases checked.

use super::cache::{self, Folder};
use super::file::{Holds, HubFile, PARQUET};
use super::meter::Meter;
use super::refusal;
use crate::{Error, Progress, Result, Source, SourceFile, digest};
use hf_hub::{HFClient, HFError, HFRepository, RepoTypeAny};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file in the Hub's cache, fetched if it is not there, its digest found right.
///
/// A file of the cache with another digest is removed and fetched anew, unless `source.offline` is set. A download goes
/// on where it was cut; one that stands still for `source.patience` ends in an error.
///
/// # Errors
/// If the Hub cannot be reached or does not deliver, or not these bytes; if the cache cannot be read or written; or if
/// the file is not in the cache and `source.offline` is set.
pub fn fetch(file: &HubFile, source: &Source, progress: &dyn Progress) -> Result<SourceFile> {
    on_a_thread(file, source, progress, async |session| session.fetch().await)
}

/// Runs the client on a thread of its own, because a runtime cannot be started inside another one.
fn on_a_thread<T: Send>(
    file: &HubFile,
    source: &Source,
    progress: &dyn Progress,
    work: impl AsyncFnOnce(&Session<'_>) -> Result<T> + Send,
) -> Result<T> {
    let run = || {
        let session = Session::new(file, source, progress)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::io("start the client for", Path::new(&file.path)))?;
        let done = runtime.block_on(work(&session));
        progress.finish();
        // A look-up of a name may still hang: do not wait for it.
        runtime.shutdown_background();
        done
    };
    let thread = std::thread::scope(|scope| scope.spawn(run).join());
    thread.unwrap_or_else(|_| {
        let reason = "the client failed unexpectedly".to_string();
        Err(Error::Hub { file: file.path.clone(), endpoint: file.repo.clone(), reason })
    })
}

/// The paths of all files of a data set in the revision `refs/convert/parquet`: as the Hub lists them, or offline as
/// far as they lie in its cache.
///
/// # Errors
/// If the Hub cannot be reached, knows no such data set, or, offline, the cache holds nothing of it.
pub(super) fn list(repo: &str, source: &Source, progress: &dyn Progress) -> Result<Vec<String>> {
    let file = HubFile::of_data(repo, "its list of files");
    on_a_thread(&file, source, progress, async |session| session.list().await)
}

/// What a file of the cache turns out to be.
enum Verdict {
    Right(SourceFile),
    /// Its bytes are not those that its name promises.
    Broken(PathBuf, Error),
    /// It is what it says, but not the one that is known.
    Other(PathBuf, Error),
}

/// The asynchronous client, because only a future can be given up: a blocking call to a server that stands still
/// would hold its thread for ever.
pub(super) struct Session<'a> {
    pub(super) file: &'a HubFile,
    pub(super) source: &'a Source,
    pub(super) progress: &'a dyn Progress,
    client: HFClient,
    pub(super) repo: HFRepository<RepoTypeAny>,
    pub(super) folder: Folder,
    pub(super) meter: Arc<Meter>,
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
        let (owner, name) = hf_hub::split_id(&file.repo);
        let kind = match file.holds {
            Holds::Data => RepoTypeAny::Dataset,
            Holds::Network => RepoTypeAny::Model,
        };
        let repo = client.repository(kind, owner, name);
        let folder = Folder::new(client.cache_dir(), file.holds, &file.repo);
        let meter = Arc::new(Meter::new());
        Ok(Self { file, source, progress, client, repo, folder, meter })
    }

    async fn fetch(&self) -> Result<SourceFile> {
        let (mut before, mut wrong) = (None, None);
        if let Some(path) = self.cached().await? {
            match self.judge_file(path)? {
                Verdict::Right(file) => return Ok(file),
                Verdict::Broken(path, error) => {
                    if !self.source.offline {
                        self.folder.discard(&path)?;
                    }
                    wrong = Some(error);
                }
                Verdict::Other(path, error) => {
                    before = Some(path);
                    wrong = Some(error);
                }
            }
        }
        if self.source.offline {
            let cache = self.client.cache_dir().to_path_buf();
            return Err(wrong.unwrap_or(Error::Offline { file: name(self.file), cache }));
        }
        if let Some(error) = wrong {
            tracing::warn!("{error}");
        }
        match self.judge_file(self.transfer().await?)? {
            Verdict::Right(file) => Ok(file),
            // What was sound and there before us may be of use to others.
            Verdict::Other(path, error) if before.as_ref() == Some(&path) => Err(error),
            Verdict::Broken(path, error) | Verdict::Other(path, error) => {
                self.folder.discard(&path)?;
                Err(error)
            }
        }
    }

    async fn list(&self) -> Result<Vec<String>> {
        if self.source.offline {
            let listed = self.folder.listed(PARQUET);
            let cache = self.client.cache_dir().to_path_buf();
            return if listed.is_empty() { Err(Error::Offline { file: name(self.file), cache }) } else { Ok(listed) };
        }
        let (owner, name) = hf_hub::split_id(&self.file.repo);
        let info = self.watch(self.client.dataset(owner, name).info().revision(PARQUET).send()).await?;
        let info = info.map_err(|error| match error {
            HFError::RepoNotFound { .. } | HFError::RevisionNotFound { .. } => {
                self.failed(&"it knows no such data set, or has not converted it to parquet")
            }
            error => self.failed(&chain(&error)),
        })?;
        Ok(info.siblings.into_iter().flatten().map(|file| file.rfilename).collect())
    }

    /// The file in the cache, if there is one.
    async fn cached(&self) -> Result<Option<PathBuf>> {
        let revision = self.file.holds.revision();
        let local = self.repo.download_file().filename(&self.file.path).revision(revision);
        match local.local_files_only(true).send().await {
            Ok(path) => Ok(Some(path)),
            Err(HFError::LocalEntryNotFound { .. } | HFError::EntryNotFound { .. }) => {
                self.folder.legible(revision).map(|()| None).map_err(|cause| self.refused("look for", cause))
            }
            Err(error) => Err(self.failed(&chain(&error))),
        }
    }

    fn judge_file(&self, path: PathBuf) -> Result<Verdict> {
        let (found, promised) = (digest::of_file(&path)?, cache::promised(&path));
        let Some(expected) = self.file.sha256.clone().or_else(|| promised.clone()) else {
            return Err(self.failed(&"the server states no sha256 for it"));
        };
        if found == expected {
            return Ok(Verdict::Right(SourceFile { path, sha256: found }));
        }
        let sound = promised.as_ref() == Some(&found);
        let advice = match (sound, self.source.offline) {
            (true, _) => "the server has another version of the file than this program knows: ",
            (false, false) => "it was removed from the cache: fetch it again, ",
            (false, true) => "offline nothing is removed: go online to fetch it again, ",
        };
        let advice = format!("{advice}set HF_ENDPOINT to another server, or name a folder that holds the right file");
        let error = Error::Checksum { path: path.clone(), expected, found, advice };
        Ok(if sound { Verdict::Other(path, error) } else { Verdict::Broken(path, error) })
    }

    pub(super) fn refused(&self, action: &'static str, cause: std::io::Error) -> Error {
        let advice = refusal::advice(&cause, self.folder.all());
        let cause = std::io::Error::new(cause.kind(), format!("{cause}; {advice}"));
        Error::Cache { action, file: name(self.file), cache: self.client.cache_dir().to_path_buf(), cause }
    }

    pub(super) fn failed(&self, reason: &dyn std::fmt::Display) -> Error {
        let (file, endpoint) = (name(self.file), self.client.endpoint().to_string());
        Error::Hub { file, endpoint, reason: reason.to_string() }
    }
}

pub(super) fn name(file: &HubFile) -> String {
    format!("{}/{}", file.repo, file.path)
}

/// An error with its causes, as far as each says something new.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
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
