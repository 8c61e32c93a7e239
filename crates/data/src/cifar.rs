//! The binary format of CIFAR: records without a header, each the label bytes and 3x32x32 pixels (red, green, blue
//! planes, row by row).

use crate::foreign::form::form;
use crate::{Error, Result, SourceFile, Split};
use std::path::{Path, PathBuf};

const SHAPE: (usize, usize, usize) = (3, 32, 32);
const PIXELS: usize = 3 * 32 * 32;

/// What stands in front of the pixels of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One label byte.
    Cifar10,
    /// The coarse label (of 20), then the fine one, which is kept.
    Cifar100,
}

impl Format {
    fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }

    fn classes(self) -> usize {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
        }
    }
}

/// The images of the bytes of one file. `path` is for messages only.
///
/// # Errors
/// If the bytes are not a whole number of records, at least one, or a label is out of range.
pub fn parse(bytes: &[u8], format: Format, path: &Path) -> Result<Split> {
    let (labels, classes) = (format.label_bytes(), format.classes());
    let record = labels + PIXELS;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let expected = format!("records of {record} bytes");
        let form = form(bytes).map_or(String::new(), |form| format!(", which are {form}"));
        return Err(Error::format(path, expected, format!("{} bytes{form}", bytes.len())));
    }
    let records = bytes.chunks_exact(record);
    let targets: Vec<u32> = records.clone().map(|record| u32::from(record[labels - 1])).collect();
    if let Some(i) = targets.iter().position(|&label| label as usize >= classes) {
        let found = format!("{} in record {i}", targets[i]);
        return Err(Error::format(path, format!("labels below {classes}"), found));
    }
    let images = records.flat_map(|record| &record[labels..]).copied().collect();
    Split::new(images, targets, SHAPE, classes)
}

/// The images of several files, one after the other, and the files' digests.
///
/// # Errors
/// As [`parse`], or if a file cannot be read.
pub fn read_split(paths: &[PathBuf], format: Format) -> Result<(Split, Vec<SourceFile>)> {
    let (mut parts, mut files) = (Vec::new(), Vec::new());
    for path in paths {
        let (bytes, sha256) = crate::digest::read(path)?;
        parts.push(parse(&bytes, format, path)?);
        files.push(SourceFile { path: path.clone(), sha256 });
    }
    Ok((Split::joined(parts, SHAPE, format.classes())?, files))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(labels: &[u8], first: u8) -> Vec<u8> {
        let pixels = (0..PIXELS).map(|i| first.wrapping_add((i / 32) as u8));
        labels.iter().copied().chain(pixels).collect()
    }

    #[test]
    fn both_formats_are_read() {
        let bytes = [record(&[7], 0), record(&[2], 9)].concat();
        let split = parse(&bytes, Format::Cifar10, Path::new("x")).unwrap();
        assert_eq!((split.labels(), split.shape(), split.classes()), (&[7, 2][..], SHAPE, 10));
        assert_eq!((split.image(1)[0], split.image(1)[31], split.image(1)[32]), (9, 9, 10));
        let bytes = record(&[19, 99], 3);
        let split = parse(&bytes, Format::Cifar100, Path::new("x")).unwrap();
        assert_eq!((split.labels(), split.image(0)[0], split.classes()), (&[99][..], 3, 100));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let refused = |bytes: &[u8], message: &str| {
            let error = parse(bytes, Format::Cifar10, Path::new("b.bin")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("b.bin: expected {message};")), "{error}");
        };
        refused(&[], "records of 3073 bytes, found 0 bytes");
        refused(&record(&[1], 0)[1..], "records of 3073 bytes, found 3072 bytes");
        refused(b"\x80\x02}q\x01", "records of 3073 bytes, found 5 bytes, which are a Python pickle");
        let bytes = [record(&[7], 0), record(&[10], 9)].concat();
        refused(&bytes, "labels below 10, found 10 in record 1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(label: u8, fine: u8, length in 0usize..7000) {
            let bytes: Vec<u8> = record(&[label, fine], 1).into_iter().cycle().take(length).collect();
            for format in [Format::Cifar10, Format::Cifar100] {
                if let Ok(split) = parse(&bytes, format, Path::new("x")) {
                    prop_assert!(!split.is_empty());
                }
            }
        }
    }
}
