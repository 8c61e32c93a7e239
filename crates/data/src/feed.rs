//! From a split to batches: in which order, how normalised, how varied, and on which device.

use crate::{Augment, Batch, Error, Normalise, Placement, Result, Split, order};
use candle_core::{DType, Device, Tensor};
use l0_ops::Placed;

/// A split made into batches: the images, how they are normalised and varied, and how many come at once.
///
/// ```
/// use candle_core::Device;
/// use l0_data::{Feed, Normalise, Split};
/// let split = Split::new(vec![0; 7 * 4], vec![0; 7], (1, 2, 2), 10)?;
/// let feed = Feed::new(&split, Normalise::unit(), 3, &Device::Cpu)?;
/// let sizes: Vec<usize> = feed.epoch(1, 0).map(|batch| batch.unwrap().len()).collect();
/// assert_eq!(sizes, [3, 3, 1]);
/// # Ok::<(), l0_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Feed<'a> {
    split: &'a Split,
    normalise: Normalise,
    augment: Option<Augment>,
    size: usize,
    device: Device,
    dtype: DType,
    /// All images as they are, (n, c, h, w), on a GPU, which makes its batches itself.
    bytes: Option<Tensor>,
    /// What another network makes of each example in each of its ways, (ways n, outputs).
    soft: Option<Tensor>,
}

impl<'a> Feed<'a> {
    /// Batches of `size` images on `device`, in f32 and not varied.
    ///
    /// # Errors
    /// If `size` is 0, or the device cannot hold the images.
    pub fn new(split: &'a Split, normalise: Normalise, size: usize, device: &Device) -> Result<Self> {
        if size == 0 {
            return Err(Error::Argument("a batch needs at least 1 image".into()));
        }
        let (c, h, w) = split.shape();
        let bytes = || Tensor::from_slice(split.images(), (split.len(), c, h, w), device);
        let is_bytes = !split.is_table() && split.is_held();
        let bytes = (device.is_cuda() && is_bytes).then(bytes).transpose()?;
        Ok(Self { split, normalise, augment: None, size, device: device.clone(), dtype: DType::F32, bytes, soft: None })
    }

    /// The same with training images varied; rows of numbers stay as they are.
    ///
    /// # Errors
    /// If images would be moved by as many pixels as a side has.
    pub fn augment(self, augment: Option<Augment>) -> Result<Self> {
        let varied = Self { augment, ..self };
        varied.varied().map_or(Ok(()), |augment| augment.check(varied.split.shape()))?;
        Ok(varied)
    }

    /// The same with images in another type, to which they are rounded on the device.
    pub fn in_dtype(self, dtype: DType) -> Self {
        Self { dtype, ..self }
    }

    /// The same with what another network makes of each example, handed out with the batches: (ways n, outputs), row
    /// `k n + i` of example `i` in its [way](Self::in_way) `k`.
    ///
    /// # Errors
    /// If there is not a row for each example in each way.
    pub fn with_soft(self, soft: Tensor) -> Result<Self> {
        let (found, n) = (soft.dims().first().copied().unwrap_or(0), self.ways() * self.split.len());
        if found != n {
            return Err(Error::Argument(format!("outputs of another network for {found} examples of {n}")));
        }
        Ok(Self { soft: Some(soft), ..self })
    }

    /// The same with batches of another size.
    #[must_use]
    pub fn of_size(&self, size: usize) -> Self {
        Self { size: size.max(1), ..self.clone() }
    }

    /// How an example is varied, if it is.
    fn varied(&self) -> Option<Augment> {
        self.augment.filter(|_| !self.split.is_table())
    }

    /// In how many ways an example may come: 1 where it is the same in every epoch.
    pub fn ways(&self) -> usize {
        self.varied().map_or(1, |augment| augment.ways())
    }

    /// Batches of an epoch, the last incomplete one included.
    pub fn steps(&self) -> usize {
        self.split.len().div_ceil(self.size)
    }

    /// The split behind the batches.
    pub fn split(&self) -> &'a Split {
        self.split
    }

    /// The batches of one epoch of training: shuffled and varied by (seed, epoch, step) alone. To resume at step `k`,
    /// `skip(k)`: batches skipped are not made.
    pub fn epoch(&self, seed: u64, epoch: u64) -> Batches<'_> {
        let order = order(seed, epoch, self.split.len());
        let placing = self.varied().map_or(Placing::None, |augment| Placing::Drawn { augment, seed, epoch });
        Batches { feed: self, order, placing, step: 0 }
    }

    /// The images with these indices, placed, in the feed's type; made on the device if that holds them.
    fn batch(&self, indices: &[u32], placements: Option<&[Placement]>) -> Result<Batch> {
        let soft = self.soft.as_ref().map(|soft| self.rows_of(soft, indices, placements)).transpose()?;
        let Some(bytes) = &self.bytes else {
            let batch = self.split.batch(indices, &self.normalise, placements, &self.device)?;
            return Ok(Batch { images: batch.images.to_dtype(self.dtype)?, soft, ..batch });
        };
        let placed = |(i, &index): (usize, &u32)| {
            let Placement { down, right, flip } = placements.map_or(Placement::default(), |placements| placements[i]);
            Placed { index, down: down as i32, right: right as i32, flip }
        };
        let placed: Vec<Placed> = indices.iter().enumerate().map(placed).collect();
        let (mean, std) = self.normalise.constants();
        let images = l0_ops::images(bytes, &placed, mean, std, self.dtype)?;
        Ok(Batch { images, labels: self.split.labels_of(indices, &self.device)?, soft })
    }

    /// What another network makes of these examples as they are placed.
    fn rows_of(&self, soft: &Tensor, indices: &[u32], placements: Option<&[Placement]>) -> Result<Tensor> {
        let n = self.split.len() as u32;
        let way = |i: usize| match (self.varied(), placements) {
            (Some(augment), Some(placements)) => augment.number(&placements[i]) as u32,
            (Some(augment), None) => augment.number(&Placement::default()) as u32,
            (None, _) => 0,
        };
        let rows: Vec<u32> = indices.iter().enumerate().map(|(i, &index)| way(i) * n + index).collect();
        Ok(soft.index_select(&Tensor::new(rows, soft.device())?, 0)?)
    }

    /// All images in their order and unvaried, for evaluation.
    pub fn in_order(&self) -> Batches<'_> {
        let order = (0..self.split.len() as u32).collect();
        Batches { feed: self, order, placing: Placing::None, step: 0 }
    }

    /// All images in their order, each in its way `k` of [`ways`](Self::ways).
    pub fn in_way(&self, k: usize) -> Batches<'_> {
        let placing = self.varied().map_or(Placing::None, |augment| Placing::Same(augment.way(k)));
        Batches { placing, ..self.in_order() }
    }
}

/// The batches of one pass over a split.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    feed: &'a Feed<'a>,
    order: Vec<u32>,
    placing: Placing,
    step: usize,
}

/// How the images of a pass are placed.
#[derive(Debug, Clone, Copy)]
enum Placing {
    None,
    Same(Placement),
    Drawn { augment: Augment, seed: u64, epoch: u64 },
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let indices = self.order.chunks(self.feed.size).nth(self.step)?;
        let placements = match self.placing {
            Placing::None => None,
            Placing::Same(placement) => Some(vec![placement; indices.len()]),
            Placing::Drawn { augment, seed, epoch } => Some(augment.draw(seed, epoch, self.step as u64, indices.len())),
        };
        let batch = self.feed.batch(indices, placements.as_deref());
        self.step += 1;
        Some(batch)
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.step = self.step.saturating_add(n);
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.feed.steps().saturating_sub(self.step);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn split() -> Split {
        let images = (0..25 * 6).map(|i| (i / 6) as u8).collect();
        Split::new(images, (0..25).collect(), (1, 2, 3), 25).unwrap()
    }

    fn labels(batches: Batches) -> Vec<Vec<u32>> {
        batches.map(|batch| batch.unwrap().labels.to_vec1().unwrap()).collect()
    }

    fn pixels(batches: impl Iterator<Item = Result<Batch>>) -> Vec<Vec<f32>> {
        let flat = |batch: Batch| batch.images.flatten_all().unwrap().to_vec1().unwrap();
        batches.map(|batch| flat(batch.unwrap())).collect()
    }

    #[test]
    fn an_epoch_has_every_image_once() {
        let split = split();
        let feed = Feed::new(&split, Normalise::unit(), 10, &Device::Cpu).unwrap();
        let mut seen = labels(feed.epoch(1, 0)).concat();
        assert_eq!(seen, order(1, 0, 25));
        seen.sort_unstable();
        assert_eq!(seen, labels(feed.in_order()).concat());
        assert_eq!(feed.epoch(1, 0).len(), 3);
    }

    #[test]
    fn skipping_is_resuming() {
        let split = split();
        let feed = Feed::new(&split, Normalise::unit(), 4, &Device::Cpu).unwrap();
        assert!(feed.clone().augment(Some(Augment { pad: 2, flip: true })).is_err());
        let feed = feed.augment(Some(Augment { pad: 1, flip: true })).unwrap();
        let all = pixels(feed.epoch(3, 7));
        for k in 0..8 {
            assert_eq!(pixels(feed.epoch(3, 7).skip(k)), all[k.min(7)..]);
        }
        assert_ne!(pixels(feed.epoch(3, 8)), all);
    }

    #[test]
    fn images_of_another_type_are_those_of_f32_rounded_and_labels_stay() {
        let split = split();
        let feed = Feed::new(&split, Normalise::unit(), 4, &Device::Cpu).unwrap();
        let rounded = feed.clone().in_dtype(DType::BF16);
        for (exact, rounded) in feed.epoch(1, 0).zip(rounded.epoch(1, 0)) {
            let (exact, rounded) = (exact.unwrap(), rounded.unwrap());
            let expected = exact.images.to_dtype(DType::BF16).unwrap();
            assert_eq!(rounded.images.dtype(), DType::BF16);
            let difference = (expected - rounded.images).unwrap().to_dtype(DType::F32).unwrap();
            assert_eq!(difference.abs().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap(), 0.0);
            assert_eq!(exact.labels.to_vec1::<u32>().unwrap(), rounded.labels.to_vec1::<u32>().unwrap());
        }
    }

    #[test]
    fn batches_of_nothing_are_refused() {
        assert!(Feed::new(&split(), Normalise::unit(), 0, &Device::Cpu).is_err());
    }
}
