//! `ys = xs + b`: a constant for each unit, (n,), or one for each unit and position, (c, h, w).

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::facts::Declared;
use super::{Rules, Work};
use crate::forward::{At, Flow, sum};
use crate::onnx::Graph;
use crate::{Place, Result, Shape, Unit};

/// Adds a constant per unit, or one per unit and position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bias {
    /// Whether positions of a channel have constants of their own.
    pub per_position: bool,
}

impl Rules for Bias {
    fn kind(&self) -> &'static str {
        "bias"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn parameters(&self, inputs: &[Shape], output: Shape) -> Vec<Declared> {
        let dims = if self.per_position { output.dims() } else { vec![inputs[0].units()] };
        vec![Declared::bias(dims)]
    }

    fn unit(&self, unit: Unit, _: bool) -> Unit {
        match unit {
            Unit::Computed => Unit::Computed,
            _ if self.per_position => Unit::Pattern,
            Unit::Zero => Unit::Constant,
            unit => unit,
        }
    }

    fn work(&self, _: &[Shape], output: Shape) -> Option<Work> {
        let positions = output.positions();
        Some(Work::unit(if self.per_position { positions } else { 1 }, positions))
    }

    fn bias(&self) -> Option<bool> {
        Some(true)
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let bias = at.value("bias")?;
        added(at, inputs[0], bias)
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let bias = graph.per_unit(place, "bias")?;
        Ok(graph.operator("Add", place.name, &[inputs[0].clone(), bias], &[]))
    }
}

/// `input + bias`, with a bias of (n,) or (n, h, w).
pub(super) fn added(at: &At, input: &Flow, bias: &Tensor) -> Result<Flow> {
    let ys = at.expanded(0, input)?;
    let constants = input.constants.as_ref().map_or(Ok(bias.clone()), |c| sum(c, bias))?;
    let constants = at.layer.masked_constants(Some(constants))?;
    let made = at.computed(|kept| {
        let bias = l0_ops::take(bias, 0, kept)?;
        let mut dims = vec![1; ys.rank()];
        dims[1..1 + bias.rank()].copy_from_slice(bias.dims());
        ys.broadcast_add(&bias.to_dtype(ys.dtype())?.reshape(dims)?)
    })?;
    Ok(Flow { constants, ..made })
}
