//! Zero padding of an image: (b, c, h, w) -> (b, c, h + top + bottom, w + left + right).

use serde::{Deserialize, Serialize};

use super::Rules;
use super::facts::uneven;
use crate::forward::{At, Flow};
use crate::geometry::Sides;
use crate::onnx::Graph;
use crate::{Place, Result, Shape, Unit};

/// Zero padding of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// How many on each side.
    pub padding: Sides,
}

impl Rules for Pad {
    fn kind(&self) -> &'static str {
        "pad"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let sides = match inputs[0] {
            Shape::Image(_, h, w) => self.padding.around(h, w),
            Shape::Features(_) => None,
        };
        let expected = format!("an image (c, h, w) and padding that is a number (is {:?})", self.padding);
        let image = |(h, w)| Shape::Image(inputs[0].units(), h, w);
        sides.map(image).ok_or_else(|| super::wrong(self, &expected, inputs[0]))
    }

    fn unit(&self, unit: Unit, _: bool) -> Unit {
        if self.padding.is_empty() { unit } else { uneven(unit) }
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        at.each(inputs[0], true, |xs, _| l0_ops::pad(xs, self.padding.array()))
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        Ok(padded(graph, place.name, inputs[0].clone(), self.padding))
    }
}

/// Writes zeros around an image; the name of what they make.
pub(super) fn padded(graph: &mut Graph, name: &str, image: String, padding: Sides) -> String {
    let [top, left, bottom, right] = padding.array().map(|n| n as i64);
    let pads = graph.ints(&format!("{name}.pads"), &[0, 0, top, left, 0, 0, bottom, right]);
    graph.operator("Pad", name, &[image, pads], &[])
}
