//! Error and loss of a network with its gates at their test-time values.

use candle_core::{DType, Tensor};
use l0_data::Feed;
use l0_net::{Masks, Mode, Net, Weights};

use crate::Result;

/// How a network does on a split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Examples classified wrongly.
    pub wrong: u64,
    /// Examples seen.
    pub seen: u64,
}

impl Evaluation {
    /// Share of wrong ones, in percent.
    pub fn error_percent(&self) -> f64 {
        100.0 * self.wrong as f64 / self.seen.max(1) as f64
    }
}

/// Runs `net` with `masks` over a split. `weights` should be plain: then no graph is built.
///
/// # Errors
/// If the images do not fit the network.
pub fn evaluate(net: &Net, weights: &Weights, masks: &Masks, feed: &Feed) -> Result<Evaluation> {
    let (mut loss, mut wrong, mut seen) = (0.0, 0, 0);
    for batch in feed.in_order() {
        let batch = batch?;
        let ys = net.forward(weights, &batch.images, masks, Mode::Eval)?.ys;
        let mean = l0_ops::cross_entropy(&ys, &batch.labels)?.to_dtype(DType::F32)?;
        loss += f64::from(mean.to_scalar::<f32>()?) * batch.len() as f64;
        wrong += u64::from(wrong_ones(&ys, &batch.labels)?.to_scalar::<u32>()?);
        seen += batch.len() as u64;
    }
    Ok(Evaluation { loss: loss / seen.max(1) as f64, wrong, seen })
}

/// How many rows of `logits`, (b, classes), have their largest value elsewhere than `labels`, (b,), say: a u32, scalar.
pub(crate) fn wrong_ones(logits: &Tensor, labels: &Tensor) -> candle_core::Result<Tensor> {
    logits.detach().to_dtype(DType::F32)?.argmax(1)?.ne(labels)?.to_dtype(DType::U32)?.sum_all()
}
