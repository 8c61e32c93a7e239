//! Cross-entropy of logits.

use candle_core::{D, Result, Tensor};

use crate::check;

/// Mean over the batch of `-log softmax(logits)[label]`: (b, classes), u32 (b,) -> scalar.
///
/// # Errors
/// If the shapes do not fit each other, the batch is empty, or a label (on the CPU) is not below the number of classes.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    check::cross_entropy(logits, labels)?;
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    let log_probs = shifted.broadcast_sub(&log_sum)?;
    log_probs.gather(&labels.unsqueeze(1)?, 1)?.mean_all()?.neg()
}
