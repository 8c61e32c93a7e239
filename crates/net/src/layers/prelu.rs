//! `ys = xs` above 0 and `slope xs` below, with a slope for each unit: slope (n,).

use serde::{Deserialize, Serialize};

use super::facts::Declared;
use super::{Rules, Work};
use crate::forward::{At, Flow};
use crate::onnx::{Chain, Graph, Operator, Outcome, Reason};
use crate::{Node, Result, Role, Shape};

/// ReLU with a learned slope below 0 for each unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PRelu;

impl Rules for PRelu {
    fn kind(&self) -> &'static str {
        "prelu"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn parameters(&self, inputs: &[Shape], _: Shape) -> Vec<Declared> {
        vec![Declared::each("slope", Role::Norm, inputs[0].units(), 0.25)]
    }

    fn work(&self, _: &[Shape], _: Shape) -> Option<Work> {
        Some(Work::unit(1, 0))
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let slope = at.value("slope")?;
        at.each(inputs[0], false, |xs, units| l0_ops::prelu(xs, &l0_ops::take(slope, 0, units)?))
    }

    fn to_onnx(&self, graph: &mut Graph, node: &Node, inputs: &[String]) -> Result<String> {
        let slope = graph.per_unit(node, "slope")?;
        Ok(graph.operator("PRelu", &node.name, &[inputs[0].clone(), slope], &[]))
    }
}

/// From ONNX.
impl PRelu {
    /// A slope for each channel, or one for all.
    pub(crate) fn read(op: &Operator<'_>) -> Result<Outcome, Reason> {
        let (input, dims) = op.layered(0)?;
        let slope = op.stored(1, "slope")?;
        let expected = match slope.dims() {
            found if found.iter().all(|&dim| dim == 1) => true,
            &[n] => dims == [n],
            &[n, 1, 1] | &[1, n, 1, 1] => dims.len() == 3 && dims[0] == n,
            &[1, n] => dims == [n],
            _ => false,
        };
        match expected {
            true => Ok(Chain::of(vec![input], Self, vec![("slope", slope.spread(dims[0])?)]).into()),
            false => Err(format!("a slope of shape {:?} for {dims:?}, expected one for each channel", slope.dims())),
        }
    }
}
