//! To and from the data sets of `candle-datasets`, so that its users can come and go.

use crate::{Dataset, Error, Result, Split};
use candle_core::{DType, Device, Tensor};
use candle_datasets::vision;

impl Dataset {
    /// The same images as `candle-datasets` has them: f32 in [0, 1] on the CPU, labels u8; one channel as
    /// (n, h * w), as its MNIST is, else (n, c, h, w).
    ///
    /// # Errors
    /// If a label does not fit a byte.
    pub fn to_candle(&self) -> Result<vision::Dataset> {
        let (train_images, train_labels) = to_tensors(&self.train)?;
        let (test_images, test_labels) = to_tensors(&self.test)?;
        let labels = self.train.classes();
        Ok(vision::Dataset { train_images, train_labels, test_images, test_labels, labels })
    }

    /// Images of `candle-datasets`: f32 in [0, 1] become the nearest bytes; `shape` is (channels, height, width).
    ///
    /// CIFAR as `candle_datasets::vision::cifar::load()` returns it is transposed, (n, c, w, h); its `load_dir` is
    /// right.
    ///
    /// # Errors
    /// If counts, shape and labels do not fit together, or a value lies outside [0, 1].
    pub fn from_candle(name: &str, from: &vision::Dataset, shape: (usize, usize, usize)) -> Result<Self> {
        let split = |images, labels| from_tensors(images, labels, shape, from.labels);
        let train = split(&from.train_images, &from.train_labels)?;
        let test = split(&from.test_images, &from.test_labels)?;
        Self::new(name, train, test, vec![])
    }
}

fn to_tensors(split: &Split) -> Result<(Tensor, Tensor)> {
    let (c, h, w) = split.shape();
    let images = Tensor::from_slice(split.images(), (split.len(), c, h, w), &Device::Cpu)?;
    let images = (images.to_dtype(DType::F32)? / 255.)?;
    let images = if c == 1 { images.flatten_from(1)? } else { images };
    let bytes: Result<Vec<u8>, _> = split.labels().iter().map(|&label| u8::try_from(label)).collect();
    let bytes =
        bytes.map_err(|_| Error::Argument(format!("labels of {} classes do not fit bytes", split.classes())))?;
    Ok((images, Tensor::from_vec(bytes, split.len(), &Device::Cpu)?))
}

fn from_tensors(images: &Tensor, labels: &Tensor, shape: (usize, usize, usize), classes: usize) -> Result<Split> {
    let values: Vec<f32> = images.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    if let Some(value) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
        return Err(Error::Argument(format!("pixels must lie in [0, 1], found {value}")));
    }
    let bytes = values.iter().map(|value| (255.0 * value).round() as u8).collect();
    Split::new(bytes, labels.to_dtype(DType::U32)?.to_vec1()?, shape, classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(shape: (usize, usize, usize), dims: &[usize]) {
        let (c, h, w) = shape;
        let split = |n: usize| {
            let images = (0..n * c * h * w).map(|i| (i * 37) as u8).collect();
            Split::new(images, (0..n as u32).collect(), shape, 9).unwrap()
        };
        let dataset = Dataset::new("x", split(4), split(3), vec![]).unwrap();
        let theirs = dataset.to_candle().unwrap();
        assert_eq!((theirs.train_images.dims(), theirs.labels), (dims, 9));
        let ours = Dataset::from_candle("x", &theirs, shape).unwrap();
        assert_eq!((ours.train, ours.test), (dataset.train, dataset.test));
    }

    #[test]
    fn there_and_back_nothing_changes() {
        there_and_back((1, 2, 3), &[4, 6]);
        there_and_back((3, 2, 4), &[4, 3, 2, 4]);
    }

    #[test]
    fn values_outside_are_refused() {
        let images = Tensor::from_slice(&[0.5f32, 2.0], (1, 2), &Device::Cpu).unwrap();
        let labels = Tensor::from_slice(&[1u8], 1, &Device::Cpu).unwrap();
        let error = from_tensors(&images, &labels, (1, 1, 2), 3).unwrap_err().to_string();
        assert_eq!(error, "pixels must lie in [0, 1], found 2");
    }
}
