//! Units that are 0 before and after those of the input: the shortcut without parameters where a ResNet gets wider.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::{Reads, Rules, SpaceOf};
use crate::forward::{At, Flow, within};
use crate::onnx::Graph;
use crate::{Place, Result, Shape};

/// Units that are 0 before and after those of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PadUnits {
    /// How many before.
    pub before: usize,
    /// How many after.
    pub after: usize,
}

/// The most units on a side: a description of a few bytes asks for no more memory than this takes.
const MOST: usize = 1 << 20;

impl PadUnits {
    /// Values of the input's units, (n, ..), with zeros for those before and after.
    fn spread(&self, values: &Tensor) -> candle_core::Result<Tensor> {
        values.pad_with_zeros(0, self.before, self.after)
    }
}

impl Rules for PadUnits {
    fn kind(&self) -> &'static str {
        "pad units"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if self.before.max(self.after) > MOST {
            return Err(format!("found {self:?}, expected {MOST} units on a side at most"));
        }
        Ok(inputs[0].with_units(inputs[0].units() + self.before + self.after))
    }

    fn space(&self, _: &[Shape]) -> SpaceOf {
        SpaceOf::Own
    }

    fn reads(&self, inputs: &[Shape], _: Shape) -> Reads {
        let none = |n: usize| std::iter::repeat_n(None, n);
        let units = (0..inputs[0].units()).map(|unit| Some((0, unit)));
        Reads::One(none(self.before).chain(units).chain(none(self.after)).collect())
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let input = at.varying(0, inputs[0])?;
        let kept = at.kept();
        let wanted = kept.mask()[self.before..][..input.kept.total()].to_vec();
        let wanted = l0_ops::Selection::of(&wanted);
        let computed = match &input.computed {
            _ if kept.is_empty() => None,
            Some(xs) if wanted.len() == kept.len() => Some(l0_ops::take(xs, 1, &within(&input.kept, &wanted))?),
            // Where a mask differs between examples, all units are computed.
            _ => {
                let all = input.expand(
                    &l0_ops::Selection::all(input.kept.total()),
                    at.batch.dim(0)?,
                    at.input_shape(0),
                    at.batch,
                )?;
                let all = all.pad_with_zeros(1, self.before, self.after)?.to_dtype(DType::F32)?;
                Some(l0_ops::take(&all, 1, kept)?)
            }
        };
        let constants = input.constants.as_ref().map(|constants| self.spread(constants)).transpose()?;
        at.entered(Flow { computed, kept: kept.clone(), constants, scale: None })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let sides = place.inputs[0].dims().len() - 1;
        let side = |n: usize| [vec![0, n as i64], vec![0; sides]].concat();
        let pads = graph.ints(&format!("{}.pads", place.name), &[side(self.before), side(self.after)].concat());
        Ok(graph.operator("Pad", place.name, &[inputs[0].clone(), pads], &[]))
    }
}
