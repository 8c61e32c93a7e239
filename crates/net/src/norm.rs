//! Batch normalisation of a masked network.
//!
//! In training, a map that is the same everywhere has its own value as mean, so it becomes `shift`. Afterwards it becomes
//! `shift + (c - running_mean) * scale / sqrt(running_var + eps)`.

use candle_core::Tensor;
use l0_ops::{BatchNormed, Selection};

use crate::activation::{Activation, beside};
use crate::affine::Pass;
use crate::forward::StatisticsUpdate;
use crate::{ClosedMaps, Layer, NodeId, Result};

/// Scale, shift, running mean and running variance of the units of `selection`.
pub(crate) struct Norm {
    pub(crate) scale: Tensor,
    pub(crate) shift: Tensor,
    pub(crate) mean: Tensor,
    pub(crate) var: Tensor,
}

impl Pass<'_> {
    /// The parameters of the normalisation `id` for the units of `selection`.
    pub(crate) fn norm(&self, id: NodeId, selection: &Selection) -> Result<Norm> {
        let part = |leaf| -> Result<Tensor> {
            Ok(l0_ops::take(self.weights.of(&self.net.node(id).name, leaf)?, 0, selection)?)
        };
        Ok(Norm {
            scale: part("weight")?,
            shift: part("bias")?,
            mean: part("running_mean")?,
            var: part("running_var")?,
        })
    }

    /// The same, with 0 for scale and shift of closed units that are computed to fill a tile, where the layer says that they
    /// stay zero.
    fn norm_of_open(&self, id: NodeId, kept: &Selection) -> Result<Norm> {
        let (norm, space) = (self.norm(id, kept)?, self.net.space(id));
        let open: Vec<f32> = kept.iter().map(|unit| f32::from(u8::from(!self.masks.is_filler(space, unit)))).collect();
        if !self.stays_zero(id) || !open.contains(&0.0) {
            return Ok(norm);
        }
        let open = Tensor::new(open, norm.scale.device())?;
        let all = Selection::all(kept.len());
        let masked = |values: &Tensor| l0_ops::select_vector(values, &all, Some(&open));
        Ok(Norm { scale: masked(&norm.scale)?, shift: masked(&norm.shift)?, ..norm })
    }

    /// Whether the normalisation `id` makes nothing of a closed map.
    pub(crate) fn stays_zero(&self, id: NodeId) -> bool {
        matches!(self.net.node(id).layer, Layer::BatchNorm { closed: ClosedMaps::Zero, .. })
    }

    /// Normalises with the running statistics, then applies ReLU if `relu`.
    pub(crate) fn norm_eval(&self, id: NodeId, eps: f64, input: &Activation, relu: bool) -> Result<Activation> {
        let kept = self.plan.kept(id);
        let normed = |xs: &Tensor| -> Result<Tensor> {
            let p = self.norm(id, kept)?;
            Ok(l0_ops::batch_norm(xs, &p.scale, &p.shift, &p.mean, &p.var, eps, relu)?)
        };
        let computed = input.computed.as_ref().map(normed).transpose()?;
        let all = self.norm(id, &Selection::all(kept.total()))?;
        let constants = self.norm_constants(
            id,
            |given| {
                let factor = (&all.scale / (&all.var + eps)?.sqrt()?)?;
                match given {
                    Some(c) => {
                        let centred = c.broadcast_sub(&beside(&all.mean, c)?)?;
                        centred.broadcast_mul(&beside(&factor, c)?)?.broadcast_add(&beside(&all.shift, c)?)
                    }
                    None => &all.shift - (&all.mean * factor)?,
                }
            },
            input,
            relu,
        )?;
        Ok(Activation { computed, kept: kept.clone(), constants, scale: None })
    }

    /// Normalises with the statistics of this batch, then applies ReLU if `relu`; also what the running statistics learn.
    pub(crate) fn norm_train(
        &self,
        id: NodeId,
        eps: f64,
        input: &Activation,
        relu: bool,
    ) -> Result<(Activation, Option<StatisticsUpdate>)> {
        let kept = self.plan.kept(id);
        let shift = self.weights.of(&self.net.node(id).name, "bias")?;
        let constants = self.norm_constants(id, |_| Ok(shift.clone()), input, relu)?;
        let normed = |xs: &Tensor| -> Result<BatchNormed> {
            let p = self.norm_of_open(id, kept)?;
            Ok(l0_ops::batch_norm_train(xs, &p.scale, &p.shift, eps, relu)?)
        };
        let normed = input.computed.as_ref().map(normed).transpose()?;
        let update = StatisticsUpdate::new(self, id, input, normed.as_ref())?;
        let computed = normed.map(|normed| normed.ys);
        Ok((Activation { computed, kept: kept.clone(), constants, scale: None }, update))
    }

    fn norm_constants(
        &self,
        id: NodeId,
        value: impl Fn(Option<&Tensor>) -> candle_core::Result<Tensor>,
        input: &Activation,
        relu: bool,
    ) -> Result<Option<Tensor>> {
        if self.plan.constants(id).is_empty() {
            return Ok(None);
        }
        let ys = value(input.constants.as_ref())?;
        let ys = if relu { l0_ops::relu(&ys)? } else { ys };
        self.masked_constants(id, Some(ys))
    }
}
