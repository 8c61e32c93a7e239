//! What flows along an edge of a masked network: the computed units, and the constants beside them.

use candle_core::Tensor;
use l0_ops::Selection;

use crate::{Result, Shape};

/// The output of a node for a batch.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    /// The units `kept`, (b, kept) or (b, kept, h, w); none where nothing is computed.
    pub(crate) computed: Option<Tensor>,
    /// Which units those are.
    pub(crate) kept: Selection,
    /// Values of the constant units, 0 for all others; none where no unit is constant. (n,), or (n, h, w) where some
    /// differ between positions.
    pub(crate) constants: Option<Tensor>,
    /// A scale of all units, (n,), that the layers reading this must still apply to the computed ones.
    pub(crate) scale: Option<Tensor>,
}

impl Flow {
    /// Applies `f` to the computed units alone.
    pub(crate) fn map_computed(&self, f: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> Result<Self> {
        Ok(Self { computed: self.computed.as_ref().map(f).transpose()?, ..self.clone() })
    }

    /// The values of the units `wanted` as one tensor, constants spread over the batch and all positions.
    pub(crate) fn expand(&self, wanted: &Selection, batch: usize, shape: Shape, like: &Tensor) -> Result<Tensor> {
        if let (Some(computed), true) = (&self.computed, &self.kept == wanted) {
            return Ok(computed.clone());
        }
        let dims = shape.with_units(self.kept.total()).batch(batch);
        let spread = match &self.constants {
            Some(constants) => {
                let mut one = vec![1; dims.len()];
                one[1..=constants.rank()].copy_from_slice(constants.dims());
                constants.reshape(one)?.broadcast_as(dims)?.contiguous()?
            }
            None => Tensor::zeros(dims, like.dtype(), like.device())?,
        };
        let spread = match &self.computed {
            Some(computed) => spread.to_dtype(computed.dtype())?,
            None => spread,
        };
        let all = match (&self.computed, self.kept.indices()) {
            (Some(computed), Some(kept)) => {
                spread.index_add(&Tensor::new(kept, like.device())?, &computed.contiguous()?, 1)?
            }
            (Some(computed), None) => computed.clone(),
            (None, _) => spread,
        };
        Ok(l0_ops::take(&all, 1, wanted)?)
    }

    /// Some of the units, side by side, alone.
    pub(crate) fn part(&self, start: usize, size: usize) -> Result<Self> {
        let kept = part(&self.kept, start, size);
        let constants = self.constants.as_ref().map(|constants| constants.narrow(0, start, size)).transpose()?;
        Ok(Self { computed: None, kept, constants, scale: None })
    }
}

/// `values`, (n,), shaped so that they meet the units of `like`, (n,) or (n, h, w).
pub(crate) fn beside(values: &Tensor, like: &Tensor) -> candle_core::Result<Tensor> {
    let mut dims = vec![1; like.rank().max(values.rank())];
    dims[..values.rank()].copy_from_slice(values.dims());
    values.reshape(dims)
}

/// The sum of constants, each (n,) or (n, h, w).
pub(crate) fn sum(a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
    beside(a, b)?.broadcast_add(&beside(b, a)?)
}

/// The product of constants, each (n,) or (n, h, w), in an output of this shape: (n,), or (n, h, w) with its sides, even
/// where only a factor of a single position has such, as in squeeze-and-excitation.
pub(crate) fn product(a: &Tensor, b: &Tensor, shape: Shape) -> candle_core::Result<Tensor> {
    let product = beside(a, b)?.broadcast_mul(&beside(b, a)?)?;
    match shape {
        Shape::Image(_, h, w) if product.rank() > 1 => product.broadcast_as((product.dim(0)?, h, w))?.contiguous(),
        _ => Ok(product),
    }
}

/// Values (k, ..) of the units of `selection` at their places among all units, (n, ..), 0 elsewhere.
pub(crate) fn scatter(values: &Tensor, selection: &Selection) -> Result<Tensor> {
    match selection.indices() {
        None => Ok(values.clone()),
        Some(kept) => {
            let mut dims = values.dims().to_vec();
            dims[0] = selection.total();
            let zeros = Tensor::zeros(dims, values.dtype(), values.device())?;
            Ok(zeros.index_add(&Tensor::new(kept, values.device())?, &values.contiguous()?, 0)?)
        }
    }
}

/// Those units of a selection that lie side by side from `start` on.
pub(crate) fn part(all: &Selection, start: usize, size: usize) -> Selection {
    Selection::of(&all.mask()[start..start + size])
}

/// The places of the units `wanted` among those of `held`.
pub(crate) fn within(held: &Selection, wanted: &Selection) -> Selection {
    let wanted = wanted.mask();
    Selection::of(&held.iter().map(|unit| wanted[unit]).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    /// On a GPU images lie with their channels last: numbers that are not in the order of their dimensions.
    fn channels_last(dims: &[usize]) -> Tensor {
        let n = dims.iter().product::<usize>() as f32;
        let lying = [&dims[..1], &dims[2..], &dims[1..2]].concat();
        let numbers = Tensor::arange(0.0, n, &Device::Cpu).unwrap().reshape(lying).unwrap();
        let seen: Vec<usize> = std::iter::once(0).chain([dims.len() - 1]).chain(1..dims.len() - 1).collect();
        let numbers = numbers.permute(seen).unwrap();
        assert!(!numbers.is_contiguous());
        numbers
    }

    fn rows(t: &Tensor) -> Vec<Vec<f32>> {
        t.contiguous().unwrap().flatten_from(1).unwrap().to_vec2().unwrap()
    }

    #[test]
    fn units_are_spread_wherever_they_lie() {
        let kept = Selection::of(&[false, true, false, true, true]);
        let computed = channels_last(&[2, 3, 2, 2]);
        let flow = Flow { computed: Some(computed.clone()), kept: kept.clone(), constants: None, scale: None };
        let like = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        let all = flow.expand(&Selection::all(5), 2, Shape::Image(5, 2, 2), &like).unwrap();
        assert_eq!(all.dims(), [2, 5, 2, 2]);
        for (unit, place) in [(0, None), (1, Some(0)), (2, None), (3, Some(1)), (4, Some(2))] {
            let unit = all.narrow(1, unit, 1).unwrap();
            let expected = place.map(|place| computed.narrow(1, place, 1).unwrap());
            assert_eq!(rows(&unit), rows(&expected.unwrap_or_else(|| unit.zeros_like().unwrap())));
        }
    }

    #[test]
    fn values_are_scattered_wherever_they_lie() {
        let values = Tensor::arange(0.0f32, 6.0, &Device::Cpu).unwrap().reshape((2, 3)).unwrap().t().unwrap();
        let found = scatter(&values, &Selection::of(&[true, false, true, true])).unwrap();
        assert_eq!(rows(&found), [[0.0, 3.0], [0.0, 0.0], [1.0, 4.0], [2.0, 5.0]]);
    }
}
