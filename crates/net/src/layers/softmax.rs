//! `ys = exp(xs) / sum of exp(xs)` over the units, at each position.
//!
//! Every output reads every input, those that masks make constant, too.

use l0_ops::Selection;
use serde::{Deserialize, Serialize};

use super::{Reads, Rules, Sources, SpaceOf};
use crate::compact::{Held, Walk};
use crate::forward::{At, Flow};
use crate::onnx::{Chain, Graph, Operator, Outcome, Reason};
use crate::{Node, NodeId, Result, Shape, Unit};

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
        if kept.is_empty() {
            // Nothing varies: one example stands for all.
            let constants = made(1)?.squeeze(0)?;
            let constants = at.pass.masked_constants(at.id, Some(constants))?;
            return at.entered(Flow { computed: None, kept: kept.clone(), constants, scale: None });
        }
        let computed = Some(l0_ops::take(&made(at.batch.dim(0)?)?, 1, kept)?);
        at.entered(Flow { computed, kept: kept.clone(), constants: None, scale: None })
    }

    fn compact(&self, walk: &mut Walk, id: NodeId, inputs: &[NodeId]) -> Result<Held> {
        let all = Selection::all(walk.pass.net.shape(id).units());
        let reads = walk.whole(inputs[0], &all)?;
        let node = walk.push(id, Self.into(), vec![reads]);
        Ok(Held::new(node, all.iter().map(|unit| unit as u32).collect()))
    }

    fn to_onnx(&self, graph: &mut Graph, node: &Node, inputs: &[String]) -> Result<String> {
        Ok(graph.operator("Softmax", &node.name, inputs, &[("axis", 1.into())]))
    }
}

/// From ONNX.
impl Softmax {
    /// Over the units: until opset 13 over everything from the axis on.
    pub(crate) fn read(op: &Operator<'_>) -> Result<Outcome, Reason> {
        let (input, dims) = op.layered(0)?;
        let rank = dims.len() as i64 + 1;
        let axis = op.int("axis")?.unwrap_or(if op.opset < 13 { 1 } else { -1 });
        let over_units = axis == 1 || axis == 1 - rank;
        let alone = op.opset >= 13 || dims[1..].iter().all(|&dim| dim == 1);
        match over_units && alone {
            true => Ok(Chain::plain(vec![input], Self).into()),
            false => Err(format!("axis {axis} of {rank} dimensions, expected the channels")),
        }
    }
}
