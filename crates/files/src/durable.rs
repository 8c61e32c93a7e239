//! Writing a file so that it is there whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::{At, Result};

/// What the names of files that are not whole yet begin with.
const PREFIX: &str = ".writing-";

/// How they end, also those of earlier versions: a file's name, so many hexadecimal digits, and this.
const SUFFIX: &str = ".tmp";
const DIGITS: usize = 16;

/// What to do if there is a file already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail.
    Keep,
    /// Put the new file in its place, in one step.
    Replace,
}

/// Writes beside `path`, syncs, renames, and syncs the folder: `path` is the old file or the new one, never half of it.
///
/// Many may write one file at once: each has a temporary file of its own.
///
/// # Errors
/// If the file cannot be written, or, with a cause of the kind `AlreadyExists`, if it exists and is to be kept. Nothing
/// is left half written then.
pub fn write(path: &Path, bytes: &[u8], existing: Existing) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = || -> io::Result<()> {
        if existing == Existing::Keep && path.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut file = temporary(folder)?; // removed on every way out but a kill
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        match existing {
            Existing::Keep => file.persist_noclobber(path)?,
            Existing::Replace => file.persist(path)?,
        };
        sync_folder(folder)
    };
    written().at("write", path)
}

/// Removes a file, unless another process was first.
///
/// # Errors
/// If it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.at("remove", path),
    }
}

/// Whether a file is called as [`write()`] calls one that is not whole yet, in this version or in an earlier one. Others
/// may end in `.tmp` as well, and are none of ours.
pub fn is_unfinished(name: &OsStr) -> bool {
    let Some(name) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else { return false };
    let is_drawn = |end: &str| end.len() == DIGITS && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.starts_with(PREFIX) || name.rsplit_once('.').is_some_and(|(_, end)| is_drawn(end))
}

/// Removes what killed processes left half written in a folder that nobody else writes to.
///
/// # Errors
/// If the folder cannot be listed or a file not be removed.
pub fn remove_unfinished(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).at("list", folder)? {
        let path = entry.at("list", folder)?.path();
        if path.file_name().is_some_and(is_unfinished) && path.is_file() {
            remove(&path)?;
        }
    }
    Ok(())
}

/// A file that others may read once it is renamed, as far as the process's mask allows.
fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// A rename is on disk when its folder is; only Unix can sync one.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn replaces_a_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        write(&path, b"old", Existing::Keep).unwrap();
        write(&path, b"new", Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(count(folder.path()), 1);
    }

    #[test]
    fn a_file_to_be_kept_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        write(&path, b"old", Existing::Keep).unwrap();
        let error = write(&path, b"new", Existing::Keep).unwrap_err();
        assert_eq!(error.cause.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(count(folder.path()), 1);
    }

    #[test]
    fn writers_of_one_file_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("REPORT.md");
        let texts: Vec<String> = (0..8).map(|writer| writer.to_string().repeat(1000)).collect();
        std::thread::scope(|scope| {
            let once = |text: &str| write(&path, text.as_bytes(), Existing::Replace).unwrap();
            texts.iter().for_each(|text| drop(scope.spawn(move || (0..5).for_each(|_| once(text)))));
        });
        assert!(texts.contains(&fs::read_to_string(&path).unwrap()));
        assert_eq!(count(folder.path()), 1);
    }

    #[test]
    fn names_the_file_it_cannot_write_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("no/run.json"), b"", Existing::Replace).unwrap_err().to_string();
        assert!(error.starts_with("cannot write ") && error.contains("run.json"), "{error}");
        fs::create_dir(folder.path().join("taken")).unwrap();
        write(&folder.path().join("taken"), b"", Existing::Replace).unwrap_err();
        assert_eq!(count(folder.path()), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let left = temporary(folder.path()).unwrap().keep().unwrap().1;
        let kept = ["run.json", "notes.tmp", "run.json.77.tmp", "a.0123456789abcdefg.tmp", ".tmp"];
        for name in kept.iter().chain(&["run.json.0123456789abcdef.tmp"]) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_unfinished(folder.path()).unwrap();
        assert!(!left.exists() && kept.iter().all(|name| folder.path().join(name).exists()));
        assert_eq!(count(folder.path()), kept.len());
        remove(&left).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write(&ours, b"", Existing::Keep).unwrap();
        fs::write(&plain, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
