//! Examples and what is to be said of each: one half of a data set.

use crate::stored::Stored;
use crate::{Error, Result};
use l0_rng::{Purpose, Stream};
use std::borrow::Cow;
use std::sync::Arc;

/// Labelled examples of one kind on the host: images as bytes, (n, c, h, w), or rows of numbers, (n, columns), and a
/// class or a number for each.
///
/// Images are held, or decoded as batches need them where they would not fit in memory. The constructors check that
/// everything fits together, so that no later step has to.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    examples: Examples,
    targets: Targets,
    shape: (usize, usize, usize),
    classes: usize,
    names: Arc<[String]>,
}

#[derive(Debug, Clone, PartialEq)]
enum Examples {
    Bytes(Vec<u8>),
    Stored(Stored),
    Numbers(Vec<f32>),
}

#[derive(Debug, Clone, PartialEq)]
enum Targets {
    Classes(Vec<u32>),
    Numbers(Vec<f32>, Scale),
}

/// How numbers to be predicted were made ones of mean 0 and standard deviation 1: `(number - mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scale {
    /// Their mean over the training rows.
    pub mean: f64,
    /// Their standard deviation over the training rows.
    pub std: f64,
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
        Self::of(Examples::Bytes(images), labels, shape, classes)
    }

    /// Rows of `columns` numbers each, one after the other, with a class for each row.
    ///
    /// # Errors
    /// If the counts differ, there is no column or a label is not below `classes`.
    pub fn rows(numbers: Vec<f32>, labels: Vec<u32>, columns: usize, classes: usize) -> Result<Self> {
        check_rows(numbers.len(), labels.len(), columns)?;
        Self::of(Examples::Numbers(numbers), labels, (columns, 1, 1), classes)
    }

    /// Rows of `columns` numbers each, with a number to predict for each row, made one of mean 0 and standard
    /// deviation 1 by `scale`.
    ///
    /// # Errors
    /// If the counts differ or there is no column.
    pub fn regression(numbers: Vec<f32>, targets: Vec<f32>, columns: usize, scale: Scale) -> Result<Self> {
        check_rows(numbers.len(), targets.len(), columns)?;
        let (examples, targets) = (Examples::Numbers(numbers), Targets::Numbers(targets, scale));
        Ok(Self { examples, targets, shape: (columns, 1, 1), classes: 0, names: Arc::default() })
    }

    /// Images that are decoded as batches need them.
    pub(crate) fn stored(images: Stored, labels: Vec<u32>, classes: usize) -> Result<Self> {
        let shape = images.shape();
        Self::of(Examples::Stored(images), labels, shape, classes)
    }

    fn of(examples: Examples, labels: Vec<u32>, shape: (usize, usize, usize), classes: usize) -> Result<Self> {
        if let Some(i) = labels.iter().position(|&label| label as usize >= classes) {
            let label = labels[i];
            let message = format!("label {label} of image {i} is not below {classes} classes");
            return Err(Error::Argument(message));
        }
        Ok(Self { examples, targets: Targets::Classes(labels), shape, classes, names: Arc::default() })
    }

    /// The same with a name for each class.
    ///
    /// # Errors
    /// If there are not as many names as classes.
    pub fn with_class_names(self, names: impl Into<Arc<[String]>>) -> Result<Self> {
        let names = names.into();
        if names.len() != self.classes {
            return Err(Error::Argument(format!("{} names for {} classes", names.len(), self.classes)));
        }
        Ok(Self { names, ..self })
    }

    /// The images of all `splits`, which have this shape and so many classes, one split after the other.
    pub(crate) fn joined(splits: Vec<Self>, shape: (usize, usize, usize), classes: usize) -> Result<Self> {
        let mut splits = splits.into_iter().map(Self::into_parts);
        let (mut images, mut labels) = splits.next().unwrap_or_default();
        for (more, of_more) in splits {
            images.extend(more);
            labels.extend(of_more);
        }
        Self::new(images, labels, shape, classes)
    }

    fn into_parts(self) -> (Vec<u8>, Vec<u32>) {
        match (self.examples, self.targets) {
            (Examples::Bytes(images), Targets::Classes(labels)) => (images, labels),
            _ => Default::default(),
        }
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        match &self.targets {
            Targets::Classes(labels) => labels.len(),
            Targets::Numbers(numbers, _) => numbers.len(),
        }
    }

    /// Whether there is no example at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// (channels, height, width) of every image; (columns, 1, 1) of rows.
    pub fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    /// The dimensions of an example: `[channels, height, width]` of an image, `[columns]` of a row.
    pub fn dims(&self) -> Vec<usize> {
        let (c, h, w) = self.shape;
        if self.is_table() { vec![c] } else { vec![c, h, w] }
    }

    /// Whether the examples are rows of numbers, and no images.
    pub fn is_table(&self) -> bool {
        matches!(self.examples, Examples::Numbers(_))
    }

    /// Whether [`images`](Self::images) holds the images; if not, they are decoded as batches need them.
    pub fn is_held(&self) -> bool {
        !matches!(self.examples, Examples::Stored(_))
    }

    /// Number of classes; every label is below it. 0 where numbers are to be predicted.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// What the classes are called; empty where nobody has said.
    pub fn class_names(&self) -> &[String] {
        &self.names
    }

    /// All pixels, (n, c, h, w); empty if the images are decoded as batches need them, and for rows of numbers.
    pub fn images(&self) -> &[u8] {
        match &self.examples {
            Examples::Bytes(images) => images,
            Examples::Stored(_) | Examples::Numbers(_) => &[],
        }
    }

    /// All numbers of rows, (n, columns); empty for images.
    pub fn numbers(&self) -> &[f32] {
        match &self.examples {
            Examples::Numbers(numbers) => numbers,
            Examples::Stored(_) | Examples::Bytes(_) => &[],
        }
    }

    /// The class of each example; empty where numbers are to be predicted.
    pub fn labels(&self) -> &[u32] {
        match &self.targets {
            Targets::Classes(labels) => labels,
            Targets::Numbers(..) => &[],
        }
    }

    /// The numbers to be predicted, one for each row, and how they were scaled; `None` for classes.
    pub fn targets(&self) -> Option<(&[f32], Scale)> {
        match &self.targets {
            Targets::Classes(_) => None,
            Targets::Numbers(numbers, scale) => Some((numbers, *scale)),
        }
    }

    /// Bytes of one image.
    pub fn image_size(&self) -> usize {
        let (c, h, w) = self.shape;
        c * h * w
    }

    /// The pixels of image `i`, (c, h, w).
    ///
    /// # Panics
    /// If [`images`](Self::images) does not hold an image `i`.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.images()[i * self.image_size()..][..self.image_size()]
    }

    /// The numbers of row `i` of a table.
    ///
    /// # Panics
    /// If [`numbers`](Self::numbers) does not hold a row `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.numbers()[i * self.image_size()..][..self.image_size()]
    }

    /// The pixels of these images one after the other, decoded now if they are not held.
    pub(crate) fn pixels(&self, indices: &[u32]) -> Result<Vec<Cow<'_, [u8]>>> {
        match &self.examples {
            Examples::Stored(stored) => Ok(stored.decode(indices)?.into_iter().map(Cow::Owned).collect()),
            _ => Ok(indices.iter().map(|&i| Cow::Borrowed(self.image(i as usize))).collect()),
        }
    }

    /// The examples with these indices, in this order.
    ///
    /// # Errors
    /// If an index is out of range.
    pub fn select(&self, indices: &[u32]) -> Result<Self> {
        self.check_indices(indices)?;
        let size = self.image_size();
        let examples = match &self.examples {
            Examples::Bytes(images) => Examples::Bytes(chosen(images, size, indices)),
            Examples::Numbers(numbers) => Examples::Numbers(chosen(numbers, size, indices)),
            Examples::Stored(stored) => Examples::Stored(stored.select(indices)),
        };
        let targets = match &self.targets {
            Targets::Classes(labels) => Targets::Classes(chosen(labels, 1, indices)),
            Targets::Numbers(numbers, scale) => Targets::Numbers(chosen(numbers, 1, indices), *scale),
        };
        Ok(Self { examples, targets, names: Arc::clone(&self.names), ..*self })
    }

    /// A table with these of its columns, in this order; images as they are.
    pub(crate) fn with_columns(&self, columns: &[usize]) -> Self {
        let Examples::Numbers(numbers) = &self.examples else { return self.clone() };
        let rows = numbers.chunks(self.image_size());
        let numbers = rows.flat_map(|row| columns.iter().map(|&column| row[column])).collect();
        Self { examples: Examples::Numbers(numbers), shape: (columns.len(), 1, 1), ..self.clone() }
    }

    /// The same with each class under its number in `names`, which are all classes then; as it is where either has no
    /// names. A name that is not among them is the one that is the same number, as "01" is "1", if no other is. Its own
    /// names that are not among them, if there are such.
    pub(crate) fn in_classes(self, names: &[String]) -> std::result::Result<Self, Vec<String>> {
        let Targets::Classes(labels) = &self.targets else { return Ok(self) };
        if names.is_empty() || self.names.is_empty() || *self.names == *names {
            return Ok(self);
        }
        let exact = |name: &String| names.iter().position(|known| known == name);
        let place = |name: &String| exact(name).or_else(|| same_number(name, &self.names, names)).map(|at| at as u32);
        let places: Vec<Option<u32>> = self.names.iter().map(place).collect();
        let Some(places) = places.iter().copied().collect::<Option<Vec<u32>>>() else {
            let unknown = self.names.iter().zip(places).filter(|(_, place)| place.is_none());
            return Err(unknown.map(|(name, _)| name.clone()).collect());
        };
        let labels = labels.iter().map(|&label| places[label as usize]).collect();
        Ok(Self { targets: Targets::Classes(labels), classes: names.len(), names: names.into(), ..self })
    }

    /// The same with numbers to be predicted in this scale; classes as they are.
    pub(crate) fn in_scale(self, scale: Scale) -> Self {
        match &self.targets {
            Targets::Numbers(numbers, own) if *own != scale => {
                let other = |&number: &f32| ((f64::from(number) * own.std + own.mean - scale.mean) / scale.std) as f32;
                let numbers = numbers.iter().map(other).collect();
                Self { targets: Targets::Numbers(numbers, scale), ..self }
            }
            _ => self,
        }
    }

    /// The first `n` examples, or all of them if there are fewer.
    pub fn take(&self, n: usize) -> Self {
        let first: Vec<u32> = (0..n.min(self.len()) as u32).collect();
        self.select(&first).expect("the first are there")
    }

    /// Parts the examples into the rest and `n` held out for validation, drawn by the seed alone. Both keep the order
    /// they had.
    ///
    /// # Errors
    /// If there are fewer than `n` examples.
    pub fn split_off(&self, n: usize, seed: u64) -> Result<(Self, Self)> {
        if n > 0 && n >= self.len() {
            let (all, left) = (self.len(), "hold out fewer, so that some are left to learn from");
            let message = format!("cannot hold out {n} of {all} examples; {left}");
            return Err(Error::Argument(message));
        }
        let mut stream = Stream::new(seed, Purpose::Other, 0, 0, "validation");
        let mut order = stream.permutation(self.len());
        let (held_out, rest) = order.split_at_mut(n);
        held_out.sort_unstable();
        rest.sort_unstable();
        Ok((self.select(rest)?, self.select(held_out)?))
    }

    /// These examples and the others, both in ascending order: held images move, and are not copied.
    pub(crate) fn part(mut self, rest: &[u32], held_out: &[u32]) -> Result<(Self, Self)> {
        let test = self.select(held_out)?;
        self.check_indices(rest)?;
        let size = self.image_size();
        let (Examples::Bytes(images), Targets::Classes(labels)) = (&mut self.examples, &mut self.targets) else {
            return Ok((self.select(rest)?, test));
        };
        for (to, &from) in rest.iter().enumerate() {
            let from = from as usize;
            images.copy_within(from * size..(from + 1) * size, to * size);
            labels[to] = labels[from];
        }
        images.truncate(rest.len() * size);
        labels.truncate(rest.len());
        Ok((self, test))
    }

    pub(crate) fn check_indices(&self, indices: &[u32]) -> Result<()> {
        match indices.iter().find(|&&i| i as usize >= self.len()) {
            None => Ok(()),
            Some(i) => Err(Error::Argument(format!("no image {i} among {}", self.len()))),
        }
    }
}

fn check_rows(numbers: usize, rows: usize, columns: usize) -> Result<()> {
    if columns > 0 && rows.checked_mul(columns) == Some(numbers) {
        return Ok(());
    }
    Err(Error::Argument(format!("{rows} rows of {columns} numbers, found {numbers} numbers")))
}

fn chosen<T: Copy>(values: &[T], size: usize, indices: &[u32]) -> Vec<T> {
    indices.iter().flat_map(|&i| &values[i as usize * size..][..size]).copied().collect()
}

/// The place in `names` of the one that is the same number as `name`, where no other is, neither there nor in `own`.
fn same_number(name: &str, own: &[String], names: &[String]) -> Option<usize> {
    let number = |text: &str| text.parse::<f64>().ok();
    let wanted = number(name)?;
    let only = |texts: &[String]| {
        let mut same = texts.iter().enumerate().filter(|(_, text)| number(text) == Some(wanted)).map(|(at, _)| at);
        same.next().filter(|_| same.next().is_none())
    };
    only(own).and_then(|_| only(names))
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
        let error = split.split_off(51, 1).unwrap_err().to_string();
        assert_eq!(error, "cannot hold out 51 of 50 examples; hold out fewer, so that some are left to learn from");
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
    fn classes_that_are_the_same_number_are_the_same() {
        let named = |own: &[&str], known: &[&str]| {
            let texts = |all: &[&str]| all.iter().map(|name| name.to_string()).collect::<Vec<String>>();
            let labels = (0..own.len() as u32).collect();
            let split = Split::rows(vec![0.0; own.len()], labels, 1, own.len()).unwrap();
            let split = split.with_class_names(texts(own)).unwrap();
            split.in_classes(&texts(known)).map(|split| split.labels().to_vec())
        };
        assert_eq!(named(&["01", "02"], &["1", "2", "3"]), Ok(vec![0, 1]));
        assert_eq!(named(&["1", "2"], &["0.50", "1.00", "2.00"]), Ok(vec![1, 2]));
        assert_eq!(named(&["01", "1"], &["1", "2"]), Err(vec!["01".into()]), "two of one number are not told apart");
        assert_eq!(named(&["1.0", "2"], &["01", "1", "2"]), Err(vec!["1.0".into()]));
        assert_eq!(named(&["a", "b"], &["b", "a"]), Ok(vec![1, 0]));
    }
}
