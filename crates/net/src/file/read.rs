//! Reading: header first, then as many bytes of tensors as the file really has.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::checksum::{self, Stored};
use super::header::Header;
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
    let (size, file) = opened.map_err(|e| Error::file(&name, FileProblem::Read(e)))?;
    read(&mut std::io::BufReader::new(file), size, &name)
}

/// Reads a file of `size` bytes that must hold a `kind`.
pub(super) fn contents(file: &mut dyn Read, size: u64, kind: Kind, device: &Device) -> Result<Contents, FileProblem> {
    let header = Header::read(file, size)?;
    if header.kind != kind {
        return Err(FileProblem::Kind { found: header.kind, expected: kind });
    }
    header.check_tensors()?;
    let mut tensors = stored(file, &header)?;
    verify(&header, &mut tensors)?;
    let tensor = |Stored { name, shape, bytes }| -> Result<(String, Tensor), FileProblem> {
        let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok((name, Tensor::from_vec(values.collect::<Vec<_>>(), shape, device)?))
    };
    let named = tensors.into_iter().map(tensor).collect::<Result<_, _>>()?;
    let weights = Weights::new(named).map_err(|e| FileProblem::Foreign(e.to_string()))?;
    Ok(Contents { header, weights })
}

/// The tensors in the order in which they lie in the file.
fn stored(file: &mut dyn Read, header: &Header) -> Result<Vec<Stored>, FileProblem> {
    let infos = header.tensors.tensors();
    let read = |name: String| {
        let info = infos[&name];
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0]; // the header fits the file
        file.read_exact(&mut bytes)?;
        Ok(Stored { name, shape: info.shape.clone(), bytes })
    };
    header.tensors.offset_keys().into_iter().map(read).collect()
}

/// Sorts the tensors and checks their digest. Other writers lay them out in other orders, so it is the order of the
/// description that counts; the order in the file was what counted before, and differs where gates were placed in
/// another order than that of their layers.
fn verify(header: &Header, tensors: &mut [Stored]) -> Result<(), FileProblem> {
    let as_it_lies = checksum::digest(&header.entries, tensors);
    checksum::sort(tensors, &header.net);
    if as_it_lies == header.sha256 {
        return Ok(());
    }
    let found = checksum::digest(&header.entries, tensors);
    let expected = header.sha256.clone();
    if found == expected { Ok(()) } else { Err(FileProblem::Checksum { found, expected }) }
}
