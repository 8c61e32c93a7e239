//! Zeros around an image: (b, c, h, w) -> (b, c, h + top + bottom, w + left + right).

use serde::{Deserialize, Serialize};

use super::facts::uneven;
use super::{PadUnits, Rules};
use crate::forward::{At, Flow};
use crate::geometry::Sides;
use crate::onnx::{Chain, Constant, Graph, Operator, Outcome, Reason, axis};
use crate::{Node, Result, Shape, Unit};

/// Zeros around an image.
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

    fn to_onnx(&self, graph: &mut Graph, node: &Node, inputs: &[String]) -> Result<String> {
        let [top, left, bottom, right] = self.padding.array().map(|n| n as i64);
        let pads = graph.ints(&format!("{}.pads", node.name), &[0, 0, top, left, 0, 0, bottom, right]);
        Ok(graph.operator("Pad", &node.name, &[inputs[0].clone(), pads], &[]))
    }
}

/// From ONNX.
impl Pad {
    /// Zeros around an image, before and behind its channels, or before and behind features.
    pub(crate) fn read(op: &Operator<'_>) -> Result<Outcome, Reason> {
        let (input, dims) = op.layered(0)?;
        let rank = dims.len() + 1;
        let mode = op.text("mode")?.unwrap_or("constant");
        let value = match op.float("value")? {
            Some(value) => value,
            None => op.constant(2, "value")?.map_or(Some(0.0), Constant::scalar).unwrap_or(f32::NAN),
        };
        if mode != "constant" || value != 0.0 {
            return Err(format!("padding of mode {mode:?} with {value}, expected zeros"));
        }
        let pads = op.ints_at(1, "pads")?.ok_or("no pads")?;
        let along = match op.constant(3, "axes")? {
            Some(axes) => axes.known()?.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?,
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * along.len() {
            return Err(format!("{} pads for {} axes", pads.len(), along.len()));
        }
        let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
        for (i, &axis) in along.iter().enumerate() {
            let zeros = |n: i64| usize::try_from(n).map_err(|_| format!("pads {pads:?}, which cut something off"));
            (before[axis], after[axis]) = (zeros(pads[i])?, zeros(pads[along.len() + i])?);
        }
        padded(input, &before, &after)
    }
}

/// Zeros before and after along each axis.
pub(super) fn padded(input: usize, before: &[usize], after: &[usize]) -> Result<Outcome, Reason> {
    if before[0] > 0 || after[0] > 0 {
        return Err("examples added to the batch".into());
    }
    let mut chain = Chain::pass(input);
    if before[1] > 0 || after[1] > 0 {
        chain = chain.then(PadUnits { before: before[1], after: after[1] });
    }
    if let (&[_, _, top, left], &[_, _, bottom, right]) = (before, after) {
        let padding = Sides { top, left, bottom, right };
        chain = if padding == Sides::default() { chain } else { chain.then(Pad { padding }) };
    }
    Ok(chain.into())
}
