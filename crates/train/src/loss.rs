//! What the outputs of a network are held against: classes by cross-entropy, numbers by their squared error.

use candle_core::{DType, Tensor};
use l0_net::{Layer, Net};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How outputs are held against labels. It follows from the labels: whole numbers are classes, others are numbers to
/// come close to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Mean of `-log softmax(logits)[label]` over the labels: logits (b, classes) with labels u32 (b,), or images of
    /// logits (b, classes, h, w) with a label for each position, u32 (b, h, w).
    CrossEntropy,
    /// Mean of the squared differences: outputs and labels f32 of one shape, as (b, 1).
    SquaredError,
}

impl Loss {
    /// The loss for these labels.
    pub fn of(labels: &Tensor) -> Self {
        if labels.dtype().is_float() { Self::SquaredError } else { Self::CrossEntropy }
    }

    /// The loss of `outputs`, of any shape that the labels fit: a scalar with a gradient.
    ///
    /// # Errors
    /// If the shapes do not fit together, there is no example, or a label is not below the number of classes.
    pub fn value(self, outputs: &Tensor, labels: &Tensor) -> Result<Tensor> {
        check(self, outputs, labels)?;
        Ok(match self {
            Self::CrossEntropy if outputs.rank() == 2 => l0_ops::cross_entropy(outputs, labels)?,
            Self::CrossEntropy => l0_ops::cross_entropy(&side_by_side(outputs)?, &labels.flatten_all()?)?,
            Self::SquaredError => (outputs.to_dtype(DType::F32)? - labels)?.sqr()?.mean_all()?,
        })
    }

    /// What it takes of the outputs of `net`: as they are, but for cross-entropy their logarithms where they come out
    /// of a softmax. A softmax of logarithms of probabilities is these probabilities, so that the loss is that of the
    /// logits before it.
    pub(crate) fn taken(self, net: &Net, ys: Tensor) -> candle_core::Result<Tensor> {
        match (self, net.last_layer()) {
            (Self::CrossEntropy, Layer::Softmax(_)) => (ys.to_dtype(DType::F32)? + LEAST)?.log(),
            _ => Ok(ys),
        }
    }
}

/// What is added to a probability before its logarithm is taken, so that one of 0 gives a number. Below it gradients
/// fade.
const LEAST: f64 = 1e-30;

/// Images of logits (b, classes, h, w) as (b h w, classes), the logits of a position side by side.
fn side_by_side(outputs: &Tensor) -> candle_core::Result<Tensor> {
    let classes = outputs.dim(1)?;
    outputs.permute((0, 2, 3, 1))?.contiguous()?.reshape(((), classes))
}

/// Checks that labels are of the shape that outputs have for this loss.
pub(crate) fn check(loss: Loss, outputs: &Tensor, labels: &Tensor) -> Result<()> {
    let (found, output) = (labels.dims().to_vec(), outputs.dims().to_vec());
    let expected = match (loss, &output[..]) {
        (Loss::CrossEntropy, [b, _]) => vec![*b],
        (Loss::CrossEntropy, [b, _, h, w]) => vec![*b, *h, *w],
        _ => output.clone(),
    };
    if found == expected && (loss == Loss::SquaredError || found.len() < output.len()) {
        return Ok(());
    }
    Err(Error::Labels { found, output, expected })
}

/// How many labels have another class with the largest logit: a u32, scalar; none where numbers are predicted.
pub(crate) fn wrong_ones(outputs: &Tensor, labels: &Tensor) -> candle_core::Result<Tensor> {
    if Loss::of(labels) == Loss::SquaredError {
        return Tensor::zeros((), DType::U32, labels.device());
    }
    outputs.detach().to_dtype(DType::F32)?.argmax(1)?.ne(labels)?.to_dtype(DType::U32)?.sum_all()
}
