//! From pictures of all kinds to the images of a data set: one look at their heads, to know how many channels there are
//! and whether all have one size, then every picture once. What does not decode is left out, and said.

use crate::picture::{Frame, Head, head};
use crate::stored::{Encoded, Stored};
use crate::{Error, Progress, Result, Split};
use l0_files::{Sha256, sha256};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Decoded at a time where pictures are looked at and not kept.
const AT_A_TIME: usize = 256;
/// Files that are named.
const NAMED: usize = 10;

/// How pictures are to become images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Wish {
    /// Rows and columns of an image; those that all pictures have if not given.
    pub(crate) size: Option<usize>,
    /// 1 or 3; as most pictures need if not given.
    pub(crate) channels: Option<usize>,
    /// Bytes of images that may be held.
    pub(crate) memory: u64,
}

/// Pictures and their labels.
pub(crate) struct Labelled {
    pub(crate) pictures: Vec<Encoded>,
    pub(crate) labels: Vec<u32>,
    /// What tells each from others of the data set, where that matters.
    pub(crate) names: Vec<String>,
}

/// What was left out, and why.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Skipped(pub(crate) Vec<(String, String)>);

impl Skipped {
    /// "3 files skipped: a.jpg (a Gif file, ...), ...", the first ten by name; nothing if there is none.
    pub(crate) fn note(&self) -> Option<String> {
        let named: Vec<String> = self.0.iter().take(NAMED).map(|(name, why)| format!("{name} ({why})")).collect();
        let more = self.0.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let files = if self.0.len() == 1 { "1 file" } else { &format!("{} files", self.0.len()) };
        (!named.is_empty()).then(|| format!("{files} skipped: {}{more}", named.join(", ")))
    }
}

/// The images of the parts, all of one shape, with the digest of each part's files; `name` is that of the data set.
///
/// # Errors
/// If the pictures differ in size and none is wished for, or no picture of the first part decodes.
pub(crate) fn gather(
    name: &str,
    mut parts: Vec<Labelled>,
    classes: usize,
    wish: Wish,
    progress: &dyn Progress,
    skipped: &mut Skipped,
) -> Result<Vec<Part>> {
    let total = 2 * parts.iter().map(|part| part.labels.len()).sum::<usize>();
    let meter = Meter { name, done: AtomicUsize::new(0), total, progress };
    let heads: Vec<Vec<Head>> = parts.iter_mut().map(|part| look(part, &meter, skipped)).collect();
    let frame = frame(name, &heads, &parts, wish)?;
    let (c, h, w) = frame.shape;
    let bytes: u64 = parts.iter().map(|part| part.labels.len() as u64 * (c * h * w) as u64).sum();
    let decode = if bytes <= wish.memory { hold } else { keep };
    let made = parts.into_iter().map(|part| decode(part, classes, frame, &meter, skipped)).collect();
    progress.decoded(name, total, total);
    made
}

/// The images of a part, and the digest of the files that they are of.
pub(crate) struct Part {
    pub(crate) split: Split,
    pub(crate) sha256: String,
    /// The names of what was not left out.
    pub(crate) names: Vec<String>,
}

struct Meter<'a> {
    name: &'a str,
    done: AtomicUsize,
    total: usize,
    progress: &'a dyn Progress,
}

impl Meter<'_> {
    fn one(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of((self.total / 200).max(1)) {
            self.progress.decoded(self.name, done, self.total);
        }
    }
}

/// The heads of the pictures; those without one leave the part.
fn look(part: &mut Labelled, meter: &Meter, skipped: &mut Skipped) -> Vec<Head> {
    let look = |picture: &Encoded| {
        meter.one();
        picture.read().and_then(|bytes| head(&bytes))
    };
    let heads: Vec<Result<Head, String>> = part.pictures.par_iter().map(look).collect();
    let is_kept: Vec<bool> = heads.iter().map(Result::is_ok).collect();
    for (picture, head) in part.pictures.iter().zip(&heads) {
        head.as_ref().err().into_iter().for_each(|why| skip(skipped, picture, why));
    }
    retain(&mut part.pictures, &is_kept);
    retain(&mut part.labels, &is_kept);
    retain(&mut part.names, &is_kept);
    heads.into_iter().flatten().collect()
}

fn skip(skipped: &mut Skipped, picture: &Encoded, why: &str) {
    skipped.0.push((picture.path().display().to_string(), why.to_string()));
}

fn retain<T>(values: &mut Vec<T>, is_kept: &[bool]) {
    let mut kept = is_kept.iter();
    values.retain(|_| *kept.next().unwrap_or(&false));
}

fn frame(name: &str, heads: &[Vec<Head>], parts: &[Labelled], wish: Wish) -> Result<Frame> {
    let all = || heads.iter().flatten();
    let Some(first) = all().next() else {
        let message = format!("{name} holds no picture that can be read: PNG, JPEG and WebP are");
        return Err(Error::Argument(message));
    };
    let channels = wish.channels.unwrap_or(if all().all(|head| head.is_grey) { 1 } else { 3 });
    if let Some(size) = wish.size {
        return Frame::checked((channels, size, size)).map_err(Error::Argument);
    }
    let pictures = parts.iter().flat_map(|part| &part.pictures);
    let other = all().zip(pictures.clone()).find(|(head, _)| head.size != first.size);
    match (other, pictures.clone().next()) {
        (Some((head, other)), Some(picture)) => Err(Error::NeedsSize {
            name: name.to_string(),
            examples: [(picture, first), (other, head)]
                .map(|(picture, head)| format!("{} of {}x{}", picture.path().display(), head.size.0, head.size.1)),
        }),
        _ => {
            let frame = Frame::checked((channels, first.size.0, first.size.1)).map_err(Error::Argument)?;
            Ok(Frame { is_exact: true, ..frame })
        }
    }
}

/// All images, decoded.
fn hold(part: Labelled, classes: usize, frame: Frame, meter: &Meter, skipped: &mut Skipped) -> Result<Part> {
    let (c, h, w) = frame.shape;
    let size = c * h * w;
    let mut images = vec![0; part.labels.len() * size];
    let each = images.par_chunks_exact_mut(size).zip(&part.pictures);
    let digests: Vec<_> = each.map(|(planes, picture)| decode(picture, frame, planes, meter)).collect();
    let is_kept = kept(&part, &digests, skipped);
    let mut to = 0;
    for from in (0..is_kept.len()).filter(|&from| is_kept[from]) {
        images.copy_within(from * size..(from + 1) * size, to * size);
        to += 1;
    }
    images.truncate(to * size);
    let (mut labels, mut names) = (part.labels, part.names);
    retain(&mut labels, &is_kept);
    retain(&mut names, &is_kept);
    Ok(Part { split: Split::new(images, labels, frame.shape, classes)?, sha256: all_of(digests), names })
}

/// Pictures that have been found to decode, and are decoded again when a batch needs them.
fn keep(part: Labelled, classes: usize, frame: Frame, meter: &Meter, skipped: &mut Skipped) -> Result<Part> {
    let (c, h, w) = frame.shape;
    let look = |picture: &Encoded| decode(picture, frame, &mut vec![0; c * h * w], meter);
    let chunks = part.pictures.chunks(AT_A_TIME);
    let digests: Vec<_> = chunks.flat_map(|chunk| chunk.par_iter().map(look).collect::<Vec<_>>()).collect();
    let is_kept = kept(&part, &digests, skipped);
    let order = (0..is_kept.len() as u32).filter(|&i| is_kept[i as usize]).collect();
    let (mut labels, mut names) = (part.labels, part.names);
    retain(&mut labels, &is_kept);
    retain(&mut names, &is_kept);
    let split = Split::stored(Stored::new(part.pictures, order, frame), labels, classes)?;
    Ok(Part { split, sha256: all_of(digests), names })
}

fn decode(picture: &Encoded, frame: Frame, planes: &mut [u8], meter: &Meter) -> Result<[u8; 32], String> {
    meter.one();
    let bytes = picture.read()?;
    frame.decode(&bytes, planes)?;
    let mut hash = Sha256::new();
    hash.update(&bytes);
    Ok(hash.bytes())
}

fn kept(part: &Labelled, digests: &[Result<[u8; 32], String>], skipped: &mut Skipped) -> Vec<bool> {
    for (picture, digest) in part.pictures.iter().zip(digests) {
        digest.as_ref().err().into_iter().for_each(|why| skip(skipped, picture, why));
    }
    digests.iter().map(Result::is_ok).collect()
}

/// The digest of the digests of files, in their order.
fn all_of(digests: Vec<Result<[u8; 32], String>>) -> String {
    sha256(&digests.into_iter().flatten().flatten().collect::<Vec<u8>>())
}
