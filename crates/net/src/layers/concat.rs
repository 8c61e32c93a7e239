//! The units of all inputs, one after the other: (b, c1, h, w), (b, c2, h, w) -> (b, c1 + c2, h, w).
//!
//! The parts keep their spaces; that of the concatenation is one of its own, through which all of it can be masked.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Reads, Rules, SpaceOf};
use crate::forward::{At, Flow, part, within};
use crate::onnx::Graph;
use crate::{Place, Result, Shape};

/// The units of all inputs, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concat;

impl Concat {
    /// Of each input, where its units begin in the output.
    pub(crate) fn starts(sizes: impl Iterator<Item = usize>) -> Vec<usize> {
        let start = |next: &mut usize, size| {
            let at = *next;
            *next += size;
            Some(at)
        };
        sizes.scan(0, start).collect()
    }
}

impl Rules for Concat {
    fn kind(&self) -> &'static str {
        "concat"
    }

    fn arity(&self) -> (usize, usize) {
        (1, usize::MAX)
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let like = |shape: &Shape| shape.with_units(1);
        if let Some(other) = inputs.iter().find(|shape| like(shape) != like(&inputs[0])) {
            return Err(format!("concat expects images of equal sides, or features, found {} and {other}", inputs[0]));
        }
        let units = inputs.iter().try_fold(0usize, |sum, shape| sum.checked_add(shape.units()));
        units.map(|units| inputs[0].with_units(units)).ok_or_else(|| "concat has too many units".into())
    }

    fn space(&self, _: &[Shape]) -> SpaceOf {
        SpaceOf::Own
    }

    fn reads(&self, inputs: &[Shape], _: Shape) -> Reads {
        let part = |(input, shape): (usize, &Shape)| (0..shape.units()).map(move |unit| Some((input, unit)));
        Reads::One(inputs.iter().enumerate().flat_map(part).collect())
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let inputs = inputs.iter().enumerate().map(|(place, input)| at.varying(place, input));
        let inputs = inputs.collect::<Result<Vec<Flow>>>()?;
        let starts = Self::starts(inputs.iter().map(|input| input.kept.total()));
        let kept = at.kept();
        let mut parts = Vec::new();
        for ((place, input), &start) in inputs.iter().enumerate().zip(&starts) {
            let wanted = part(kept, start, input.kept.total());
            let held = input.kept.mask();
            match &input.computed {
                _ if wanted.is_empty() => {}
                Some(xs) if wanted.iter().all(|unit| held[unit]) => {
                    parts.push(l0_ops::take(xs, 1, &within(&input.kept, &wanted))?);
                }
                _ => parts.push(input.expand(&wanted, at.batch.dim(0)?, at.input_shape(place), at.batch)?),
            }
        }
        let computed = match parts.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            parts => Some(l0_ops::concat(&parts.iter().collect::<Vec<_>>())?),
        };
        let constants = at.layer.masked_constants(constants(at, &inputs)?)?;
        at.entered(Flow { computed, kept: kept.clone(), constants, scale: None })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        Ok(graph.operator("Concat", place.name, inputs, &[("axis", 1.into())]))
    }
}

/// The constants of all inputs, (n,), or (n, h, w) where one differs between positions.
fn constants(at: &At, inputs: &[Flow]) -> Result<Option<Tensor>> {
    if inputs.iter().all(|input| input.constants.is_none()) {
        return Ok(None);
    }
    let uneven = inputs.iter().flat_map(|input| &input.constants).any(|c| c.rank() > 1);
    let one = |(place, input): (usize, &Flow)| -> Result<Tensor> {
        let dims = at.input_shape(place).dims();
        let values = match &input.constants {
            Some(constants) => constants.clone(),
            None => Tensor::zeros(dims[0], candle_core::DType::F32, at.batch.device())?,
        };
        if uneven && values.rank() == 1 {
            return Ok(values.reshape((dims[0], 1, 1))?.broadcast_as(dims)?.contiguous()?);
        }
        Ok(values)
    };
    let all = inputs.iter().enumerate().map(one).collect::<Result<Vec<Tensor>>>()?;
    Ok(Some(Tensor::cat(&all, 0)?))
}
