//! Pictures that stay what their files hold until a batch needs them.

use crate::picture::Frame;
use crate::{Error, Result};
use rayon::prelude::*;
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file that is taken for a picture.
const LARGEST_FILE: u64 = 256 << 20;

/// A picture as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Encoded {
    File(PathBuf),
    /// Of a larger file, with what to call it.
    #[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "only files of the Hub hold many"))]
    Bytes(Vec<u8>, String),
}

impl Encoded {
    /// The bytes of the file.
    pub(crate) fn read(&self) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Self::File(path) => read(path).map(Cow::Owned),
            Self::Bytes(bytes, _) => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// The file, or what to call it.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Bytes(_, name) => Path::new(name),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("a file that cannot be read ({error})");
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_or(0, |data| data.len());
    let mut bytes = Vec::with_capacity(size.min(LARGEST_FILE) as usize);
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let is_small = bytes.len() as u64 <= LARGEST_FILE;
    is_small.then_some(bytes).ok_or_else(|| format!("a file of more than {} MiB", LARGEST_FILE >> 20))
}

/// Pictures, and the images that they are to become.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pictures: Arc<Vec<Encoded>>,
    order: Vec<u32>,
    frame: Frame,
}

impl Stored {
    /// Those of `pictures` with these indices.
    pub(crate) fn new(pictures: Vec<Encoded>, order: Vec<u32>, frame: Frame) -> Self {
        Self { pictures: Arc::new(pictures), order, frame }
    }

    pub(crate) fn shape(&self) -> (usize, usize, usize) {
        self.frame.shape
    }

    pub(crate) fn select(&self, indices: &[u32]) -> Self {
        let order = indices.iter().map(|&i| self.order[i as usize]).collect();
        Self { pictures: Arc::clone(&self.pictures), order, frame: self.frame }
    }

    /// The pixels of these images, each (c, h, w), decoded on all threads.
    ///
    /// # Errors
    /// If a file has changed or gone since the data set was opened.
    pub(crate) fn decode(&self, indices: &[u32]) -> Result<Vec<Vec<u8>>> {
        let (c, h, w) = self.frame.shape;
        let decode = |&i: &u32| {
            let picture = &self.pictures[self.order[i as usize] as usize];
            let mut planes = vec![0; c * h * w];
            let decoded = picture.read().and_then(|bytes| self.frame.decode(&bytes, &mut planes));
            let expected = "the picture that was there when the data set was opened";
            decoded.map(|()| planes).map_err(|found| Error::format(picture.path(), expected, found))
        };
        indices.par_iter().map(decode).collect()
    }
}
