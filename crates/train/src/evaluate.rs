//! Loss and score of a network with its gates at their test-time values.

use candle_core::DType;
use l0_data::Feed;
use l0_net::{Masks, Mode, Net, Weights};

use crate::{Loss, Result, Score, Tally};

/// How a network does on a split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Mean loss: cross-entropy, or the squared error of standardised numbers.
    pub loss: f64,
    /// What its predictions are worth.
    pub score: Score,
    /// Examples seen.
    pub seen: u64,
}

/// Runs `net` with `masks` over a split. `weights` should be plain: then no graph is built.
///
/// # Errors
/// If images or labels do not fit the network.
pub fn evaluate(net: &Net, weights: &Weights, masks: &Masks, feed: &Feed) -> Result<Evaluation> {
    let (mut loss, mut seen, mut tally) = (0.0, 0, Tally::of(feed.split()));
    for batch in feed.in_order() {
        let batch = batch?;
        let ys = net.forward(weights, &batch.images, masks, Mode::Eval)?.ys;
        let loss_of = Loss::of(&batch.labels);
        let ys = loss_of.taken(net, ys)?;
        let mean = loss_of.value(&ys, &batch.labels)?.to_dtype(DType::F32)?;
        loss += f64::from(mean.to_scalar::<f32>()?) * batch.len() as f64;
        tally.add(&ys, &batch.labels)?;
        seen += batch.len() as u64;
    }
    Ok(Evaluation { loss: loss / seen.max(1) as f64, score: tally.score(), seen })
}
