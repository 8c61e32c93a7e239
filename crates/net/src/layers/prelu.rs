//! `ys = xs` above 0 and `slope xs` below, with a slope for each unit: slope (n,).

use serde::{Deserialize, Serialize};

use super::facts::Declared;
use super::{Rules, Work};
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::{Place, Result, Role, Shape};

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

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let slope = graph.per_unit(place, "slope")?;
        Ok(graph.operator("PRelu", place.name, &[inputs[0].clone(), slope], &[]))
    }
}
