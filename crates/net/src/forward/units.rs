//! What layers that act unit by unit share: the units that they keep, the constants beside them, masks on the way.

use candle_core::Tensor;
use l0_ops::Selection;

use super::at::{At, MaskedLayer};
use super::flow::{Flow, beside, scatter, within};
use crate::{Mask, Mode, Result, Shape, Unit};

impl MaskedLayer<'_> {
    /// Constants of the units that are still constant after this layer, 0 for all others.
    pub(crate) fn masked_constants(&self, constants: Option<Tensor>) -> Result<Option<Tensor>> {
        let constant = self.constants();
        let Some(constants) = constants.filter(|_| !constant.is_empty()) else { return Ok(None) };
        let mask: Vec<f32> = constant.mask().iter().map(|&m| f32::from(u8::from(m))).collect();
        let mask = Tensor::new(mask, constants.device())?.to_dtype(constants.dtype())?;
        let constants = self.evened(&constant, &constants)?;
        Ok(Some(constants.broadcast_mul(&beside(&mask, &constants)?)?))
    }

    /// The values of some units, (n, ..), as (n,) if all of them are the same at every position.
    fn evened(&self, units: &Selection, values: &Tensor) -> Result<Tensor> {
        if values.rank() == 1 || units.iter().any(|unit| self.units[unit] == Unit::Pattern) {
            return Ok(values.clone());
        }
        Ok(values.flatten_from(1)?.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?)
    }
}

impl At<'_> {
    /// Applies a mask where a space is made by something that is not a linear map.
    pub(crate) fn entered(&self, made: Flow) -> Result<Flow> {
        match self.layer.mask {
            None => Ok(made),
            Some(Mask::Shared(z)) => {
                let constants = made.constants.as_ref().map(|c| c.broadcast_mul(&beside(z, c)?)).transpose()?;
                if self.layer.folds_scale {
                    return Ok(Flow { constants, scale: Some(z.clone()), ..made });
                }
                let z = l0_ops::take(z, 0, &made.kept)?;
                Ok(Flow {
                    constants,
                    ..made.map_computed(|xs| {
                        xs.broadcast_mul(&z.to_dtype(xs.dtype())?.reshape(unit_dims(xs, z.elem_count()))?)
                    })?
                })
            }
            Some(Mask::PerExample(_)) => self.per_example(made),
        }
    }

    /// Applies a mask that differs between examples.
    pub(crate) fn per_example(&self, made: Flow) -> Result<Flow> {
        let Some(Mask::PerExample(z)) = self.layer.mask else { return Ok(made) };
        let z = l0_ops::take(z, 1, &made.kept)?;
        made.map_computed(|xs| {
            let mut dims = xs.dims().to_vec();
            dims[2..].fill(1);
            xs.broadcast_mul(&z.to_dtype(xs.dtype())?.reshape(dims)?)
        })
    }

    /// An input of a layer whose units are scaled per example, constants spread over the examples.
    pub(crate) fn varying(&self, place: usize, input: &Flow) -> Result<Flow> {
        if input.constants.is_none() || !matches!(self.layer.mask, Some(Mask::PerExample(_))) {
            return Ok(input.clone());
        }
        let kept = Selection::all(input.kept.total());
        let computed = input.expand(&kept, self.batch.dim(0)?, self.input_shape(place), self.batch)?;
        Ok(Flow { computed: Some(computed), kept, constants: None, scale: None })
    }

    /// The units of `input` that a layer acting unit by unit keeps: fewer than its input has where another reader has
    /// more.
    pub(crate) fn aligned(&self, input: &Flow) -> Result<Flow> {
        let kept = self.kept();
        let constants = self.layer.masked_constants(input.constants.clone())?;
        let computed = input.computed.as_ref().filter(|_| !kept.is_empty());
        let computed = computed.map(|xs| l0_ops::take(xs, 1, &within(&input.kept, kept))).transpose()?;
        Ok(Flow { computed, kept: kept.clone(), constants, scale: None })
    }

    /// The values of the units that this layer keeps, constants spread over the batch and all positions.
    pub(crate) fn expanded(&self, place: usize, input: &Flow) -> Result<Tensor> {
        let kept = self.kept();
        if kept.is_empty() {
            return Ok(self.batch.clone());
        }
        input.expand(kept, self.batch.dim(0)?, self.input_shape(place), self.batch)
    }

    /// The output where `f` makes the computed units, without constants.
    pub(crate) fn computed(&self, mut f: impl FnMut(&Selection) -> candle_core::Result<Tensor>) -> Result<Flow> {
        let kept = self.kept();
        let computed = (!kept.is_empty()).then(|| f(kept)).transpose()?;
        Ok(Flow { computed, kept: kept.clone(), constants: None, scale: None })
    }

    /// Applies `f`, which makes the units of a selection from their inputs (b, n, ..), to the computed units and to the
    /// constants. `spread` says that an input that is the same everywhere makes an output that may not be.
    pub(crate) fn each(
        &self,
        input: &Flow,
        spread: bool,
        f: impl Fn(&Tensor, &Selection) -> candle_core::Result<Tensor>,
    ) -> Result<Flow> {
        let kept = self.kept();
        let held = input.kept.mask();
        let xs = match &input.computed {
            _ if kept.is_empty() => None,
            Some(xs) if kept.iter().all(|unit| held[unit]) => Some(l0_ops::take(xs, 1, &within(&input.kept, kept))?),
            _ => Some(self.expanded(0, input)?), // a constant that is computed from here on
        };
        let computed = xs.map(|xs| f(&xs, kept)).transpose()?;
        let constants = self.each_constant(input, spread, f)?;
        Ok(Flow { computed, kept: kept.clone(), constants, scale: None })
    }

    /// The constants of the output, (n,) or (n, h', w'), 0 for all other units.
    fn each_constant(
        &self,
        input: &Flow,
        spread: bool,
        f: impl Fn(&Tensor, &Selection) -> candle_core::Result<Tensor>,
    ) -> Result<Option<Tensor>> {
        let constant = self.layer.constants();
        if constant.is_empty() {
            return Ok(None);
        }
        let n = constant.len();
        let values = match &input.constants {
            Some(constants) => l0_ops::take(constants, 0, &constant)?,
            None => Tensor::zeros(n, candle_core::DType::F32, self.batch.device())?,
        };
        let xs = match (self.input_shape(0), values.rank()) {
            (Shape::Image(_, h, w), 1) if spread => values.reshape((1, n, 1, 1))?.broadcast_as((1, n, h, w))?,
            (Shape::Image(..), 1) => values.reshape((1, n, 1, 1))?,
            _ => values.unsqueeze(0)?,
        };
        let ys = f(&xs.contiguous()?, &constant)?.squeeze(0)?;
        Ok(Some(scatter(&self.layer.evened(&constant, &ys)?, &constant)?))
    }

    /// The units that enter a space by being copied from those `available`. In training, copying out most of them costs
    /// more than leaving the closed ones in, where linear maps multiply them by their mask's 0.
    pub(crate) fn entering(&self, available: &Selection) -> Selection {
        let kept = self.kept();
        let most = 5 * kept.len() >= 4 * available.len();
        let folded = self.layer.scale().is_some() && self.layer.folds_scale;
        let training = matches!(self.mode, Mode::Train(_));
        if training && most && folded { available.clone() } else { kept.clone() }
    }
}

/// (1, n) or (1, n, 1, 1): the shape in which n values scale the units of `xs`.
fn unit_dims(xs: &Tensor, n: usize) -> Vec<usize> {
    let mut dims = vec![1; xs.rank()];
    dims[1] = n;
    dims
}
