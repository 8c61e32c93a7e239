//! The layers of a masked pass that are more than one operation on the computed units.

use candle_core::Tensor;
use l0_ops::{Epilogue, Selection};

use crate::activation::{Activation, beside, sum};
use crate::affine::{Affine, Pass};
use crate::forward::Fused;
use crate::{Layer, Mask, Mode, NodeId, Result, Shape};

impl Pass<'_> {
    /// Applies a mask where a space is made by something that is not a linear map.
    pub(crate) fn entered(&self, id: NodeId, made: Activation) -> Result<Activation> {
        match self.masks.get(self.net.space(id)) {
            None => Ok(made),
            Some(Mask::Shared(z)) => {
                let constants = made.constants.as_ref().map(|c| c.broadcast_mul(&beside(z, c)?)).transpose()?;
                if self.folds_scale(id) {
                    return Ok(Activation { constants, scale: Some(z.clone()), ..made });
                }
                let z = l0_ops::take(z, 0, &made.kept)?;
                Ok(Activation {
                    constants,
                    ..made.map_computed(|xs| {
                        xs.broadcast_mul(&z.to_dtype(xs.dtype())?.reshape(unit_dims(xs, z.elem_count()))?)
                    })?
                })
            }
            Some(Mask::PerExample(_)) => self.per_example(id, made),
        }
    }

    pub(crate) fn per_example(&self, id: NodeId, made: Activation) -> Result<Activation> {
        let Some(Mask::PerExample(z)) = self.masks.get(self.net.space(id)) else { return Ok(made) };
        let z = l0_ops::take(z, 1, &made.kept)?;
        made.map_computed(|xs| {
            let mut dims = xs.dims().to_vec();
            dims[2..].fill(1);
            xs.broadcast_mul(&z.to_dtype(xs.dtype())?.reshape(dims)?)
        })
    }

    pub(crate) fn linear_map(&self, id: NodeId, fused: &Fused, input: &Activation, xs: &Tensor) -> Result<Activation> {
        let kept = self.plan.kept(id);
        let constants = self.affine_constants(id, input)?;
        let epilogue = Epilogue { relu: fused.relu, max_pool: fused.max_pool };
        let constants = match constants {
            Some(c) if c.rank() > 1 => Some(finish(&c.unsqueeze(0)?, epilogue)?.squeeze(0)?),
            Some(c) => Some(if fused.relu { l0_ops::relu(&c)? } else { c }),
            None => None,
        };
        let made = Activation { computed: None, kept: kept.clone(), constants, scale: None };
        if kept.is_empty() {
            return Ok(made);
        }
        let block = self.affine(id, kept, input)?;
        let ys = match (&self.net.node(id).layer, &block.weight, &input.computed) {
            (Layer::Linear { .. }, Some(weight), Some(xs)) if fused.relu => {
                l0_ops::linear_relu(xs, weight, block.bias.as_ref())?
            }
            (Layer::Linear { .. }, Some(weight), Some(xs)) => l0_ops::linear(xs, weight, block.bias.as_ref())?,
            (Layer::Conv2d { stride, padding, .. }, Some(weight), Some(xs)) => match &block.map {
                None => l0_ops::conv2d_epilogue(xs, weight, block.bias.as_ref(), *stride, *padding, epilogue)?,
                Some(map) => {
                    let map = map.squeeze(0)?;
                    let map = block.bias.as_ref().map_or(Ok(map.clone()), |bias| sum(bias, &map))?;
                    l0_ops::conv2d_epilogue(xs, weight, Some(&map), *stride, *padding, epilogue)?
                }
            },
            _ => finish(&self.constant_maps(id, &block, xs.dim(0)?)?, epilogue)?,
        };
        self.per_example(id, Activation { computed: Some(ys), ..made })
    }

    /// Units made of constants alone that are computed all the same: patterns in training, or scaled per example.
    pub(crate) fn constant_maps(&self, id: NodeId, block: &Affine, batch: usize) -> Result<Tensor> {
        let map = block.map.as_ref().map(|map| map.squeeze(0)).transpose()?;
        let values = match (&block.bias, map) {
            (Some(bias), Some(map)) => sum(bias, &map)?,
            (Some(bias), None) => bias.clone(),
            (None, Some(map)) => map,
            (None, None) => return Err(crate::Error::layer(&self.net.node(id).name, "has no computed input")),
        };
        let rows = values.dim(0)?;
        let shape = self.net.shape(id).with_units(rows);
        let kept = Selection::of(&vec![false; rows]);
        let made = Activation { computed: None, kept, constants: Some(values.clone()), scale: None };
        made.expand(&Selection::all(rows), batch, shape, &values)
    }

    /// The input of a layer whose units are scaled per example, constants spread over the examples.
    pub(crate) fn varying(&self, id: NodeId, input: &Activation, xs: &Tensor) -> Result<Activation> {
        if input.constants.is_none() || !self.masks.varies(self.net.space(id)) {
            return Ok(input.clone());
        }
        let kept = Selection::all(input.kept.total());
        let computed = input.expand(&kept, xs.dim(0)?, self.net.shape(self.net.node(id).inputs[0]), xs)?;
        Ok(Activation { computed: Some(computed), kept, constants: None, scale: None })
    }

    /// The units of `input` that a layer acting unit by unit keeps: fewer than its input has where another reader has more.
    pub(crate) fn aligned(&self, id: NodeId, input: &Activation) -> Result<Activation> {
        let kept = self.plan.kept(id);
        let constants = self.masked_constants(id, input.constants.clone())?;
        let computed = input.computed.as_ref().filter(|_| !kept.is_empty());
        let computed = computed.map(|xs| l0_ops::take(xs, 1, &within(&input.kept, kept))).transpose()?;
        Ok(Activation { computed, kept: kept.clone(), constants, scale: None })
    }

    /// Constants of the units that are still constant after node `id`, 0 for all others.
    pub(crate) fn masked_constants(&self, id: NodeId, constants: Option<Tensor>) -> Result<Option<Tensor>> {
        let constant = self.plan.constants(id);
        let Some(constants) = constants.filter(|_| !constant.is_empty()) else { return Ok(None) };
        let mask: Vec<f32> = constant.mask().iter().map(|&m| f32::from(u8::from(m))).collect();
        let mask = Tensor::new(mask, constants.device())?.to_dtype(constants.dtype())?;
        Ok(Some(constants.broadcast_mul(&beside(&mask, &constants)?)?))
    }

    pub(crate) fn expanded(&self, id: NodeId, input: &Activation, xs: &Tensor) -> Result<Tensor> {
        let kept = self.plan.kept(id);
        if kept.is_empty() { Ok(xs.clone()) } else { input.expand(kept, xs.dim(0)?, self.net.shape(id), xs) }
    }

    pub(crate) fn computed(
        &self,
        id: NodeId,
        mut f: impl FnMut(&Selection) -> candle_core::Result<Tensor>,
    ) -> Result<Activation> {
        let kept = self.plan.kept(id);
        let computed = (!kept.is_empty()).then(|| f(kept)).transpose()?;
        Ok(Activation { computed, kept: kept.clone(), constants: None, scale: None })
    }

    pub(crate) fn flatten(&self, id: NodeId, input: &Activation, mode: Mode) -> Result<Activation> {
        let positions = self.net.shape(self.net.node(id).inputs[0]).positions();
        let spread = Selection::of(&repeat(&input.kept.mask(), positions));
        let kept = self.entering(id, &spread, mode);
        let computed = input.computed.as_ref().filter(|_| !kept.is_empty());
        let computed = computed.map(|xs| l0_ops::take(&xs.flatten_from(1)?, 1, &within(&spread, &kept))).transpose()?;
        let constants = match &input.constants {
            Some(c) if c.rank() > 1 => Some(c.flatten_all()?),
            Some(c) => Some(c.unsqueeze(1)?.broadcast_as((c.elem_count(), positions))?.contiguous()?.flatten_all()?),
            None => None,
        };
        self.entered(id, Activation { computed, kept, constants, scale: None })
    }

    /// The units that enter a space by being copied from those `available`. In training, copying out most of them costs
    /// more than leaving the closed ones in, where linear maps multiply them by their mask's 0.
    pub(crate) fn entering(&self, id: NodeId, available: &Selection, mode: Mode) -> Selection {
        let kept = self.plan.kept(id);
        let most = 5 * kept.len() >= 4 * available.len();
        let folded = self.scale(id).is_some() && self.folds_scale(id);
        if mode.is_training() && most && folded { available.clone() } else { kept.clone() }
    }

    /// Whether all that reads a space are linear maps, which fold its scale into their weights: that also spares the
    /// gradient of the input.
    pub(crate) fn folds_scale(&self, id: NodeId) -> bool {
        let readers = self.net.readers(id);
        !readers.is_empty() && readers.iter().all(|&reader| self.net.node(reader).layer.is_affine())
    }

    pub(crate) fn take(&self, id: NodeId, units: &[u32], input: &Activation) -> Result<Activation> {
        let kept = self.plan.kept(id);
        let place: Vec<u32> = input
            .kept
            .mask()
            .iter()
            .scan(0u32, |next, &kept| {
                let at = *next;
                *next += u32::from(kept);
                Some(at)
            })
            .collect();
        let wanted: Vec<u32> = kept.iter().map(|unit| place[units[unit] as usize]).collect();
        let pick =
            |xs: &Tensor, dim, wanted: Vec<u32>| xs.contiguous()?.index_select(&Tensor::new(wanted, xs.device())?, dim);
        let computed =
            input.computed.as_ref().filter(|_| !kept.is_empty()).map(|xs| pick(xs, 1, wanted)).transpose()?;
        let constants = input.constants.as_ref().map(|c| pick(c, 0, units.to_vec())).transpose()?;
        self.entered(id, Activation { computed, kept: kept.clone(), constants, scale: None })
    }

    pub(crate) fn biased(&self, id: NodeId, input: &Activation, xs: &Tensor) -> Result<Activation> {
        let bias = self.weights.of(&self.net.node(id).name, "bias")?;
        let bias = &match (&self.net.node(id).layer, self.net.shape(id)) {
            (Layer::Border { margins }, Shape::Image(_, h, w)) => margins.expand(bias, h, w)?,
            _ => bias.clone(),
        };
        let ys = self.expanded(id, input, xs)?;
        let constants = input.constants.as_ref().map_or(Ok(bias.clone()), |c| sum(c, bias))?;
        let constants = self.masked_constants(id, Some(constants))?;
        let made = self.computed(id, |kept| {
            let bias = l0_ops::take(bias, 0, kept)?;
            let mut dims = vec![1; ys.rank()];
            dims[1..1 + bias.rank()].copy_from_slice(bias.dims());
            ys.broadcast_add(&bias.to_dtype(ys.dtype())?.reshape(dims)?)
        })?;
        Ok(Activation { constants, ..made })
    }
}

fn finish(ys: &Tensor, epilogue: Epilogue) -> Result<Tensor> {
    let ys = if epilogue.relu { l0_ops::relu(ys)? } else { ys.clone() };
    Ok(if epilogue.max_pool > 1 { l0_ops::max_pool2d(&ys, epilogue.max_pool)? } else { ys })
}

/// (1, n) or (1, n, 1, 1): the shape in which n values scale the units of `xs`.
fn unit_dims(xs: &Tensor, n: usize) -> Vec<usize> {
    let mut dims = vec![1; xs.rank()];
    dims[1] = n;
    dims
}

fn repeat(mask: &[bool], times: usize) -> Vec<bool> {
    mask.iter().flat_map(|&kept| std::iter::repeat_n(kept, times)).collect()
}

/// The places of the units `wanted` among those of `held`.
fn within(held: &Selection, wanted: &Selection) -> Selection {
    let wanted = wanted.mask();
    Selection::of(&held.iter().map(|unit| wanted[unit]).collect::<Vec<_>>())
}
