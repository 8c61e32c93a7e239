//! Loss and score of a network with its gates at their test-time values.

use candle_core::DType;
use l0_data::Feed;
use l0_net::{Masks, Mode, Net, Weights};

use crate::{Loss, Result, Score, Tally};

/// Examples in a batch where nothing is learned, at most: no result depends on it.
const BATCH: usize = 500;

/// Bytes that one layer makes of such a batch, at most.
const LAYER_BYTES: usize = 512 << 20;

/// Examples in a batch where nothing is learned: 500, or as many as the layer of `net` that makes the most leaves room
/// for.
pub fn evaluation_batch(net: &Net) -> usize {
    let values = |id: usize| net.shape(id).dims().into_iter().fold(size_of::<f32>(), usize::saturating_mul);
    let most = (0..net.nodes().len()).map(values).max().unwrap_or(1);
    (LAYER_BYTES / most.max(1)).clamp(1, BATCH)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_images_come_in_smaller_batches() {
        let batch = |side: usize| {
            let mut b = l0_net::Builder::image("image", 3, side, side);
            b.conv2d_same("conv", 64, 3, 1).global_avg_pool().linear("fc", 2);
            evaluation_batch(&b.build().unwrap())
        };
        // A layer of 64 channels of 224x224 makes 12.8 MB of an image, of which 41 are within 512 MiB.
        assert_eq!([batch(32), batch(224)], [500, 41]);
    }
}
