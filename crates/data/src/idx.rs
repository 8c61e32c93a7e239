//! The IDX format of the original MNIST files, plain or compressed by gzip.
//!
//! Two zero bytes, the element type (8 for bytes, the only one here), the number of dimensions, each dimension as a
//! big-endian u32, then the elements. Nothing is allocated on the word of a header alone: what it promises must fit
//! what the file can hold.

use crate::{Dataset, Error, Result, SourceFile, Split};
use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Deflate cannot expand a byte to more than this.
pub(crate) const LARGEST_EXPANSION: usize = 1032;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The contents of an IDX file of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Length of each dimension, the outermost first.
    pub dims: Vec<usize>,
    /// The elements; as many as the product of `dims`.
    pub data: Vec<u8>,
}

impl Idx {
    /// Reads the bytes of an IDX file, plain or compressed. `path` is for messages only.
    ///
    /// # Errors
    /// If the bytes are not exactly one IDX file of bytes with `rank` dimensions.
    pub fn parse(bytes: &[u8], rank: usize, path: &Path) -> Result<Self> {
        if bytes.starts_with(&GZIP) {
            let capacity = bytes.len().saturating_mul(LARGEST_EXPANSION);
            parse(MultiGzDecoder::new(bytes), capacity, rank, path)
        } else {
            parse(bytes, bytes.len(), rank, path)
        }
    }

    /// The plain bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, self.dims.len() as u8];
        bytes.extend(self.dims.iter().flat_map(|&dim| (dim as u32).to_be_bytes()));
        bytes.extend_from_slice(&self.data);
        bytes
    }
}

fn parse(mut from: impl Read, capacity: usize, rank: usize, path: &Path) -> Result<Idx> {
    let mut header = vec![0; 4 + 4 * rank];
    let got = read_up_to(&mut from, &mut header, path)?;
    let magic = [0, 0, 8, rank as u8];
    if header[..4] != magic {
        return Err(Error::format(path, magic_text(&magic), magic_text(&header[..4.min(got)])));
    }
    if got < header.len() {
        let expected = format!("a header of {} bytes", header.len());
        return Err(Error::format(path, expected, format!("the end of the file after {got}")));
    }
    let dims: Vec<usize> = header[4..].chunks_exact(4).map(big_endian).collect();
    let size = dims.iter().try_fold(1usize, |size, &dim| size.checked_mul(dim));
    let Some(size) = size.filter(|&size| size <= capacity) else {
        let expected = format!("{} elements, as its header says", product(&dims));
        return Err(Error::format(path, expected, format!("a file that holds at most {capacity}")));
    };
    let mut data = Vec::new();
    let limit = size as u64 + 1;
    from.take(limit).read_to_end(&mut data).map_err(|error| broken(path, &error))?;
    if data.len() != size {
        let expected = format!("{size} elements ({}), as its header says", product(&dims));
        let found = if data.len() < size { format!("{}", data.len()) } else { "more".into() };
        return Err(Error::format(path, expected, found));
    }
    Ok(Idx { dims, data })
}

fn read_up_to(from: &mut impl Read, buffer: &mut [u8], path: &Path) -> Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match from.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) => return Err(broken(path, &error)),
        }
    }
    Ok(got)
}

fn broken(path: &Path, error: &std::io::Error) -> Error {
    Error::format(path, "a whole gzip stream", error)
}

fn big_endian(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}

fn product(dims: &[usize]) -> String {
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

fn magic_text(bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("an IDX file of bytes beginning with {}", hex.join(" "))
}

/// Images and their labels from two IDX files, and the files' digests.
///
/// # Errors
/// If a file cannot be read or is not IDX, the counts differ or a label is not below `classes`.
pub fn read_split(images: &Path, labels: &Path, classes: usize) -> Result<(Split, [SourceFile; 2])> {
    let (pixels, images_file) = read(images, 3)?;
    let (targets, labels_file) = read(labels, 1)?;
    let [n, h, w] = pixels.dims[..] else { unreachable!("an IDX file of rank 3 has 3 dimensions") };
    if n * h * w == 0 {
        return Err(Error::format(images, "images with pixels", format!("{n} images of {h}x{w}")));
    }
    if targets.data.len() != n {
        let expected = format!("{n} labels for the images in {}", images.display());
        return Err(Error::format(labels, expected, targets.data.len()));
    }
    if let Some(i) = targets.data.iter().position(|&label| usize::from(label) >= classes) {
        let found = format!("{} at position {i}", targets.data[i]);
        return Err(Error::format(labels, format!("labels below {classes}"), found));
    }
    let targets = targets.data.into_iter().map(u32::from).collect();
    let split = Split::new(pixels.data, targets, (1, h, w), classes)?;
    Ok((split, [images_file, labels_file]))
}

/// The IDX file of this name, or as some copies have it: still compressed, or with a dot for the first hyphen of "idx".
pub(crate) fn variant(dir: &Path, name: &str) -> PathBuf {
    let dotted = name.replace("-idx", ".idx");
    let names = [name.to_string(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
    let path = names.iter().map(|name| dir.join(name)).find(|path| path.is_file());
    path.unwrap_or_else(|| dir.join(name))
}

/// Whether a folder holds such files.
pub(crate) fn is_in(dir: &Path) -> bool {
    variant(dir, &named("train", "images-idx3")).is_file()
}

fn named(part: &str, kind: &str) -> String {
    format!("{part}-{kind}-ubyte")
}

/// The data set in the four IDX files of a folder that is none known by name, as Fashion-MNIST comes; `None` if they
/// are not there.
pub(crate) fn load(dir: &Path) -> Result<Option<Dataset>> {
    if !is_in(dir) {
        return Ok(None);
    }
    let [train, test] =
        ["train", "t10k"].map(|part| ["images-idx3", "labels-idx1"].map(|kind| variant(dir, &named(part, kind))));
    let largest = |path: &Path| read(path, 1).map(|(labels, _)| labels.data.into_iter().max().map_or(0, usize::from));
    let classes = 1 + largest(&train[1])?.max(largest(&test[1])?);
    let (train, files) = read_split(&train[0], &train[1], classes)?;
    let (test, more) = read_split(&test[0], &test[1], classes)?;
    let name = dir.file_name().map_or_else(|| "idx".into(), |name| name.to_string_lossy().into_owned());
    Dataset::unknown(name, train, test, files.into_iter().chain(more).collect()).map(Some)
}

fn read(path: &Path, rank: usize) -> Result<(Idx, SourceFile)> {
    let (bytes, sha256) = crate::digest::read(path)?;
    let idx = Idx::parse(&bytes, rank, path)?;
    Ok((idx, SourceFile { path: path.to_path_buf(), sha256 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn example() -> Idx {
        Idx { dims: vec![2, 2, 3], data: (1..=12).collect() }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn refused(bytes: &[u8], message: &str) {
        let error = Idx::parse(bytes, 3, Path::new("digits.idx")).unwrap_err().to_string();
        let advice = "; replace the file by a fresh copy";
        assert_eq!(error, format!("digits.idx: expected {message}{advice}"));
    }

    #[test]
    fn plain_and_compressed_files_read_alike() {
        let bytes = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &example().data].concat();
        assert_eq!(example().to_bytes(), bytes);
        for bytes in [gzip(&bytes), bytes] {
            assert_eq!(Idx::parse(&bytes, 3, Path::new("x")).unwrap(), example());
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let bytes = example().to_bytes();
        let magic = "an IDX file of bytes beginning with 00 00 08 03";
        let found = |text| format!("{magic}, found an IDX file of bytes beginning with {text}");
        refused(b"PNG!", &found("50 4e 47 21"));
        refused(&[], &found(""));
        refused(&bytes[..7], "a header of 16 bytes, found the end of the file after 7");
        let held = "12 elements (2x2x3), as its header says";
        refused(&bytes[..20], &format!("{held}, found 4"));
        refused(&gzip(&bytes[..20]), &format!("{held}, found 4"));
        refused(&[&bytes[..], &[0]].concat(), &format!("{held}, found more"));
        refused(&gzip(&[&bytes[..], &[0]].concat()), &format!("{held}, found more"));
        let cut = gzip(&bytes);
        refused(&cut[..cut.len() - 3], "a whole gzip stream, found unexpected end of file");
    }

    #[test]
    fn a_header_that_promises_too_much_is_not_believed() {
        let huge = [0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255];
        for bytes in [huge.to_vec(), gzip(&huge)] {
            let error = Idx::parse(&bytes, 3, Path::new("x")).unwrap_err().to_string();
            assert!(error.contains("4294967295x4294967295x4294967295 elements"), "{error}");
        }
        let mut bomb = example().to_bytes();
        bomb.resize(20 << 20, 0);
        refused(&gzip(&bomb), "12 elements (2x2x3), as its header says, found more");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..64), head in 0usize..3, rank in 0usize..4,
        ) {
            let prefix = [vec![], vec![0, 0, 8, rank as u8], GZIP.to_vec()][head].clone();
            let bytes = [prefix, bytes].concat();
            if let Ok(idx) = Idx::parse(&bytes, rank, Path::new("x")) {
                prop_assert_eq!(idx.dims.iter().product::<usize>(), idx.data.len());
            }
        }

        #[test]
        fn a_changed_byte_never_gives_other_sizes(at in 0usize..28, byte: u8) {
            let mut bytes = example().to_bytes();
            bytes[at] = byte;
            if let Ok(idx) = Idx::parse(&bytes, 3, Path::new("x")) {
                prop_assert_eq!(idx.data.len(), 12);
            }
            let mut bytes = gzip(&example().to_bytes());
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Idx::parse(&bytes, 3, Path::new("x"));
        }
    }
}
