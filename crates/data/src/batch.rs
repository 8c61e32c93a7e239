//! A few examples of a split made into tensors.

use crate::normalise::Channel;
use crate::{Error, Normalise, Placement, Result, Split};
use candle_core::{Device, Tensor};

/// Examples and labels on a device, ready for a network.
#[derive(Debug, Clone)]
pub struct Batch {
    /// f32 unless a [`Feed`](crate::Feed) says otherwise, (b, c, h, w), or (b, columns) of a table.
    pub images: Tensor,
    /// Classes as u32, (b,), or numbers to be predicted as f32, (b, 1). Batches that were made elsewhere may have
    /// classes of each position, (b, h, w).
    pub labels: Tensor,
    /// What another network makes of the examples, (b, outputs), where the [`Feed`](crate::Feed) was given it.
    pub soft: Option<Tensor>,
}

impl Batch {
    /// Examples and their labels.
    pub fn new(images: Tensor, labels: Tensor) -> Self {
        Self { images, labels, soft: None }
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.labels.dims().first().copied().unwrap_or(0)
    }

    /// Whether there is no example at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Split {
    /// The examples with these indices as numbers, in one pass from bytes, each image placed as `placements` says.
    ///
    /// # Errors
    /// If an index is out of range, `normalise` is for another number of channels or columns, or there are not as many
    /// placements as indices, or any for rows of a table.
    pub fn batch(
        &self,
        indices: &[u32],
        normalise: &Normalise,
        placements: Option<&[Placement]>,
        device: &Device,
    ) -> Result<Batch> {
        self.check_indices(indices)?;
        let (c, h, w) = self.shape();
        let channels = normalise.channels(c)?;
        let labels = self.labels_of(indices, device)?;
        if self.is_table() {
            let values = self.rows_of(indices, channels, placements)?;
            return Ok(Batch::new(Tensor::from_vec(values, (indices.len(), c), device)?, labels));
        }
        let mut values = Vec::with_capacity(indices.len() * self.image_size());
        let images = self.pixels(indices)?;
        match placements {
            None => images.iter().for_each(|image| convert(image, h * w, channels.clone(), &mut values)),
            Some(placements) if placements.len() == indices.len() => {
                for (image, placement) in images.iter().zip(placements) {
                    place(image, (h, w), channels.clone(), placement, &mut values);
                }
            }
            Some(placements) => {
                let (n, m) = (placements.len(), indices.len());
                return Err(Error::Argument(format!("{n} placements for {m} images")));
            }
        }
        Ok(Batch::new(Tensor::from_vec(values, (indices.len(), c, h, w), device)?, labels))
    }

    /// The labels of these examples: classes as u32, (b,), or numbers as f32, (b, 1).
    pub(crate) fn labels_of(&self, indices: &[u32], device: &Device) -> Result<Tensor> {
        Ok(match self.targets() {
            Some((targets, _)) => {
                let targets: Vec<f32> = indices.iter().map(|&i| targets[i as usize]).collect();
                Tensor::from_vec(targets, (indices.len(), 1), device)?
            }
            None => {
                let labels: Vec<u32> = indices.iter().map(|&i| self.labels()[i as usize]).collect();
                Tensor::from_vec(labels, indices.len(), device)?
            }
        })
    }

    fn rows_of(
        &self,
        indices: &[u32],
        columns: impl Iterator<Item = Channel> + Clone,
        placements: Option<&[Placement]>,
    ) -> Result<Vec<f32>> {
        if placements.is_some() {
            return Err(Error::Argument("rows of a table cannot be moved or mirrored".into()));
        }
        let row =
            |&i: &u32| self.row(i as usize).iter().zip(columns.clone()).map(|(&value, column)| column.scaled(value));
        Ok(indices.iter().flat_map(row).collect())
    }
}

fn convert(image: &[u8], plane: usize, channels: impl Iterator<Item = Channel>, values: &mut Vec<f32>) {
    for (pixels, channel) in image.chunks_exact(plane).zip(channels) {
        values.extend(pixels.iter().map(|&pixel| channel.value(pixel)));
    }
}

fn place(
    image: &[u8],
    (h, w): (usize, usize),
    channels: impl Iterator<Item = Channel>,
    placement: &Placement,
    values: &mut Vec<f32>,
) {
    let inside = overlap(placement.right, w);
    for (plane, channel) in image.chunks_exact(h * w).zip(channels) {
        let black = channel.value(0);
        for y in 0..h {
            let start = values.len();
            values.resize(start + w, black);
            let row = &mut values[start..];
            if let Some(from) = shifted(y, placement.down, h)
                && !inside.is_empty()
            {
                let first = (inside.start as isize + placement.right) as usize;
                let pixels = &plane[from * w + first..][..inside.len()];
                for (value, &pixel) in row[inside.clone()].iter_mut().zip(pixels) {
                    *value = channel.value(pixel);
                }
            }
            if placement.flip {
                row.reverse();
            }
        }
    }
}

/// The positions of 0..n that still fall on the image when it is moved by `shift`.
fn overlap(shift: isize, n: usize) -> std::ops::Range<usize> {
    let length = n.saturating_sub(shift.unsigned_abs());
    let start = if shift < 0 { n - length } else { 0 };
    start..start + length
}

fn shifted(at: usize, shift: isize, n: usize) -> Option<usize> {
    at.checked_add_signed(shift).filter(|&at| at < n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn colours() -> Split {
        let images = (0..2 * 3 * 4 * 5).map(|i| (i * 2) as u8).collect();
        Split::new(images, vec![4, 1], (3, 4, 5), 5).unwrap()
    }

    #[test]
    fn a_batch_is_gathered_and_normalised() {
        let batch = colours().batch(&[1, 0, 1], &Normalise::cifar10(), None, &Device::Cpu).unwrap();
        assert_eq!(batch.images.dims(), [3, 3, 4, 5]);
        assert_eq!(batch.labels.to_vec1::<u32>().unwrap(), [1, 4, 1]);
        let values = values(&batch.images);
        assert_eq!(values[0], (120.0 - 125.3) / 63.0);
        assert_eq!(values[60 + 20], (40.0 - 123.0) / 62.1);
        assert_eq!(values[..60], values[120..]);
    }

    #[test]
    fn every_byte_over_255_is_exact() {
        let split = Split::new((0..=255).collect(), vec![0], (1, 16, 16), 1).unwrap();
        let batch = split.batch(&[0], &Normalise::unit(), None, &Device::Cpu).unwrap();
        let expected: Vec<f32> = (0..256).map(|i| i as f32 / 255.0).collect();
        assert_eq!(values(&batch.images), expected);
    }

    /// torchvision: pad(img, 4), crop at (4 + down, 4 + right), hflip, then normalise; written out pixel by pixel.
    fn naive(split: &Split, i: usize, p: Placement, normalise: &Normalise) -> Vec<f32> {
        let (c, h, w) = split.shape();
        let mut out = vec![];
        for (k, y, x) in (0..c * h * w).map(|i| (i / (h * w), i / w % h, i % w)) {
            let x = if p.flip { w - 1 - x } else { x };
            let (y, x) = (y as isize + p.down, x as isize + p.right);
            let on = (0..h as isize).contains(&y) && (0..w as isize).contains(&x);
            let pixel = if on { split.image(i)[(k * h + y as usize) * w + x as usize] } else { 0 };
            out.push((f32::from(pixel) - normalise.constants().0[k]) / normalise.constants().1[k]);
        }
        out
    }

    #[test]
    fn placements_agree_with_cropping_pixel_by_pixel() {
        let (split, normalise) = (colours(), Normalise::cifar100());
        for down in -6..=6 {
            for right in -7..=7 {
                for flip in [false, true] {
                    let p = Placement { down, right, flip };
                    let batch = split.batch(&[1], &normalise, Some(&[p]), &Device::Cpu).unwrap();
                    assert_eq!(values(&batch.images), naive(&split, 1, p, &normalise), "{p:?}");
                }
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        let batch = |indices: &[u32], normalise, placements: Option<&[Placement]>| {
            colours().batch(indices, &normalise, placements, &Device::Cpu).unwrap_err().to_string()
        };
        assert_eq!(batch(&[2], Normalise::cifar10(), None), "no image 2 among 2");
        assert_eq!(
            batch(&[0], Normalise::unit(), None),
            "normalisation of 1 channels for images of 3; choose a normalisation of one channel, which serves all, or of as many as the images have"
        );
        assert_eq!(batch(&[0], Normalise::cifar10(), Some(&[])), "0 placements for 1 images");
        assert!(Normalise::new(vec![0.0], vec![0.0]).is_err());
        assert!(Normalise::new(vec![0.0], vec![1.0, 1.0]).is_err());
    }
}
