//! The proof that two networks compute the same: their logits, compared over a data set.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use l0_net::Agreement;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let expected = Tensor::new(&[[1f32, 2.0], [3.0, 0.0]], &Device::Cpu)?;
//! let mut agreement = Agreement::default();
//! agreement.add(&expected, &(&expected + 1e-5)?)?; // batch by batch
//! assert!(agreement.passes());
//! agreement.add(&expected, &(&expected * -1.0)?)?;
//! assert_eq!((agreement.examples, agreement.changed_predictions), (4, 2));
//! assert!(!agreement.passes());
//! # Ok(())
//! # }
//! ```

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How far the logits of a network agree with those they should equal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// How many examples were compared.
    pub examples: usize,
    /// The largest absolute difference of any logit.
    pub largest_difference: f32,
    /// For how many examples another class has the largest logit: near ties, as long as differences are small.
    pub changed_predictions: usize,
    /// Of those examples, the largest margin that the expected class had over the next.
    pub largest_margin_changed: f32,
    /// How many examples had a logit that is not a finite number, on either side.
    pub not_finite: usize,
}

impl Agreement {
    /// The largest difference that [`passes`](Self::passes) lets through.
    pub const TOLERANCE: f32 = 1e-4;

    /// Compares the logits of one batch, both (b, classes).
    ///
    /// # Errors
    /// If the shapes differ or there is no class.
    pub fn add(&mut self, expected: &Tensor, found: &Tensor) -> Result<()> {
        if expected.dims() != found.dims() || expected.rank() != 2 || expected.dim(1)? == 0 {
            let (found, expected) = (found.dims().to_vec(), expected.dims().to_vec());
            return Err(Error::Shape { name: "logits to be compared, (b, classes)".into(), found, expected });
        }
        let rows = |logits: &Tensor| logits.detach().to_dtype(DType::F32)?.to_vec2::<f32>();
        for (expected, found) in rows(expected)?.iter().zip(&rows(found)?) {
            self.add_example(expected, found);
        }
        Ok(())
    }

    fn add_example(&mut self, expected: &[f32], found: &[f32]) {
        self.examples += 1;
        if expected.iter().chain(found).any(|logit| !logit.is_finite()) {
            self.not_finite += 1;
            return;
        }
        let differences = expected.iter().zip(found).map(|(a, b)| (a - b).abs());
        self.largest_difference = differences.fold(self.largest_difference, f32::max);
        let best = predicted(expected);
        if predicted(found) != best {
            self.changed_predictions += 1;
            let others = expected.iter().enumerate().filter(|&(class, _)| class != best);
            let next = others.map(|(_, &logit)| logit).fold(f32::NEG_INFINITY, f32::max);
            self.largest_margin_changed = self.largest_margin_changed.max(expected[best] - next);
        }
    }

    /// Whether the networks are equal for every purpose: there are examples, all their logits are finite, and none
    /// differs by more than [`TOLERANCE`](Self::TOLERANCE).
    ///
    /// Predictions need no test of their own: a class that overtakes another, each moved by at most d, was at most 2 d
    /// behind. So the only predictions that change are those that a margin of twice the tolerance did not decide.
    pub fn passes(&self) -> bool {
        self.examples > 0 && self.not_finite == 0 && self.largest_difference <= Self::TOLERANCE
    }
}

/// The first class with the largest logit.
fn predicted(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { examples, largest_difference, changed_predictions, largest_margin_changed, not_finite } = self;
        write!(f, "largest difference {largest_difference:.1e} over {examples} examples, ")?;
        write!(f, "{changed_predictions} predictions changed")?;
        if *changed_predictions > 0 {
            write!(f, " (margin up to {largest_margin_changed:.1e})")?;
        }
        if *not_finite > 0 {
            write!(f, ", {not_finite} examples not finite")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn agreement(pairs: &[([f32; 2], [f32; 2])]) -> Agreement {
        let mut agreement = Agreement::default();
        for (expected, found) in pairs {
            let row = |logits| Tensor::new(&[logits], &Device::Cpu).unwrap();
            agreement.add(&row(*expected), &row(*found)).unwrap();
        }
        agreement
    }

    #[test]
    fn a_tie_may_break_either_way() {
        // Each logit moves by 0.8e-4, so a class that was 1.5e-4 behind is now ahead.
        let agreement = agreement(&[([1.00015, 1.0], [1.00007, 1.00008]), ([5.0, 1.0], [5.0, 1.0])]);
        assert_eq!((agreement.examples, agreement.changed_predictions), (2, 1));
        assert!(agreement.largest_margin_changed > agreement.largest_difference);
        assert!(agreement.passes(), "{agreement}");
    }

    #[test]
    fn a_large_difference_or_no_number_does_not_pass() {
        assert!(!agreement(&[([1.0, 0.0], [1.0, 2e-4])]).passes());
        assert!(!agreement(&[([1.0, 0.0], [1.0, f32::NAN])]).passes());
        assert!(!agreement(&[]).passes());
    }
}
