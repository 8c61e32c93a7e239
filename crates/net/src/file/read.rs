//! Reading: header first, then as many bytes of tensors as the file really has.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::header::{Checksum, Header};
use super::{FileProblem, Kind};
use crate::{Error, Result, Weights};

/// A header and the tensors it promised.
pub(super) struct Contents {
    pub(super) header: Header,
    pub(super) weights: Weights,
}

/// Opens a file and hands it on with its size and name.
pub(super) fn open<T>(path: &Path, read: impl FnOnce(&mut dyn Read, u64, &str) -> Result<T>) -> Result<T> {
    let name = path.display().to_string();
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, file) = opened.map_err(|e| Error::file(&name, FileProblem::Io(e)))?;
    read(&mut std::io::BufReader::new(file), size, &name)
}

/// Reads a file of `size` bytes that must hold a `kind`.
pub(super) fn contents(file: &mut dyn Read, size: u64, kind: Kind, device: &Device) -> Result<Contents, FileProblem> {
    let header = Header::read(file, size)?;
    if header.kind != kind {
        return Err(FileProblem::Kind { found: header.kind, expected: kind });
    }
    header.check_tensors()?;
    let mut sum = Checksum::new(&header.entries);
    let infos = header.tensors.tensors();
    let mut named = Vec::with_capacity(infos.len());
    for name in header.tensors.offset_keys() {
        let info = infos[&name];
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0]; // the header fits the file
        file.read_exact(&mut bytes)?;
        sum.tensor(&name, &info.shape, &bytes);
        let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        named.push((name, Tensor::from_vec(values.collect::<Vec<_>>(), info.shape.as_slice(), device)?));
    }
    let found = sum.hex();
    if found != header.sha256 {
        return Err(FileProblem::Checksum { found, expected: header.sha256 });
    }
    let order = header.net.parameters().into_iter().map(|(name, ..)| name);
    let weights = Weights::new(ordered(named, order)).map_err(|e| FileProblem::Foreign(e.to_string()))?;
    Ok(Contents { header, weights })
}

/// Tensors in the order of the description, those that it does not know after them.
fn ordered(mut named: Vec<(String, Tensor)>, order: impl Iterator<Item = String>) -> Vec<(String, Tensor)> {
    let places: std::collections::HashMap<String, usize> = order.zip(0..).collect();
    named.sort_by_key(|(name, _)| places.get(name).copied().unwrap_or(usize::MAX));
    named
}
