//! Cross-entropy: a thread for each example.

use candle_core::{Result, Tensor};

use super::launch::{Grid, Kind, at, device, fresh, int, launch, long};
use crate::chain;
use crate::gradients::Backward;

struct CrossEntropy {
    labels: Tensor,
}

/// As [`crate::cross_entropy`], of checked arguments; a label that is no class gives not a number.
pub(crate) fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let ((b, classes), device, xs) = (logits.dims2()?, device(logits)?, logits.detach().contiguous()?);
    let labels = labels.contiguous()?;
    let losses = fresh(&device, Kind::F32, b)?;
    launch(&device, "cross_entropy", Grid::each(b), &[at(&losses)?, at(&xs)?, at(&labels)?, long(b), int(classes)])?;
    chain::made(vec![logits.clone()], CrossEntropy { labels }, losses.mean_all()?)
}

impl Backward for CrossEntropy {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let ((b, classes), device, xs) = (args[0].dims2()?, device(grad)?, args[0].detach().contiguous()?);
        let (g, dx) = (grad.contiguous()?, fresh(&device, Kind::F32, (b, classes))?);
        let data = [at(&dx)?, at(&xs)?, at(&self.labels)?, at(&g)?, long(b), int(classes)];
        launch(&device, "cross_entropy_back", Grid::each(b), &data)?;
        Ok(vec![Some(dx)])
    }
}
