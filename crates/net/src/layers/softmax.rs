//! `ys = exp(xs) / sum of exp(xs)` over the units, at each position.
//!
//! Every output reads every input, those that masks make constant, too.

use l0_ops::Selection;
use serde::{Deserialize, Serialize};

use super::{Reads, Rules, Sources, SpaceOf};
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::{Place, Result, Shape, Unit};

/// `exp(x) / sum of exp` over the units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softmax;

impl Rules for Softmax {
    fn kind(&self) -> &'static str {
        "softmax"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn space(&self, _: &[Shape]) -> SpaceOf {
        SpaceOf::Own
    }

    fn reads(&self, _: &[Shape], _: Shape) -> Reads {
        Reads::All
    }

    fn becomes(&self, from: &Sources) -> Vec<Unit> {
        from.mixed(1, true, false)
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let input = inputs[0];
        let kept = at.kept();
        let all = Selection::all(kept.total());
        let made = |batch: usize| -> Result<_> {
            let xs = input.expand(&all, batch, at.input_shape(0), at.batch)?;
            Ok(l0_ops::softmax(&xs)?)
        };
        if kept.is_empty() && at.layer.constants().is_empty() {
            return at.entered(Flow { computed: None, kept: kept.clone(), constants: None, scale: None }); // read by none
        }
        if kept.is_empty() {
            // Nothing varies: one example stands for all.
            let constants = made(1)?.squeeze(0)?;
            let constants = at.layer.masked_constants(Some(constants))?;
            return at.entered(Flow { computed: None, kept: kept.clone(), constants, scale: None });
        }
        let computed = Some(l0_ops::take(&made(at.batch.dim(0)?)?, 1, kept)?);
        at.entered(Flow { computed, kept: kept.clone(), constants: None, scale: None })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        Ok(graph.operator("Softmax", place.name, inputs, &[("axis", 1.into())]))
    }
}
