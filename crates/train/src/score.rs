//! What predictions are worth: the share of wrong classes, or how far off numbers are.

use std::fmt;

use candle_core::{DType, Tensor};
use l0_data::Split;

use crate::loss::{check, wrong_ones};
use crate::{Loss, Result};

/// How the predictions of a network compare with the labels of a split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Score {
    /// Of classes.
    Classes {
        /// Labels predicted wrongly.
        wrong: u64,
        /// All labels: one for each example, or for each position of each example.
        of: u64,
    },
    /// Of numbers.
    Numbers {
        /// Root of the mean squared error, in the unit in which the numbers were given.
        rmse: f64,
        /// The share of the numbers' variance that is explained, `1 - sum (y - t)^2 / sum (t - mean)^2`: 1 is all of
        /// it, 0 is as good as predicting their mean, below 0 is worse. Not a number where all numbers are equal.
        r2: f64,
    },
}

impl Score {
    /// The share of wrong classes, in percent, not a number where there was no label; `None` of numbers.
    pub fn error_percent(&self) -> Option<f64> {
        match *self {
            Self::Classes { wrong, of } => Some(100.0 * wrong as f64 / of as f64),
            Self::Numbers { .. } => None,
        }
    }

    /// Root of the mean squared error; `None` of classes.
    pub fn rmse(&self) -> Option<f64> {
        match *self {
            Self::Classes { .. } => None,
            Self::Numbers { rmse, .. } => Some(rmse),
        }
    }

    /// The error with its unit, "1.40 %", or the RMSE with four digits that count.
    pub fn shown(&self) -> String {
        match *self {
            Self::Classes { .. } => format!("{:.2} %", self.error_percent().unwrap_or_default()),
            Self::Numbers { rmse, .. } => significant(rmse, 4),
        }
    }

    /// The share of the variance that is explained; `None` of classes.
    pub fn r2(&self) -> Option<f64> {
        match *self {
            Self::Classes { .. } => None,
            Self::Numbers { r2, .. } => Some(r2),
        }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classes { .. } => write!(f, "error {}", self.shown()),
            Self::Numbers { r2, .. } if r2.is_finite() => write!(f, "RMSE {}, R\u{b2} {r2:.3}", self.shown()),
            Self::Numbers { .. } => write!(f, "RMSE {}", self.shown()),
        }
    }
}

/// A number of any unit with so many digits that count; very large and very small ones with an exponent.
pub fn significant(number: f64, digits: usize) -> String {
    let last = digits.saturating_sub(1) as i32;
    let exponent = if number == 0.0 { 0.0 } else { number.abs().log10().floor() };
    match exponent as i32 {
        _ if !exponent.is_finite() => number.to_string(),
        -5..=8 => format!("{number:.*}", (last - exponent as i32).max(0) as usize),
        _ => format!("{number:.*e}", last as usize),
    }
}

/// Counts up, batch by batch, what makes a [`Score`].
#[derive(Debug, Clone)]
pub struct Tally {
    wrong: u64,
    labels: u64,
    /// Of numbers: deviation of the unit in which they were given, and sums over their standardised form.
    numbers: Option<Sums>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    unit: f64,
    squared_errors: f64,
    /// The first number: deviations from it are summed up, so that equal numbers have no variance at all.
    origin: Option<f64>,
    values: f64,
    squares: f64,
}

impl Tally {
    /// Of predictions for the examples of this split.
    pub fn of(split: &Split) -> Self {
        let numbers = split.targets().map(|(_, scale)| Sums { unit: scale.std, ..Sums::default() });
        Self { wrong: 0, labels: 0, numbers }
    }

    /// Takes in the outputs and labels of a batch, as [`Loss::value`](crate::Loss::value) does.
    ///
    /// # Errors
    /// If the shapes do not fit together.
    pub fn add(&mut self, outputs: &Tensor, labels: &Tensor) -> Result<()> {
        let loss = if self.numbers.is_some() { Loss::SquaredError } else { Loss::CrossEntropy };
        check(loss, outputs, labels)?;
        match &mut self.numbers {
            None => self.wrong += u64::from(wrong_ones(outputs, labels)?.to_scalar::<u32>()?),
            Some(sums) => sums.add(&flat(outputs)?, &flat(labels)?),
        }
        self.labels += labels.elem_count() as u64;
        Ok(())
    }

    /// The score of all that was taken in.
    pub fn score(&self) -> Score {
        match &self.numbers {
            None => Score::Classes { wrong: self.wrong, of: self.labels },
            Some(sums) => sums.score(self.labels as f64),
        }
    }
}

impl Sums {
    fn add(&mut self, outputs: &[f32], labels: &[f32]) {
        for (&y, &t) in outputs.iter().zip(labels) {
            let (y, t) = (f64::from(y), f64::from(t));
            self.squared_errors += (y - t).powi(2);
            let deviation = t - *self.origin.get_or_insert(t);
            self.values += deviation;
            self.squares += deviation.powi(2);
        }
    }

    fn score(&self, n: f64) -> Score {
        let variance = self.squares / n - (self.values / n).powi(2);
        let mean = self.squared_errors / n;
        let r2 = if variance > 0.0 { 1.0 - mean / variance } else { f64::NAN };
        Score::Numbers { rmse: mean.sqrt() * self.unit, r2 }
    }
}

fn flat(numbers: &Tensor) -> candle_core::Result<Vec<f32>> {
    numbers.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_have_no_variance_to_explain() {
        let mut sums = Sums { unit: 1.0, ..Sums::default() };
        (0..50).for_each(|_| sums.add(&[0.3; 1000], &[0.1; 1000]));
        let Score::Numbers { rmse, r2 } = sums.score(50_000.0) else { panic!() };
        assert!((rmse - 0.2).abs() < 1e-6 && r2.is_nan(), "{r2}");
    }

    #[test]
    fn numbers_of_any_unit_are_shown_with_digits_that_count() {
        let shown = |number| significant(number, 4);
        let numbers = [53.2, 0.001_234_9, 81_234.5, 1.234_56e-6, 1.415_4e34, -7.0, 0.0, f64::NAN];
        let expected = ["53.20", "0.001235", "81234", "1.235e-6", "1.415e34", "-7.000", "0.000", "NaN"];
        assert_eq!(numbers.map(shown), expected);
        let alone = Score::Numbers { rmse: 2e-7, r2: f64::NAN }.to_string();
        assert_eq!(alone, "RMSE 2.000e-7");
    }
}
