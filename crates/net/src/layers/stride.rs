//! Every so many rows and columns of an image, from the first one wanted: `xs[:, :, start::step, start::step]`.

use serde::{Deserialize, Serialize};

use super::Rules;
use crate::forward::{At, Flow};
use crate::geometry::Pair;
use crate::onnx::Graph;
use crate::{Place, Result, Shape};

/// Every so many rows and columns of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stride {
    /// The first row and column.
    #[serde(default, skip_serializing_if = "Pair::is_zero")]
    pub start: Pair,
    /// The distance from one to the next.
    pub step: Pair,
}

impl Rules for Stride {
    fn kind(&self) -> &'static str {
        "stride"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let Self { start, step } = self;
        match inputs[0] {
            Shape::Image(c, h, w) if !step.has_zero() && start.h < h && start.w < w => {
                Ok(Shape::Image(c, (h - start.h).div_ceil(step.h), (w - start.w).div_ceil(step.w)))
            }
            found => {
                let expected =
                    format!("an image (c, h, w) larger than its start {start}, and steps of 1 or more (is {step})");
                Err(super::wrong(self, &expected, found))
            }
        }
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        at.each(inputs[0], false, |xs, _| match xs.dim(2)? * xs.dim(3)? {
            1 => Ok(xs.clone()), // a constant, or an image of one position
            _ => l0_ops::stride(xs, self.start.tuple(), self.step.tuple()),
        })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let name = place.name;
        let mut list = |what: &str, values: &[i64]| graph.ints(&format!("{name}.{what}"), values);
        let starts = list("starts", &self.start.ints());
        let ends = list("ends", &[i64::MAX, i64::MAX]);
        let axes = list("axes", &[2, 3]);
        let steps = list("steps", &self.step.ints());
        Ok(graph.operator("Slice", name, &[inputs[0].clone(), starts, ends, axes, steps], &[]))
    }
}
