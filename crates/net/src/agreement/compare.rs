//! How an agreement is measured, batch by batch.

use candle_core::{DType, Tensor};

use super::Agreement;
use crate::{Error, Result};

impl Agreement {
    /// How far two outputs of one batch agree.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn of(expected: &Tensor, found: &Tensor) -> Result<Self> {
        let mut agreement = Self::default();
        agreement.add(expected, found)?;
        Ok(agreement)
    }

    /// Compares the outputs of one batch, both (b, classes) or (b, classes, h, w).
    ///
    /// # Errors
    /// If the shapes differ, are not of two or four dimensions, or there is no class or no position.
    pub fn add(&mut self, expected: &Tensor, found: &Tensor) -> Result<()> {
        if expected.dims() != found.dims() {
            let (found, expected) = (found.dims().to_vec(), expected.dims().to_vec());
            return Err(Error::Shape { name: "output to be compared".into(), found, expected });
        }
        if !matches!(expected.rank(), 2 | 4) || expected.dims()[1..].contains(&0) {
            let problem = format!("has shape {:?}, expected (b, classes) or (b, classes, h, w)", expected.dims());
            return Err(Error::layer("output to be compared", problem));
        }
        let rows = |logits: &Tensor| -> candle_core::Result<Vec<Vec<Vec<f32>>>> {
            let (b, classes) = (logits.dim(0)?, logits.dim(1)?);
            let positions = logits.elem_count() / (b * classes).max(1);
            // (b, positions, classes): the logits of a prediction side by side
            logits.detach().to_dtype(DType::F32)?.reshape((b, classes, positions))?.transpose(1, 2)?.to_vec3()
        };
        for (expected, found) in rows(expected)?.iter().zip(&rows(found)?) {
            self.add_example(expected, found);
        }
        Ok(())
    }

    /// Compares the predictions of one example, each at its position.
    fn add_example(&mut self, expected: &[Vec<f32>], found: &[Vec<f32>]) {
        self.examples += 1;
        if expected.iter().chain(found).flatten().any(|logit| !logit.is_finite()) {
            self.not_finite += 1;
            return;
        }
        expected.iter().zip(found).for_each(|(expected, found)| self.add_prediction(expected, found));
    }

    fn add_prediction(&mut self, expected: &[f32], found: &[f32]) {
        let difference = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let largest = expected.iter().map(|logit| logit.abs()).fold(0.0, f32::max);
        self.largest_difference = self.largest_difference.max(difference);
        let share = difference / Self::TOLERANCE.max(Self::RELATIVE * largest);
        self.share_of_tolerance = self.share_of_tolerance.max(share);
        let best = predicted(expected);
        if predicted(found) != best {
            self.changed_predictions += 1;
            let others = expected.iter().enumerate().filter(|&(class, _)| class != best);
            let next = others.map(|(_, &logit)| logit).fold(f32::NEG_INFINITY, f32::max);
            self.largest_margin_changed = self.largest_margin_changed.max(expected[best] - next);
        }
    }
}

/// The first class with the largest logit.
fn predicted(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
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
    fn images_of_logits_are_compared_at_every_position() {
        let image = |values: [f32; 4]| Tensor::from_slice(&values, (1, 2, 1, 2), &Device::Cpu).unwrap();
        // Two classes at two positions: the second position predicts another class.
        let agreement = Agreement::of(&image([1.0, 1.0, 0.0, 0.0]), &image([1.0, 0.0, 0.0, 0.5])).unwrap();
        assert_eq!((agreement.examples, agreement.changed_predictions, agreement.passes()), (1, 1, false));
        assert!(Agreement::of(&image([1.0; 4]), &image([1.0; 4])).unwrap().passes());
    }

    #[test]
    fn outputs_of_other_shapes_are_refused_by_what_is_wrong_with_them() {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        let refused = |a: &[usize], b: &[usize]| Agreement::of(&zeros(a), &zeros(b)).unwrap_err().to_string();
        assert_eq!(refused(&[2, 3], &[2, 4]), "\"output to be compared\" has shape [2, 4], expected [2, 3]");
        assert!(refused(&[2, 3, 4], &[2, 3, 4]).contains("has shape [2, 3, 4], expected (b, classes)"));
        assert!(refused(&[2, 0], &[2, 0]).contains("expected (b, classes)"));
        assert!(refused(&[2, 3, 0, 4], &[2, 3, 0, 4]).contains("expected (b, classes)")); // would agree at no position
    }

    #[test]
    fn a_large_difference_or_no_number_does_not_pass() {
        assert!(!agreement(&[([1.0, 0.0], [1.0, 2e-4])]).passes());
        assert!(!agreement(&[([9.0, 0.0], [9.0, 2e-4])]).passes());
        assert!(agreement(&[([900.0, 0.0], [900.0, 2e-4])]).passes()); // the grid of f32 is 6e-5 wide there
        let beside = [([900.0, 0.0], [900.0, 0.0]), ([1.0, 0.0], [1.0, 2e-4])]; // no excuse for another prediction
        assert!(!agreement(&beside).passes());
        assert!(!agreement(&[([1.0, 0.0], [1.0, f32::NAN])]).passes());
        assert!(!agreement(&[]).passes());
    }
}
