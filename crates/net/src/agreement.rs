//! The verification that two networks compute the same: their outputs, compared over a data set.
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

mod compare;

use serde::{Deserialize, Serialize};

/// How far the outputs of a network agree with those they should equal: logits (b, classes), or images of logits
/// (b, classes, h, w), which hold a prediction for each position.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// How many examples were compared.
    pub examples: usize,
    /// The largest absolute difference of any logit.
    pub largest_difference: f32,
    /// The largest difference in a prediction as a share of what that prediction may differ by; 0 where it was not
    /// written down.
    #[serde(default)]
    pub share_of_tolerance: f32,
    /// How many predictions, one for each example and position, changed because another class has the largest logit:
    /// near ties, as long as differences are small.
    pub changed_predictions: usize,
    /// Of those, the largest margin that the expected class had over the next.
    pub largest_margin_changed: f32,
    /// How many examples had a logit that is not a finite number, on either side.
    pub not_finite: usize,
}

impl Agreement {
    /// The largest difference that [`passes`](Self::passes) lets through in a prediction without logits above 10.
    pub const TOLERANCE: f32 = 1e-4;

    /// Where a prediction has larger logits, the share of its largest that is let through: the grid of f32 is coarser
    /// there.
    pub const RELATIVE: f32 = 1e-5;

    /// Whether the networks are equal for every purpose: there are examples, all their logits are finite, and none
    /// differs by more than [`TOLERANCE`](Self::TOLERANCE), or [`RELATIVE`](Self::RELATIVE) of its prediction's
    /// largest.
    ///
    /// Predictions need no test of their own: a class that overtakes another, each moved by at most d, was at most 2 d
    /// behind. So the only predictions that change are those that a margin of twice the tolerance did not decide.
    pub fn passes(&self) -> bool {
        let is_close = self.largest_difference <= Self::TOLERANCE;
        let is_close_for_its_size = self.share_of_tolerance > 0.0 && self.share_of_tolerance <= 1.0;
        self.examples > 0 && self.not_finite == 0 && (is_close || is_close_for_its_size)
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { examples, largest_difference, changed_predictions, largest_margin_changed, not_finite, .. } = self;
        write!(f, "largest difference {largest_difference:.1e} over {examples} examples, ")?;
        write!(f, "{changed_predictions} predictions changed")?;
        if *changed_predictions > 0 {
            write!(f, " (margin up to {largest_margin_changed:.1e})")?;
        }
        if *not_finite > 0 {
            write!(f, ", {not_finite} examples not finite")?;
        }
        if !self.passes() {
            let (most, share) = (Self::TOLERANCE, Self::RELATIVE);
            write!(f, "; expected at most {most:.0e}, or {share:.0e} of a prediction's largest logit")?;
        }
        Ok(())
    }
}
