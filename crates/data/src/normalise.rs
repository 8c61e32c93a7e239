//! From bytes, or the numbers of a table's columns, to what a network reads.

use crate::{Error, Result, Split};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How pixels become numbers: `(pixel - mean) / std` per channel, all in units of one byte step (0 to 255); or the
/// numbers of a table, per column and in its own units.
///
/// The arithmetic is one subtraction and one division, so that every pixel is the nearest `f32` to the formula's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Constants")]
pub struct Normalise {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Normalise {
    /// `mean` and `std` of each channel, of 255.
    ///
    /// # Errors
    /// If the counts differ, or a `std` is not a positive number.
    pub fn new(mean: Vec<f32>, std: Vec<f32>) -> Result<Self> {
        if mean.len() != std.len() {
            let message = format!("{} channel means but {} standard deviations", mean.len(), std.len());
            return Err(Error::Argument(message));
        }
        let usable = |std: &f32| std.is_finite() && *std > 0.0;
        if !std.iter().all(usable) || !mean.iter().all(|mean| mean.is_finite()) {
            let message =
                format!("means {mean:?} and standard deviations {std:?}: expected numbers, the latter above 0");
            return Err(Error::Argument(message));
        }
        Ok(Self { mean, std })
    }

    /// Pixels of one channel over 255: MNIST, and the drawn digits.
    pub fn unit() -> Self {
        Self { mean: vec![0.0], std: vec![255.0] }
    }

    /// The paper's constants for CIFAR-10.
    pub fn cifar10() -> Self {
        Self { mean: vec![125.3, 123.0, 113.9], std: vec![63.0, 62.1, 66.7] }
    }

    /// The paper's constants for CIFAR-100.
    pub fn cifar100() -> Self {
        Self { mean: vec![129.3, 124.1, 112.4], std: vec![68.2, 65.4, 70.4] }
    }

    /// The constants that networks trained on ImageNet are used with.
    pub fn imagenet() -> Self {
        Self::of_unit(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225])
    }

    /// The usual constants of MNIST, mean 0.1307 and standard deviation 0.3081 of 1.
    pub fn mnist() -> Self {
        Self::of_unit(&[0.1307], &[0.3081])
    }

    fn of_unit(mean: &[f64], std: &[f64]) -> Self {
        let bytes = |values: &[f64]| values.iter().map(|value| (255.0 * value) as f32).collect();
        Self { mean: bytes(mean), std: bytes(std) }
    }

    /// `mean` and `std` of each channel of pixels from 0 to 1, as they are mostly written.
    ///
    /// # Errors
    /// As [`new`](Self::new), or if one lies above 1.
    pub fn of_pixels_to_one(mean: &[f64], std: &[f64]) -> Result<Self> {
        if let Some(above) = mean.iter().chain(std).find(|value| !(0.0..=1.0).contains(*value)) {
            let message =
                format!("a mean or standard deviation of {above}: they are those of pixels from 0 to 1, as 0.485");
            return Err(Error::Argument(message));
        }
        if std.contains(&0.0) {
            return Err(Error::Argument("a standard deviation of 0: expected one above 0".into()));
        }
        let Self { mean, std } = Self::of_unit(mean, std);
        Self::new(mean, std)
    }

    /// Mean and standard deviation of each channel, or column, of these examples. Where all values are one, the
    /// standard deviation is 1: what says nothing becomes 0.
    ///
    /// # Errors
    /// If images that are decoded as they are needed do not decode any longer.
    pub fn of(split: &Split) -> Result<Self> {
        let moments = if split.is_table() { of_columns(split) } else { of_channels(split)? };
        let std = |&(_, variance): &(f64, f64)| if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 };
        let usable = |std: f32| if std.is_finite() && std > 0.0 { std } else { 1.0 };
        let mean = moments.iter().map(|&(mean, _)| mean as f32).collect();
        Self::new(mean, moments.iter().map(std).map(usable).collect())
    }

    /// Whether what is normalised by one can be read as if it were by the other: means and standard deviations differ
    /// by less than a tenth of a standard deviation, as those of two samples of the same data do.
    pub fn is_near(&self, other: &Self) -> bool {
        let near = |a: f32, b: f32, std: f32| (a - b).abs() < 0.1 * std;
        let ends = |one: &Self, i: usize| (one.mean[i], one.std[i]);
        self.mean.len() == other.mean.len()
            && (0..self.mean.len()).all(|i| {
                let ((mean, std), (other_mean, other_std)) = (ends(self, i), ends(other, i));
                near(mean, other_mean, std) && near(std, other_std, std)
            })
    }

    /// The same for images of so many channels: constants of one stand for all.
    ///
    /// # Errors
    /// If there are others than one or as many.
    pub fn for_channels(self, channels: usize) -> Result<Self> {
        match self.mean.len() {
            1 => Ok(Self { mean: vec![self.mean[0]; channels], std: vec![self.std[0]; channels] }),
            n if n == channels => Ok(self),
            n => Err(not_for(n, channels)),
        }
    }

    /// Those of no constants: every number of so many columns stays as it is.
    pub(crate) fn none(columns: usize) -> Self {
        Self { mean: vec![0.0; columns], std: vec![1.0; columns] }
    }

    /// The constants of these columns, in this order.
    pub(crate) fn with_columns(&self, columns: &[usize]) -> Self {
        let chosen = |values: &[f32]| columns.iter().map(|&column| values[column]).collect();
        Self { mean: chosen(&self.mean), std: chosen(&self.std) }
    }

    /// Mean and standard deviation of each channel or column.
    pub fn constants(&self) -> (&[f32], &[f32]) {
        (&self.mean, &self.std)
    }

    pub(crate) fn channels(&self, c: usize) -> Result<impl Iterator<Item = Channel> + Clone + '_> {
        if self.mean.len() != c {
            return Err(not_for(self.mean.len(), c));
        }
        Ok(self.mean.iter().zip(&self.std).map(|(&mean, &std)| Channel { mean, std }))
    }
}

/// Constants of so many channels for images of others.
fn not_for(n: usize, channels: usize) -> Error {
    let advice = "choose a normalisation of one channel, which serves all, or of as many as the images have";
    Error::Argument(format!("normalisation of {n} channels for images of {channels}; {advice}"))
}

impl fmt::Display for Normalise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "means {:?} and standard deviations {:?}", self.mean, self.std)
    }
}

/// The mean and the variance of each channel, from sums that are exact.
fn of_channels(split: &Split) -> Result<Vec<(f64, f64)>> {
    let (c, h, w) = split.shape();
    let order: Vec<u32> = (0..split.len() as u32).collect();
    let mut sums = vec![(0u64, 0u64); c];
    for indices in order.chunks(4096) {
        let images = split.pixels(indices)?;
        let of_image = |image: &std::borrow::Cow<[u8]>| -> Vec<(u64, u64)> {
            image
                .chunks_exact(h * w)
                .map(|plane| plane.iter().map(|&p| u64::from(p)).fold((0, 0), square_too))
                .collect()
        };
        let each = images.par_iter().map(of_image).reduce(|| vec![(0, 0); c], |a, b| added(&a, &b));
        sums = added(&sums, &each);
    }
    let n = (split.len() * h * w).max(1) as f64;
    let moments = |(sum, squares): (u64, u64)| {
        let mean = sum as f64 / n;
        (mean, (squares as f64 / n - mean * mean).max(0.0))
    };
    Ok(sums.into_iter().map(moments).collect())
}

#[inline]
fn square_too((sum, squares): (u64, u64), value: u64) -> (u64, u64) {
    (sum + value, squares + value * value)
}

fn added(a: &[(u64, u64)], b: &[(u64, u64)]) -> Vec<(u64, u64)> {
    a.iter().zip(b).map(|(a, b)| (a.0 + b.0, a.1 + b.1)).collect()
}

/// The mean and the variance of each column, in two passes.
fn of_columns(split: &Split) -> Vec<(f64, f64)> {
    let (columns, n) = (split.shape().0, split.len().max(1) as f64);
    let sums = |of: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        let mut sums = vec![0.0; columns];
        for row in split.numbers().chunks_exact(columns) {
            row.iter().enumerate().for_each(|(i, &value)| sums[i] += of(i, f64::from(value)));
        }
        sums.into_iter().map(|sum| sum / n).collect()
    };
    let means = sums(&|_, value| value);
    let variances = sums(&|i, value| (value - means[i]).powi(2));
    // Of equal numbers, the mean may be off by a rounding: that is no spread.
    let spread =
        |(&mean, &variance): (&f64, &f64)| (mean, if variance.sqrt() > 1e-7 * mean.abs() { variance } else { 0.0 });
    means.iter().zip(&variances).map(spread).collect()
}

/// [`Normalise`] as it is written.
#[derive(Deserialize)]
struct Constants {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl TryFrom<Constants> for Normalise {
    type Error = Error;

    fn try_from(Constants { mean, std }: Constants) -> Result<Self> {
        Self::new(mean, std)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Channel {
    mean: f32,
    std: f32,
}

impl Channel {
    #[inline]
    pub(crate) fn value(self, pixel: u8) -> f32 {
        self.scaled(f32::from(pixel))
    }

    #[inline]
    pub(crate) fn scaled(self, value: f32) -> f32 {
        (value - self.mean) / self.std
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_examples_are_their_mean_and_standard_deviation() {
        let split = Split::new(vec![1, 3, 7, 7, 5, 7, 7, 7], vec![0, 0], (2, 1, 2), 1).unwrap();
        let expected = Normalise::new(vec![4.0, 7.0], vec![5.0f32.sqrt(), 1.0]).unwrap();
        assert_eq!(Normalise::of(&split).unwrap(), expected);
        let rows = Split::rows(vec![1e6, 0.1, 1e6 + 2.0, 0.1, 1e6 + 4.0, 0.1], vec![0; 3], 2, 1).unwrap();
        let found = Normalise::of(&rows).unwrap();
        assert_eq!(found.constants(), (&[1e6 + 2.0, 0.1][..], &[(8.0f32 / 3.0).sqrt(), 1.0][..]));
    }

    #[test]
    fn they_are_written_and_read_and_those_of_no_sense_are_refused() {
        let text = serde_json::to_string(&Normalise::cifar10()).unwrap();
        assert_eq!(serde_json::from_str::<Normalise>(&text).unwrap(), Normalise::cifar10());
        assert!(serde_json::from_str::<Normalise>(r#"{"mean":[0],"std":[0]}"#).is_err());
        let of_one = Normalise::of_pixels_to_one(&[0.5], &[0.25]).unwrap();
        assert_eq!(of_one.for_channels(3).unwrap().constants(), (&[127.5; 3][..], &[63.75; 3][..]));
        assert!(Normalise::imagenet().for_channels(1).is_err());
        let error = Normalise::of_pixels_to_one(&[125.3], &[63.0]).unwrap_err().to_string();
        assert!(error.starts_with("a mean or standard deviation of 125.3: "), "{error}");
    }
}
