//! (b, c, h, w) -> (b, c h w): each position of each channel becomes a feature.

use l0_ops::Selection;
use serde::{Deserialize, Serialize};

use super::facts::even;
use super::{Reads, Rules, SpaceOf};
use crate::forward::{At, Flow, within};
use crate::onnx::Graph;
use crate::{Place, Result, Shape, Unit};

/// (c, h, w) -> (c h w,).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flatten;

impl Rules for Flatten {
    fn kind(&self) -> &'static str {
        "flatten"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs[0] {
            Shape::Image(c, h, w) => Ok(Shape::Features(c * h * w)),
            found => Err(format!("{}; features need no flatten", super::wrong(self, "an image (c, h, w)", found))),
        }
    }

    fn space(&self, _: &[Shape]) -> SpaceOf {
        SpaceOf::Own
    }

    fn reads(&self, inputs: &[Shape], _: Shape) -> Reads {
        Reads::Positions(inputs[0].positions())
    }

    fn unit(&self, unit: Unit, _: bool) -> Unit {
        even(unit)
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let input = at.varying(0, inputs[0])?;
        let positions = at.input_shape(0).positions();
        let spread = Selection::of(&repeat(&input.kept.mask(), positions));
        let kept = at.entering(&spread);
        let computed = input.computed.as_ref().filter(|_| !kept.is_empty());
        let computed = computed.map(|xs| l0_ops::take(&xs.flatten_from(1)?, 1, &within(&spread, &kept))).transpose()?;
        let constants = match &input.constants {
            Some(c) if c.rank() > 1 => Some(c.flatten_all()?),
            Some(c) => Some(c.unsqueeze(1)?.broadcast_as((c.elem_count(), positions))?.contiguous()?.flatten_all()?),
            None => None,
        };
        at.entered(Flow { computed, kept, constants, scale: None })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        Ok(graph.operator("Flatten", place.name, inputs, &[("axis", 1.into())]))
    }
}

fn repeat(mask: &[bool], times: usize) -> Vec<bool> {
    mask.iter().flat_map(|&kept| std::iter::repeat_n(kept, times)).collect()
}
