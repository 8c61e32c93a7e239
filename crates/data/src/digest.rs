use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Far above any file this crate is meant for; a larger one is a mistake, not data.
const LARGEST_FILE: u64 = 1 << 30;

pub(crate) struct Sha256Hex(Sha256);

impl Sha256Hex {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// sha256 of bytes, lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut hash = Sha256Hex::new();
    hash.update(bytes);
    hash.finish()
}

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
    let mut hash = Sha256Hex::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).map_err(Error::io("read", path))? {
            0 => return Ok(hash.finish()),
            n => hash.update(&piece[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn sha256_of_abc() {
        // printf abc | sha256sum
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(super::sha256(b"abc"), expected);
    }
}
