//! QuantizeLinear and DequantizeLinear: of constants, codes and the numbers they stand for; of values, a rounding to
//! the numbers of a grid, which the layers between the two leave on it.

use super::activation::by_number;
use super::constant::{Constant, Int, kind_name};
use super::draft::{Chain, Content, Outcome, ValueId};
use super::moving::axis;
use super::operator::Operator;
use super::wire::Reason;
use crate::layers::Layer;
use crate::onnx::int8::{INT8, UINT8};
use crate::{Activation, Grid};

/// Operators after which codes are still codes: they are moved, or the largest are taken.
const KEEP_CODES: [&str; 10] =
    ["MaxPool", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Gather", "Identity"];

/// Whether a computed output of an operator holds codes, where one of its inputs does (`reads`) or none.
///
/// A network has the numbers that codes stand for in their place, so codes are understood up to a DequantizeLinear
/// alone.
pub(super) fn makes_codes(kind: &str, reads: bool) -> Result<bool, Reason> {
    match (kind, reads) {
        ("QuantizeLinear", false) => Ok(true),
        ("DequantizeLinear", true) => Ok(false),
        ("DequantizeLinear", false) => Err("floats, expected the codes of a QuantizeLinear".into()),
        (_, true) if !KEEP_CODES.contains(&kind) => Err(format!("computes with codes of 8 bits, {EXPECTED_NUMBERS}")),
        _ => Ok(reads),
    }
}

/// What is expected where codes are found.
pub(super) const EXPECTED_NUMBERS: &str =
    "expected the numbers that a DequantizeLinear makes of them; export the network in the form QDQ";

/// The scales and zero points of an operator, and the axis along which they lie if there are several.
struct Scales {
    scales: Vec<f32>,
    zeros: Vec<i64>,
    axis: i64,
    /// The type of the codes.
    kind: Option<i64>,
}

impl Scales {
    fn of(op: &Operator<'_>) -> Result<Self, Reason> {
        op.ignore(&["saturate"]); // speaks of floats of 8 bits alone
        if op.int("block_size")?.unwrap_or(0) != 0 {
            return Err("scales for blocks, expected one for all or one for each row".into());
        }
        let (axis, asked) = (op.int("axis")?.unwrap_or(1), op.int("output_dtype")?.filter(|&kind| kind != 0));
        let scales = op.stored(1, "scale")?.as_floats()?.to_vec();
        let zero = op.constant(2, "zero point")?;
        let zeros = zero.map(Constant::known).transpose()?.unwrap_or_else(|| vec![0; scales.len()]);
        if zeros.len() != scales.len() {
            return Err(format!("{} zero points for {} scales", zeros.len(), scales.len()));
        }
        let kind = zero.map(Constant::kind).filter(|&kind| kind != 0).or(asked);
        if zero.is_some() && kind.is_none() {
            return Err("a zero point that was computed, so that the type of the codes is not known".into());
        }
        match scales.iter().find(|scale| !scale.is_normal() || **scale <= 0.0) {
            Some(scale) => Err(format!("a scale of {scale}, expected a number above 0")),
            None => Ok(Self { scales, zeros, axis, kind }),
        }
    }

    /// The grid of a value, which has one scale.
    fn grid(&self) -> Result<Grid, Reason> {
        let signed = match self.kind.unwrap_or(UINT8) {
            UINT8 => false,
            INT8 => true,
            kind => return Err(format!("codes of {}, expected UINT8 or INT8", kind_name(kind))),
        };
        match (&self.scales[..], &self.zeros[..]) {
            (&[scale], &[zero]) => {
                let zero = i32::try_from(zero).map_err(|_| format!("a zero point of {zero}"))?;
                let grid = Grid { scale, zero, signed };
                grid.is_sane().then_some(grid).ok_or_else(|| format!("a scale of {scale} and a zero point of {zero}"))
            }
            (scales, _) => Err(format!("{} scales for a value, expected one", scales.len())),
        }
    }

    /// For each number of a constant, its scale and zero point.
    fn of_each(&self, dims: &[usize]) -> Result<impl Iterator<Item = (f32, i64)>, Reason> {
        let (mut rows, mut inner) = (1, 1);
        if self.scales.len() > 1 {
            let axis = axis(self.axis, dims.len())?;
            (rows, inner) = (dims[axis], dims[axis + 1..].iter().product());
            if rows != self.scales.len() {
                return Err(format!("{} scales along axis {axis} of a shape {dims:?}", self.scales.len()));
            }
        }
        let count: usize = dims.iter().product();
        Ok((0..count).map(move |i| i / inner % rows).map(|row| (self.scales[row], self.zeros[row])))
    }
}

/// The codes of constant numbers.
pub(super) fn codes(op: &Operator<'_>) -> Result<Constant, Reason> {
    let (xs, scales) = (op.stored(0, "input")?, Scales::of(op)?);
    let (least, most) = match scales.kind.unwrap_or(UINT8) {
        UINT8 => (0, 255),
        INT8 => (-128, 127),
        kind => return Err(format!("codes of {}, expected UINT8 or INT8", kind_name(kind))),
    };
    let code = |(x, (scale, zero)): (&f32, (f32, i64))| {
        Int::Known(((x / scale).round_ties_even() as i64).saturating_add(zero).clamp(least, most))
    };
    let codes = xs.as_floats()?.iter().zip(scales.of_each(xs.dims())?).map(code).collect();
    Constant::new(xs.dims().to_vec(), super::constant::Data::Ints(codes), xs.name())
}

/// The numbers that constant codes stand for.
pub(super) fn numbers(op: &Operator<'_>) -> Result<Constant, Reason> {
    let (codes, scales) = (op.stored(0, "input")?, Scales::of(op)?);
    let known = codes.known()?;
    let numbers = known.iter().zip(scales.of_each(codes.dims())?);
    let number = |(&code, (scale, zero)): (&i64, (f32, i64))| code.saturating_sub(zero) as f32 * scale;
    Constant::floats(codes.dims().to_vec(), numbers.map(number).collect(), codes.name())
}

/// A value rounded to numbers of a grid: what it is once its codes are numbers again.
pub(super) fn quantise(op: &Operator<'_>) -> Result<Outcome, Reason> {
    by_number(op, op.any_value(0)?, Activation::Quantise(Scales::of(op)?.grid()?))
}

/// The numbers of codes: the value as it was rounded, if the same grid says what they stand for.
pub(super) fn dequantise(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (id, scales) = (op.any_value(0)?, Scales::of(op)?);
    let (node, made) = (&op.draft.step(id).node, rounded(op, id));
    let made = made.ok_or_else(|| format!("codes of node {node:?}, expected those of a QuantizeLinear"))?;
    match scales.grid()? {
        grid if grid == made => Ok(Chain::pass(id).into()),
        grid => Err(format!("codes of another scale or zero point ({grid:?}) than they were made by ({made:?})")),
    }
}

/// The grid that a value was rounded to: codes that were moved, or the largest of which were taken, are the same codes.
fn rounded(op: &Operator<'_>, mut id: ValueId) -> Option<Grid> {
    loop {
        id = match &op.draft.step(id).content {
            Content::Layer { layer: Layer::Activation(Activation::Quantise(grid)), .. } => return Some(*grid),
            Content::Layer { layer: Layer::Flatten(_) | Layer::Take(_) | Layer::MaxPool2d(_), inputs, .. } => inputs[0],
            Content::Moved(moved) => moved.of,
            _ => return None,
        }
    }
}
