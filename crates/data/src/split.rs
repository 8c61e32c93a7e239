use crate::{DatasetName, Error, Result, Standing};
use l0_files::Sha256;
use l0_rng::{Purpose, Stream};
use std::path::PathBuf;

/// Labelled images of one size on the host: pixels as bytes, (n, c, h, w), and a class for each.
///
/// The constructor checks that everything fits together, so that no later step has to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    images: Vec<u8>,
    labels: Vec<u32>,
    shape: (usize, usize, usize),
    classes: usize,
}

impl Split {
    /// `images` holds `labels.len()` images of `shape` = (channels, height, width) one after the other.
    ///
    /// # Errors
    /// If the counts differ, a side is 0 or a label is not below `classes`.
    pub fn new(images: Vec<u8>, labels: Vec<u32>, shape: (usize, usize, usize), classes: usize) -> Result<Self> {
        let (c, h, w) = shape;
        let size = c.checked_mul(h).and_then(|n| n.checked_mul(w)).filter(|&size| size > 0);
        let Some(size) = size else {
            return Err(Error::Argument(format!("images of {c}x{h}x{w} cannot hold a pixel")));
        };
        if !images.len().is_multiple_of(size) || images.len() / size != labels.len() {
            let (n, bytes) = (labels.len(), images.len());
            let message = format!("{n} labels need {n} images of {c}x{h}x{w}, found {bytes} bytes");
            return Err(Error::Argument(message));
        }
        if let Some(i) = labels.iter().position(|&label| label as usize >= classes) {
            let label = labels[i];
            let message = format!("label {label} of image {i} is not below {classes} classes");
            return Err(Error::Argument(message));
        }
        Ok(Self { images, labels, shape, classes })
    }

    /// The images of all `splits`, which have this shape and so many classes, one split after the other.
    pub(crate) fn joined(splits: Vec<Self>, shape: (usize, usize, usize), classes: usize) -> Result<Self> {
        let mut splits = splits.into_iter();
        let (mut images, mut labels) = splits.next().map(|first| (first.images, first.labels)).unwrap_or_default();
        for split in splits {
            images.extend(split.images);
            labels.extend(split.labels);
        }
        Self::new(images, labels, shape, classes)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image at all.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// (channels, height, width) of every image.
    pub fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    /// Number of classes; every label is below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// All pixels, (n, c, h, w).
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// The class of each image.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Bytes of one image.
    pub fn image_size(&self) -> usize {
        let (c, h, w) = self.shape;
        c * h * w
    }

    /// The pixels of image `i`, (c, h, w).
    ///
    /// # Panics
    /// If there is no image `i`.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.images[i * self.image_size()..][..self.image_size()]
    }

    /// The images with these indices, in this order.
    ///
    /// # Errors
    /// If an index is out of range.
    pub fn select(&self, indices: &[u32]) -> Result<Self> {
        self.check_indices(indices)?;
        let images = indices.iter().flat_map(|&i| self.image(i as usize)).copied().collect();
        let labels = indices.iter().map(|&i| self.labels[i as usize]).collect();
        Ok(Self { images, labels, ..*self })
    }

    /// The first `n` images, or all of them if there are fewer.
    pub fn take(&self, n: usize) -> Self {
        let n = n.min(self.len());
        Self { images: self.images[..n * self.image_size()].to_vec(), labels: self.labels[..n].to_vec(), ..*self }
    }

    /// Parts the images into the rest and `n` held out for validation, drawn by the seed alone. Both keep the order
    /// they had.
    ///
    /// # Errors
    /// If there are fewer than `n` images.
    pub fn split_off(&self, n: usize, seed: u64) -> Result<(Self, Self)> {
        if n > self.len() {
            let message = format!("cannot hold out {n} of {} images", self.len());
            return Err(Error::Argument(message));
        }
        let mut stream = Stream::new(seed, Purpose::Other, 0, 0, "validation");
        let mut order = stream.permutation(self.len());
        let (held_out, rest) = order.split_at_mut(n);
        held_out.sort_unstable();
        rest.sort_unstable();
        Ok((self.select(rest)?, self.select(held_out)?))
    }

    pub(crate) fn check_indices(&self, indices: &[u32]) -> Result<()> {
        match indices.iter().find(|&&i| i as usize >= self.len()) {
            None => Ok(()),
            Some(i) => Err(Error::Argument(format!("no image {i} among {}", self.len()))),
        }
    }
}

/// A file that was read, and the digest of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it lies.
    pub path: PathBuf,
    /// sha256 of the file, lower-case hex.
    pub sha256: String,
}

/// A data set: images to learn from, images to test on, and where they came from.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// "mnist", "cifar10", "cifar100" or "digits".
    pub name: String,
    /// To learn from.
    pub train: Split,
    /// To test on.
    pub test: Split,
    /// The files read; empty for images drawn by the program.
    pub files: Vec<SourceFile>,
    /// Whether they are the images that its name promises.
    pub standing: Standing,
}

impl Dataset {
    /// Checks that both splits hold the same kind of images, and whether they are those that the name promises.
    ///
    /// # Errors
    /// If shape or classes differ.
    pub fn new(name: impl Into<String>, train: Split, test: Split, files: Vec<SourceFile>) -> Result<Self> {
        let kind = |split: &Split| (split.shape, split.classes);
        if kind(&train) != kind(&test) {
            let message = format!(
                "training images are {:?} of {} classes, test images {:?} of {}",
                train.shape, train.classes, test.shape, test.classes
            );
            return Err(Error::Argument(message));
        }
        let name = name.into();
        let standing = Standing::of(&name, &train, &test);
        Ok(Self { name, train, test, files, standing })
    }

    /// What must be said of the images wherever something that was measured on them is shown, as `not MNIST: 1000 training
    /// images in place of 60000`; nothing if they are those that the name promises.
    pub fn caveat(&self) -> Option<String> {
        let name: DatasetName = self.name.parse().ok()?;
        self.standing.caveat(name)
    }

    /// sha256 over pixels, labels and shapes, lower-case hex: equal for equal images in equal order, whatever the
    /// files they came from. About a tenth of a second for CIFAR.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for split in [&self.train, &self.test] {
            let (c, h, w) = split.shape;
            for number in [split.len(), c, h, w, split.classes] {
                hash.update(&(number as u64).to_le_bytes());
            }
            hash.update(&split.images);
            let labels: Vec<u8> = split.labels.iter().flat_map(|l| l.to_le_bytes()).collect();
            hash.update(&labels);
        }
        hash.hex()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(n: usize) -> Split {
        let images = (0..n * 4).map(|i| (i / 4) as u8).collect();
        let labels = (0..n).map(|i| i as u32 % 3).collect();
        Split::new(images, labels, (1, 2, 2), 3).unwrap()
    }

    fn refused(images: usize, labels: Vec<u32>, shape: (usize, usize, usize), message: &str) {
        let error = Split::new(vec![0; images], labels, shape, 3).unwrap_err();
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        refused(7, vec![0, 1], (1, 2, 2), "2 labels need 2 images of 1x2x2, found 7 bytes");
        refused(8, vec![0], (1, 2, 2), "1 labels need 1 images of 1x2x2, found 8 bytes");
        refused(8, vec![0, 3], (1, 2, 2), "label 3 of image 1 is not below 3 classes");
        refused(0, vec![], (0, 2, 2), "images of 0x2x2 cannot hold a pixel");
        refused(0, vec![], (usize::MAX, 2, 2), &format!("images of {}x2x2 cannot hold a pixel", usize::MAX));
    }

    #[test]
    fn a_validation_split_parts_the_images() {
        let split = numbered(50);
        let (rest, held_out) = split.split_off(20, 1).unwrap();
        assert_eq!((rest.len(), held_out.len()), (30, 20));
        let mut all = [rest.images(), held_out.images()].concat();
        all.sort_unstable();
        assert_eq!(all, split.images());
        assert_eq!(split.split_off(20, 1).unwrap().1, held_out);
        assert_ne!(split.split_off(20, 2).unwrap().1, held_out);
        assert!(split.split_off(51, 1).is_err());
    }

    #[test]
    fn selecting_and_taking_keep_images_with_their_labels() {
        let split = numbered(10);
        let some = split.select(&[7, 2]).unwrap();
        assert_eq!((some.images(), some.labels()), (&[7, 7, 7, 7, 2, 2, 2, 2][..], &[1, 2][..]));
        assert_eq!(split.take(3), split.select(&[0, 1, 2]).unwrap());
        assert_eq!(split.take(99), split);
        assert_eq!(split.select(&[10]).unwrap_err().to_string(), "no image 10 among 10");
    }

    #[test]
    fn the_digest_sees_pixels_labels_and_order() {
        let dataset = |train: Split| Dataset::new("x", train, numbered(5), vec![]).unwrap().digest();
        let split = numbered(10);
        assert_eq!(dataset(split.clone()), dataset(split.clone()));
        assert_ne!(dataset(split.clone()), dataset(split.take(9)));
        let reversed: Vec<u32> = (0..10).rev().collect();
        assert_ne!(dataset(split.clone()), dataset(split.select(&reversed).unwrap()));
        let other = Split::new(vec![0; 4], vec![0], (1, 2, 2), 4).unwrap();
        assert!(Dataset::new("x", split, other, vec![]).is_err());
    }
}
