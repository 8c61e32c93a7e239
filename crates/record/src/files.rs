//! Writing a file so that it is there whole or not at all.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::error::At;

/// Writes `bytes` under a temporary name, makes them durable and renames.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    let written = write_durably(&temporary, bytes);
    if written.is_err() {
        // What could not be written is of no use to anyone; the error says why.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    fs::rename(&temporary, path).at("rename a temporary file to", path)?;
    sync_parent(path)
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create_new(path).at("create", path)?;
    file.write_all(bytes).at("write", path)?;
    file.sync_all().at("write", path)
}

/// The name under which a file is written before it is whole. Another process may be writing the same one: random, because
/// in containers that share a folder every process has the number 1.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{:016x}.tmp", RandomState::new().hash_one(()))); // its keys are the system's random numbers
    path.with_file_name(name)
}

/// Removes a file, unless another process was first.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.at("remove", path),
    }
}

/// Removes what killed processes left half written in a folder that nobody else writes to.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).at("list", folder)? {
        let path = entry.at("list", folder)?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") && path.is_file() {
            remove(&path)?;
        }
    }
    Ok(())
}

/// A rename is durable once the folder is; only Unix opens folders as files.
fn sync_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) if cfg!(unix) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent).and_then(|folder| folder.sync_all()).at("sync the folder", parent)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn writers_of_one_file_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("REPORT.md");
        let texts: Vec<String> = (0..8).map(|writer| writer.to_string().repeat(1000)).collect();
        std::thread::scope(|scope| {
            let write = |text: &'_ String| (0..5).for_each(|_| write_atomically(&path, text.as_bytes()).unwrap());
            texts.iter().for_each(|text| drop(scope.spawn(move || write(text))));
        });
        assert!(texts.contains(&fs::read_to_string(&path).unwrap()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_the_file_it_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("no/run.json"), b"").unwrap_err();
        assert!(error.to_string().contains("run.json"), "{error}");
    }
}
