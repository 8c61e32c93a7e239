//! The listed units of its input, in this order: a slice of channels, a shuffle, what is left of a flattening.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Reads, Rules, SpaceOf};
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::{Place, Result, Shape};

/// The listed units of its input, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// Indices of units.
    pub units: Vec<u32>,
}

impl Rules for Take {
    fn kind(&self) -> &'static str {
        "take"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let shape = inputs[0];
        if let Some(unit) = self.units.iter().find(|&&u| u as usize >= shape.units()) {
            return Err(super::wrong(self, &format!("more units than its largest index {unit}"), shape));
        }
        if self.units.is_empty() {
            return Err(super::wrong(self, "one unit to take or more", shape));
        }
        Ok(shape.with_units(self.units.len()))
    }

    fn space(&self, _: &[Shape]) -> SpaceOf {
        SpaceOf::Own
    }

    fn reads(&self, _: &[Shape], _: Shape) -> Reads {
        Reads::One(self.units.iter().map(|&unit| Some((0, unit as usize))).collect())
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let input = at.varying(0, inputs[0])?;
        let kept = at.kept();
        let place: Vec<u32> = input
            .kept
            .mask()
            .iter()
            .scan(0u32, |next, &kept| {
                let at = *next;
                *next += u32::from(kept);
                Some(at)
            })
            .collect();
        let wanted: Vec<u32> = kept.iter().map(|unit| place[self.units[unit] as usize]).collect();
        let pick =
            |xs: &Tensor, dim, wanted: Vec<u32>| xs.contiguous()?.index_select(&Tensor::new(wanted, xs.device())?, dim);
        let computed =
            input.computed.as_ref().filter(|_| !kept.is_empty()).map(|xs| pick(xs, 1, wanted)).transpose()?;
        let constants = input.constants.as_ref().map(|c| pick(c, 0, self.units.clone())).transpose()?;
        at.entered(Flow { computed, kept: kept.clone(), constants, scale: None })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        Ok(graph.gather(place.name, "units", inputs[0].clone(), &self.units, 1))
    }
}
