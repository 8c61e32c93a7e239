//! The layout of the Hub's cache, as far as it must be known to check what lies there and to go on with a download
//! that was cut: `blobs/<etag>` holds the bytes, `blobs/<etag>.incomplete` what has arrived of them, and
//! `snapshots/<commit>/<path>` points to a blob. The etag of a large file is its sha256.

use super::file::Holds;
use crate::{Error, Result};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The folder of one repository in the cache.
pub(super) struct Folder {
    refs: PathBuf,
    blobs: PathBuf,
    snapshots: PathBuf,
    locks: PathBuf,
}

/// What has arrived of a file whose download was cut, ours as long as the lock is held.
pub(super) struct Partial {
    pub(super) path: PathBuf,
    pub(super) sha256: String,
    blob: PathBuf,
    _lock: File,
}

impl Folder {
    pub(super) fn new(cache: &Path, holds: Holds, repo: &str) -> Self {
        let name = format!("{}--{}", holds.plural(), repo.replace('/', "--"));
        let part = |part: &str| cache.join(&name).join(part);
        let locks = cache.join(".locks").join(&name);
        Self { refs: part("refs"), blobs: part("blobs"), snapshots: part("snapshots"), locks }
    }

    /// All folders that a download writes to.
    pub(super) fn all(&self) -> [&Path; 4] {
        [&self.refs, &self.blobs, &self.snapshots, &self.locks]
    }

    /// Whether what is known of a revision can be read, or is not there; else a file that is there would count as
    /// missing.
    pub(super) fn legible(&self, revision: &str) -> std::io::Result<()> {
        let known = [File::open(self.refs.join(revision)).err(), unlisted(&self.blobs), unlisted(&self.snapshots)];
        known.into_iter().flatten().find(|error| error.kind() != ErrorKind::NotFound).map_or(Ok(()), Err)
    }

    /// The files of a revision that lie here, by their paths within it.
    pub(super) fn listed(&self, revision: &str) -> Vec<String> {
        let Ok(commit) = fs::read_to_string(self.refs.join(revision)) else { return vec![] };
        let root = self.snapshots.join(commit.trim());
        let mut paths = vec![];
        list(&root, &root, &mut paths);
        paths
    }

    /// The incomplete file of this length, unless someone else is at work on it or there is more than one.
    pub(super) fn take_partial(&self, length: u64) -> Option<Partial> {
        let fits = |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.len() == length);
        let mut candidates = self.partials().into_iter().filter(|(_, path)| fits(path));
        let (sha256, path) = candidates.next()?;
        if candidates.next().is_some() {
            return None;
        }
        let lock = File::create(self.locks.join(format!("{sha256}.lock"))).ok()?;
        lock.try_lock().ok()?;
        let blob = self.blobs.join(&sha256);
        fits(&path).then_some(Partial { path, sha256, blob, _lock: lock })
    }

    /// Removes a file of a snapshot, and the blob that it points to. What lies outside of this repository's folders is
    /// somebody else's, however it came to be linked here.
    pub(super) fn discard(&self, file: &Path) -> Result<()> {
        let find = |path: &Path| fs::canonicalize(path).map_err(Error::io("find", path));
        let is_in = |path: &Path, folder: &Path| fs::canonicalize(folder).is_ok_and(|folder| path.starts_with(folder));
        let (blob, holder) = (find(file)?, find(file.parent().unwrap_or(file))?);
        if is_in(&blob, &self.blobs) {
            fs::remove_file(&blob).map_err(Error::io("remove", &blob))?;
        }
        // A link is there still, and so is a file where the system knows no links.
        if is_in(&holder, &self.snapshots) && fs::symlink_metadata(file).is_ok() {
            fs::remove_file(file).map_err(Error::io("remove", file))?;
        }
        Ok(())
    }

    /// Bytes in incomplete files: it grows while any process downloads.
    pub(super) fn arriving(&self) -> u64 {
        let size = |path: &PathBuf| fs::metadata(path).map_or(0, |data| data.len());
        self.partials().iter().map(|(_, path)| size(path)).sum()
    }

    fn partials(&self) -> Vec<(String, PathBuf)> {
        let entries = fs::read_dir(&self.blobs).into_iter().flatten().flatten();
        let incomplete = |path: PathBuf| {
            let name = path.file_name()?.to_str()?.strip_suffix(".incomplete")?;
            is_sha256(name).then(|| (name.to_string(), path.clone()))
        };
        entries.filter_map(|entry| incomplete(entry.path())).collect()
    }
}

impl Partial {
    /// Makes it the blob, for all to see, now that its digest has been found right.
    pub(super) fn complete(self) -> Result<()> {
        fs::rename(&self.path, &self.blob).map_err(Error::io("write", &self.blob))
    }

    pub(super) fn discard(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(Error::io("remove", &self.path))
    }
}

/// The digest that the name of the blob behind a file of the cache promises.
pub(super) fn promised(file: &Path) -> Option<String> {
    let blob = fs::canonicalize(file).ok()?;
    blob.file_name()?.to_str().filter(|name| is_sha256(name)).map(str::to_string)
}

fn list(root: &Path, dir: &Path, paths: &mut Vec<String>) {
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            list(root, &path, paths);
        } else if let Ok(path) = path.strip_prefix(root) {
            paths.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
}

/// Why a folder cannot be listed.
fn unlisted(folder: &Path) -> Option<std::io::Error> {
    fs::read_dir(folder).err()
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
