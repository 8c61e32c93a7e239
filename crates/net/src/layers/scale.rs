//! `ys = scale xs + shift`, with a number of each for every unit: what is left of a normalisation whose statistics are
//! fixed, and of constant factors in networks that were read.

use candle_core::Tensor;
use l0_ops::Epilogue;
use serde::{Deserialize, Serialize};

use super::facts::{Declared, then_relu};
use super::{Dependence, Rules, Work};
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::weights::Values;
use crate::{Place, Result, Role, Shape, Unit};

/// A factor and a constant for each unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale;

impl Rules for Scale {
    fn kind(&self) -> &'static str {
        "scale"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn parameters(&self, inputs: &[Shape], _: Shape) -> Vec<Declared> {
        let each = |leaf, value| Declared::each(leaf, Role::Norm, inputs[0].units(), value);
        vec![each("weight", 1.0), each("bias", 0.0)]
    }

    fn unit(&self, unit: Unit, _: bool) -> Unit {
        if unit == Unit::Zero { Unit::Constant } else { unit }
    }

    fn work(&self, _: &[Shape], output: Shape) -> Option<Work> {
        Some(Work::unit(2, 2 * output.positions()))
    }

    fn depends(&self, values: &Values, from: &Dependence) -> Result<Vec<bool>> {
        from.scaled(values)
    }

    fn fuse(&self, so_far: Epilogue, next: Epilogue) -> Option<Epilogue> {
        then_relu(so_far, next)
    }

    fn row_dim(&self) -> Option<usize> {
        Some(0)
    }

    fn bias(&self) -> Option<bool> {
        Some(true)
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let (scale, shift, relu) = (at.value("weight")?, at.value("bias")?, at.epilogue.relu);
        at.each(inputs[0], false, |xs, units| {
            let wide = |values: &Tensor| -> candle_core::Result<Tensor> {
                let values = l0_ops::take(values, 0, units)?.to_dtype(xs.dtype())?;
                values
                    .reshape((1, units.len(), 1, 1))
                    .and_then(|v| if xs.rank() == 2 { v.flatten_from(1) } else { Ok(v) })
            };
            let ys = xs.broadcast_mul(&wide(scale)?)?.broadcast_add(&wide(shift)?)?;
            if relu { l0_ops::relu(&ys) } else { Ok(ys) }
        })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let (scale, shift) = (graph.per_unit(place, "weight")?, graph.per_unit(place, "bias")?);
        let scaled = graph.operator("Mul", &format!("{}.scaled", place.name), &[inputs[0].clone(), scale], &[]);
        Ok(graph.operator("Add", place.name, &[scaled, shift], &[]))
    }
}
