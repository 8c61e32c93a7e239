//! Cross-entropy of logits: the mean over the batch of `log sum_k exp(x_k) - x_label`.
//!
//! logits (b, classes), labels u32 (b,) -> scalar; the gradient of the logits is `(softmax(x) - onehot(label)) g / b`.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::check;
use crate::cpu::{data, output, serves, slice, tensor};
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::portable;

struct CrossEntropy {
    labels: Vec<u32>,
    classes: usize,
}

/// The largest of a row and the sum of `exp(x - largest)`.
fn log_sum(row: &[f32]) -> (f32, f32) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (largest, row.iter().map(|x| (x - largest).exp()).sum())
}

impl CrossEntropy {
    fn loss(&self, logits: &[f32]) -> f64 {
        let per_example = logits.chunks_exact(self.classes).zip(&self.labels).map(|(row, &label)| {
            let (largest, sum) = log_sum(row);
            f64::from(sum.ln() - (row[label as usize] - largest))
        });
        per_example.sum::<f64>() / self.labels.len() as f64
    }

    fn gradient(&self, logits: &[f32], g: f32) -> Vec<f32> {
        let (mut dx, g) = (Vec::with_capacity(logits.len()), g / self.labels.len() as f32);
        for (row, &label) in logits.chunks_exact(self.classes).zip(&self.labels) {
            let (largest, sum) = log_sum(row);
            let start = dx.len();
            dx.extend(row.iter().map(|x| (x - largest).exp() / sum * g));
            dx[start + label as usize] -= g;
        }
        dx
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        output(vec![self.loss(slice(logits, layout)?) as f32], ())
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (xs, layout) = logits.storage_and_layout();
        let dx = self.gradient(data(&xs, layout)?, grad.to_scalar()?);
        tensor(dx, logits.shape()).map(Some)
    }
}

/// Mean over the batch of `-log softmax(logits)[label]`: (b, classes), u32 (b,) -> scalar.
///
/// # Errors
/// If the shapes do not fit together, the batch is empty, or a label (on the CPU) is not below the number of classes.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    check::cross_entropy(logits, labels)?;
    #[cfg(feature = "cuda")]
    if logits.dtype() == candle_core::DType::F32 && cuda::serves(logits, &[]) && labels.device().is_cuda() {
        return cuda::cross_entropy(logits, labels);
    }
    if !serves(&[logits]) || !labels.device().is_cpu() {
        return portable::cross_entropy(logits, labels);
    }
    let (labels, classes) = (labels.to_vec1::<u32>()?, logits.dim(1)?);
    logits.contiguous()?.apply_op1(CrossEntropy { labels, classes })
}
