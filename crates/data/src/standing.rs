//! Whether a data set is the one that its name promises.
//!
//! The same benchmark comes as IDX, as binary files and as parquet, and its rows in any order: so what is known of it
//! is no digest of a file but of its contents. Those of a split are the SHA-256 of each image with its label, summed as
//! numbers of 256 bits: equal for equal images, in whatever order. It tells apart what people mix up, not what somebody
//! forges.

use crate::repo::{Part, Repo};
use crate::{Benchmark, Result, Split};
use l0_files::{Sha256, sha256};
use rayon::prelude::*;

/// Images that are looked at together: those that are not held are decoded for it.
const AT_A_TIME: usize = 256;

/// What is known of the images behind a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// They are what the name promises: the published ones, in whatever order, or those that the program draws. A name
    /// that is none of [`Benchmark`] promises nothing.
    Itself,
    /// They are others.
    Other {
        /// In what, as `1000 training images in place of 60000`.
        how: String,
        /// A digest that tells them from others, whatever their order; lower-case hex.
        contents: String,
    },
    /// They may be those: there are as many, and no digest of the published ones is known here.
    Unchecked,
}

impl Standing {
    /// Of these images under this name. About a twentieth of a second for MNIST.
    ///
    /// # Errors
    /// If images that are decoded as they are needed do not decode any longer.
    pub(crate) fn of(name: &str, train: &Split, test: &Split) -> Result<Self> {
        match name.parse().ok().and_then(Repo::of) {
            Some(repo) => compare(&repo, [train, test]),
            None => Ok(Self::Itself),
        }
    }

    /// What must be said of the images wherever something that was measured on them is shown.
    pub(crate) fn caveat(&self, name: Benchmark) -> Option<String> {
        let title = name.title();
        match self {
            Self::Itself => None,
            Self::Other { how, .. } => Some(format!("not {title}: {how}")),
            Self::Unchecked => Some(format!("not checked to be {title}: its digest is not known here")),
        }
    }
}

fn compare(repo: &Repo, parts: [&Split; 2]) -> Result<Standing> {
    let contents = [contents(parts[0])?, contents(parts[1])?];
    let each = Part::BOTH.into_iter().zip(parts).zip(&contents);
    let how: Vec<String> = each.filter_map(|((part, split), found)| difference(repo, part, split, found)).collect();
    Ok(match (how.is_empty(), repo.contents) {
        (false, _) => Standing::Other { how: how.join(", "), contents: sha256(contents.concat().as_bytes()) },
        (true, Some(_)) => Standing::Itself,
        (true, None) => Standing::Unchecked,
    })
}

fn difference(repo: &Repo, part: Part, split: &Split, found: &str) -> Option<String> {
    let what = if part == Part::Train { "training" } else { "test" };
    let (n, expected) = (split.len(), part.of(repo.images));
    if n != expected {
        return Some(format!("{n} {what} images in place of {expected}"));
    }
    let is_known = repo.contents.is_none_or(|known| part.of(known) == found);
    let is_same = is_known && split.shape() == repo.name.shape();
    (!is_same).then(|| format!("other {what} images or labels"))
}

/// The digest of a split's contents, lower-case hex.
fn contents(split: &Split) -> Result<String> {
    let order: Vec<u32> = (0..split.len() as u32).collect();
    let some = order.par_chunks(AT_A_TIME).map(|indices| of_images(split, indices));
    let sum = some.try_reduce(|| [0; 4], |a, b| Ok(add(a, b)))?;
    Ok(sum.iter().rev().map(|word| format!("{word:016x}")).collect())
}

fn of_images(split: &Split, indices: &[u32]) -> Result<[u64; 4]> {
    let images = split.pixels(indices)?;
    let each = images.iter().zip(indices).map(|(image, &i)| of_image(image, split.labels()[i as usize]));
    Ok(each.fold([0; 4], add))
}

/// Four words, the lowest first.
fn of_image(pixels: &[u8], label: u32) -> [u64; 4] {
    let mut hash = Sha256::new();
    hash.update(&label.to_le_bytes());
    hash.update(pixels);
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(hash.bytes().chunks_exact(8)) {
        *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    words
}

fn add(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
    let mut carry = 0;
    std::array::from_fn(|i| {
        let sum = u128::from(a[i]) + u128::from(b[i]) + carry;
        carry = sum >> 64;
        sum as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(images: &[u8], labels: &[u32]) -> Split {
        Split::new(images.to_vec(), labels.to_vec(), (1, 1, 2), 3).unwrap()
    }

    #[test]
    fn contents_are_the_sum_of_digests() {
        // from hashlib import sha256 h = lambda label, pixels: int.from_bytes(sha256(label.to_bytes(4, "little") +
        // bytes(pixels)).digest(), "little") print(f"{(h(1, [2, 3]) + h(0, [4, 5]) + h(0, [4, 5])) % 2**256:064x}")
        let expected = "e5c735f21fc531865e84ae6325d28c62702c515d598464820f2322f884461684";
        let contents = |images: &[u8], labels: &[u32]| contents(&split(images, labels)).unwrap();
        assert_eq!(contents(&[2, 3, 4, 5, 4, 5], &[1, 0, 0]), expected);
        assert_eq!(contents(&[4, 5, 2, 3, 4, 5], &[0, 1, 0]), expected);
        for (images, labels) in [([2, 3, 4, 5, 4, 5], [0, 1, 0]), ([2, 3, 4, 5, 2, 3], [1, 0, 1])] {
            assert_ne!(contents(&images, &labels), expected);
        }
    }

    /// A data set of three images, known under the name of MNIST.
    fn known(contents: Option<[&'static str; 2]>) -> Repo {
        Repo { images: [2, 1], contents, ..Repo::of(Benchmark::Mnist).unwrap() }
    }

    fn pictures(first: u8, n: usize) -> Split {
        let images = (0..n).flat_map(|i| [first + i as u8; 784]).collect();
        Split::new(images, vec![1; n], (1, 28, 28), 10).unwrap()
    }

    fn said(repo: &Repo, train: &Split, test: &Split) -> String {
        compare(repo, [train, test]).unwrap().caveat(Benchmark::Mnist).unwrap_or_default()
    }

    #[test]
    fn what_differs_is_said() {
        let (train, test) = (pictures(1, 2), pictures(9, 1));
        let pins = [&train, &test].map(|split| &*contents(split).unwrap().leak());
        let repo = known(Some(pins));
        assert_eq!(compare(&repo, [&train, &test]).unwrap(), Standing::Itself);
        assert_eq!(compare(&repo, [&train.select(&[1, 0]).unwrap(), &test]).unwrap(), Standing::Itself);
        assert_eq!(said(&repo, &train.take(1), &test), "not MNIST: 1 training images in place of 2");
        let other = "not MNIST: other training images or labels, 2 test images in place of 1";
        assert_eq!(said(&repo, &pictures(2, 2), &pictures(9, 2)), other);
        let turned = Split::new(test.images().to_vec(), vec![1], (1, 14, 56), 10).unwrap();
        assert_eq!(said(&repo, &train, &turned), "not MNIST: other test images or labels");
        assert_eq!(said(&known(None), &train, &test), "not checked to be MNIST: its digest is not known here");
        assert_eq!(said(&known(None), &train.take(1), &test), "not MNIST: 1 training images in place of 2");
    }

    #[test]
    fn other_data_has_a_digest_of_its_own_whatever_the_order() {
        let digest = |train: &Split| match Standing::of("mnist", train, &pictures(9, 1)).unwrap() {
            Standing::Other { contents, .. } => contents,
            standing => panic!("{standing:?}"),
        };
        assert_eq!(digest(&pictures(1, 2)), digest(&pictures(1, 2).select(&[1, 0]).unwrap()));
        assert_ne!(digest(&pictures(1, 2)), digest(&pictures(1, 3)));
        assert_eq!(Standing::of("digits", &pictures(1, 2), &pictures(9, 1)).unwrap(), Standing::Itself);
        assert_eq!(Standing::of("mine", &pictures(1, 2), &pictures(9, 1)).unwrap(), Standing::Itself);
    }
}
