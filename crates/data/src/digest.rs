//! Files and their digests.

use crate::{Error, Result};
use l0_files::sha256;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file that was read, and the digest of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it lies.
    pub path: PathBuf,
    /// sha256 of the file, lower-case hex.
    pub sha256: String,
}

/// Far above any file this crate is meant for; a larger one is a mistake, not data.
const LARGEST_FILE: u64 = 1 << 30;

/// The whole file, and the sha256 of exactly the bytes returned.
pub(crate) fn read(path: &Path) -> Result<(Vec<u8>, String)> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let size = file.metadata().map_err(Error::io("read", path))?.len();
    let mut bytes = Vec::new();
    (&file).take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Error::format(path, "at most 1 GiB", format!("{size} bytes")));
    }
    let digest = sha256(&bytes);
    Ok((bytes, digest))
}

/// sha256 of a file, without holding it.
#[cfg(feature = "hub")]
pub(crate) fn of_file(path: &Path) -> Result<String> {
    of_open_file(&File::open(path).map_err(Error::io("read", path))?, path)
}

/// sha256 of what is left to read of an open file.
#[cfg(feature = "hub")]
pub(crate) fn of_open_file(mut file: &File, path: &Path) -> Result<String> {
    let mut hash = l0_files::Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).map_err(Error::io("read", path))? {
            0 => return Ok(hash.hex()),
            n => hash.update(&piece[..n]),
        }
    }
}
