//! Learning from another network's outputs beside the labels (Hinton, Vinyals and Dean, 2015).

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{D, DType, Device, Tensor};
use l0_data::Feed;
use l0_net::{Model, Net};
use serde::{Deserialize, Serialize};

use crate::config::{positive, wrong};
use crate::{Error, Loss, Result, evaluation_batch};

/// Memory that is kept for outputs at most; they are joined once, so for a moment it is twice that.
const MOST_BYTES: usize = 256 << 20;

/// How much of the loss comes from a teacher.
///
/// Of classes, with logits z of the network and t of the teacher: `(1 - share) CE(z, label) + share T^2 KL(softmax(t /
/// T) || softmax(z / T))`, with T the temperature. The factor T^2 keeps the gradient of the second part as large as it
/// is at T = 1. Of numbers: `(1 - share) (z - label)^2 + share (z - t)^2`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// T: the higher, the more the smaller logits say. Above 0; usual are 1 to 20.
    pub temperature: f64,
    /// The part of the loss that the teacher's outputs have, from 0 to 1.
    pub share: f64,
}

impl Distillation {
    /// Checks both numbers.
    ///
    /// # Errors
    /// If one is out of its range; the message says which.
    pub fn check(&self) -> Result<()> {
        positive("distillation.temperature", self.temperature)?;
        if (0.0..=1.0).contains(&self.share) {
            return Ok(());
        }
        wrong("distillation.share", self.share, "0 to 1")
    }

    /// The loss of `outputs` beside that of the labels: `soft` are the teacher's outputs.
    fn value(&self, loss: Loss, outputs: &Tensor, soft: &Tensor) -> candle_core::Result<Tensor> {
        let outputs = outputs.to_dtype(DType::F32)?;
        match loss {
            Loss::CrossEntropy => divergence(&outputs, soft, self.temperature),
            Loss::SquaredError => (outputs - soft)?.sqr()?.mean_all(),
        }
    }
}

/// Trained networks whose outputs another one learns from: of several, the mean of their logits.
#[derive(Debug, Clone)]
pub struct Teacher {
    models: Vec<Model>,
    distillation: Distillation,
}

impl Teacher {
    /// A plain network, as [`Model::load`] reads it or [`Net::compact`] makes it of one with masks, on any device.
    ///
    /// # Errors
    /// If a number of `distillation` is out of its range.
    pub fn new(model: Model, distillation: Distillation) -> Result<Self> {
        Self::mean_of(vec![model], distillation)
    }

    /// Several of them, with the same input and as many outputs.
    ///
    /// # Errors
    /// As for [`Teacher::new`], or if there is none.
    pub fn mean_of(models: Vec<Model>, distillation: Distillation) -> Result<Self> {
        distillation.check()?;
        match models.is_empty() {
            true => Err(Error::config("a teacher", "no network", "one or more")),
            false => Ok(Self { models, distillation }),
        }
    }

    /// Multiply-accumulates of its networks for one example.
    pub fn macs(&self) -> usize {
        self.models.iter().map(|model| model.net.cost().macs()).sum()
    }

    /// How much of the loss comes from it.
    pub fn distillation(&self) -> Distillation {
        self.distillation
    }

    /// The same where `net` is to learn from it.
    ///
    /// # Errors
    /// If it reads or computes something else than `net`, or the device cannot hold it.
    pub(crate) fn of(&self, net: &Net, device: &Device) -> Result<Self> {
        let ends = |net: &Net| [net.shape(0), net.shape(net.output())];
        let said = |[from, to]: [l0_net::Shape; 2]| format!("{from} to {to}");
        let there = |model: &Model| {
            let (found, expected) = (ends(&model.net), ends(net));
            if found != expected {
                return Err(Error::config("a teacher", said(found), format!("{}, as its pupil", said(expected))));
            }
            Ok(Model { weights: model.weights.to_device(device)?, ..model.clone() })
        };
        Ok(Self { models: self.models.iter().map(there).collect::<Result<_>>()?, ..*self })
    }

    /// Its outputs for a batch as `loss` takes them, in evaluation mode, f32 and without a graph.
    pub(crate) fn outputs(&self, images: &Tensor, loss: Loss) -> Result<Tensor> {
        let each = self.models.iter().map(|model| {
            let ys = model.forward(images)?.detach();
            Ok(loss.taken(&model.net, ys)?.to_dtype(DType::F32)?)
        });
        let sum = each.reduce(|sum: Result<Tensor>, one| Ok((sum? + one?)?));
        let sum = sum.unwrap_or_else(|| Err(Error::config("a teacher", "no network", "one or more")))?;
        Ok((sum / self.models.len() as f64)?)
    }

    /// The same feed with its outputs beside the examples, computed once for each way in which they come. As it is
    /// where a training of so many `epochs` sees each way less than once, or there are more outputs than memory is kept
    /// for. Nothing if `stop` was set.
    pub(crate) fn beside<'a>(&self, feed: Feed<'a>, epochs: u64, stop: &AtomicBool) -> Result<Option<Feed<'a>>> {
        let (ways, n) = (feed.ways(), feed.split().len());
        let outputs =
            self.models.first().map_or(0, |model| model.net.shape(model.net.output()).dims().iter().product());
        let room = [ways, n, outputs, size_of::<f32>()].iter().fold(1, |room: usize, &x| room.saturating_mul(x));
        if ways as u64 > epochs || room > MOST_BYTES {
            return Ok(Some(feed));
        }
        tracing::info!("the teacher looks at {} examples", ways * n);
        let loss = if feed.split().targets().is_some() { Loss::SquaredError } else { Loss::CrossEntropy };
        let batches = feed.of_size(self.models.iter().map(|model| evaluation_batch(&model.net)).min().unwrap_or(1));
        let mut all = Vec::with_capacity(ways * batches.steps());
        for batch in (0..ways).flat_map(|k| batches.in_way(k)) {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            all.push(self.outputs(&batch?.images, loss)?);
        }
        Ok(Some(feed.with_soft(Tensor::cat(&all, 0)?)?))
    }

    /// The loss of labels and teacher together.
    pub(crate) fn blended(&self, loss: Loss, labelled: &Tensor, outputs: &Tensor, soft: &Tensor) -> Result<Tensor> {
        let share = self.distillation.share;
        let taught = self.distillation.value(loss, outputs, soft)?;
        Ok(((labelled * (1.0 - share))? + (taught * share)?)?)
    }
}

/// `T^2 KL(softmax(soft / T) || softmax(logits / T))`, the mean over examples and positions; classes are dimension 1.
fn divergence(logits: &Tensor, soft: &Tensor, temperature: f64) -> candle_core::Result<Tensor> {
    let classes_last = |x: &Tensor| x.transpose(1, D::Minus1)?.contiguous()? * temperature.recip();
    let log_softmax = |x: &Tensor| -> candle_core::Result<Tensor> {
        let shifted = x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?;
        shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)
    };
    let (student, teacher) = (log_softmax(&classes_last(logits)?)?, log_softmax(&classes_last(soft)?)?);
    let each = (teacher.exp()? * (teacher - student)?)?.sum(D::Minus1)?;
    each.mean_all()? * temperature.powi(2)
}
