//! The entries of a zip archive, as far as NumPy makes use of them: stored or deflated, named in UTF-8, not encrypted.

use crate::idx::LARGEST_EXPANSION;
use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::io::Read;

/// The most that an entry may unpack to.
const LARGEST: usize = 4 << 30;
const END: [u8; 4] = *b"PK\x05\x06";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// Bytes of the record of the end, of one of the directory and of one before an entry, each without what varies.
const END_SIZE: usize = 22;
const CENTRAL_SIZE: usize = 46;
const LOCAL_SIZE: usize = 30;

pub(super) struct Entry<'a> {
    pub(super) name: String,
    data: &'a [u8],
    size: usize,
    crc: usize,
    is_deflated: bool,
}

impl Entry<'_> {
    /// Its bytes, unpacked.
    pub(super) fn read(&self) -> Result<Vec<u8>, String> {
        let broken = |found: String| format!("{} {found}", self.name);
        if self.size > LARGEST || self.size > self.data.len().saturating_mul(LARGEST_EXPANSION) {
            return Err(broken(format!("of {} bytes that unpack to {}", self.data.len(), self.size)));
        }
        let mut bytes = Vec::new();
        let limit = self.size as u64 + 1;
        let read = match self.is_deflated {
            true => DeflateDecoder::new(self.data).take(limit).read_to_end(&mut bytes),
            false => self.data.take(limit).read_to_end(&mut bytes),
        };
        read.map_err(|error| broken(format!("that does not unpack ({error})")))?;
        if bytes.len() != self.size {
            return Err(broken(format!("that does not unpack to {} bytes", self.size)));
        }
        let mut crc = Crc::new();
        crc.update(&bytes);
        if crc.sum() as usize != self.crc {
            return Err(broken("whose bytes are not those that were written (CRC-32)".into()));
        }
        Ok(bytes)
    }
}

/// The entries that the directory at the end of the archive names.
pub(super) fn entries(archive: &[u8]) -> Result<Vec<Entry<'_>>, String> {
    let window = archive.len().saturating_sub(END_SIZE + usize::from(u16::MAX));
    let end = archive[window..].windows(4).rposition(|mark| mark == END).ok_or("a zip archive that is cut off")?;
    let end = &archive[window + end..];
    let (count, mut at) = (number(end, 10, 2)?, number(end, 16, 4)?);
    let mut entries = Vec::new();
    for _ in 0..count {
        let record = archive.get(at..).filter(|record| record.starts_with(&CENTRAL)).ok_or("a broken directory")?;
        let lengths = [number(record, 28, 2)?, number(record, 30, 2)?, number(record, 32, 2)?];
        let name = record.get(CENTRAL_SIZE..CENTRAL_SIZE + lengths[0]).ok_or("a broken directory")?;
        entries.push(entry(archive, record, String::from_utf8_lossy(name).into_owned())?);
        at += CENTRAL_SIZE + lengths.iter().sum::<usize>();
    }
    Ok(entries)
}

fn entry<'a>(archive: &'a [u8], record: &[u8], name: String) -> Result<Entry<'a>, String> {
    let (flags, method) = (number(record, 8, 2)?, number(record, 10, 2)?);
    if flags & 1 == 1 || !matches!(method, 0 | 8) {
        return Err(format!("{name}, which is encrypted or packed by another method than deflate"));
    }
    let crc = number(record, 16, 4)?;
    let (packed, size, at) = (number(record, 20, 4)?, number(record, 24, 4)?, number(record, 42, 4)?);
    let local = archive.get(at..).filter(|local| local.starts_with(&LOCAL)).ok_or("a broken entry")?;
    let from = LOCAL_SIZE + number(local, 26, 2)? + number(local, 28, 2)?;
    let data = local.get(from..).and_then(|data| data.get(..packed)).ok_or("an entry that is cut off")?;
    Ok(Entry { name, data, size, crc, is_deflated: method == 8 })
}

/// A little-endian number of so many bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Result<usize, String> {
    let bytes = bytes.get(at..at + length).ok_or("a zip archive that is cut off")?;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
}
