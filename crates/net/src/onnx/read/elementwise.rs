//! Sums and products with constants for each unit or position.

use super::arithmetic::broadcast;
use super::constant::Constant;
use super::draft::{Arg, Chain, Content, Outcome, ValueId};
use super::operator::Operator;
use super::patterns;
use super::terms;
use super::wire::Reason;
use crate::Layer;
use crate::layers::{Bias, Border, Margins, Scale};

/// Add, Sub, Mul, Div, Neg and Sum.
pub(super) fn elementwise(op: &Operator<'_>) -> Result<Outcome, Reason> {
    if let Some((input, function)) = patterns::function(op) {
        return Ok(Chain::plain(vec![input], function).into());
    }
    if let Some(reason) = op.loose() {
        return Ok(Outcome::Other(Content::Loose(reason), spread_over(op)?));
    }
    match (op.kind, &op.args[..]) {
        ("Neg", &[Arg::Value(id)]) => scale(op, id, &Constant::floats(Vec::new(), vec![-1.0], "")?),
        ("Sum" | "Add" | "Mul", [Arg::Value(id)]) => Ok(Chain::pass(*id).into()),
        ("Sub", [Arg::Constant(from), Arg::Value(id)]) => less(op, *id, from),
        ("Add" | "Sum", [Arg::Value(id), Arg::Constant(c)] | [Arg::Constant(c), Arg::Value(id)]) => shift(op, *id, c),
        ("Sub", [Arg::Value(id), Arg::Constant(c)]) => shift(op, *id, &mapped(c, |c| -c)?),
        ("Mul", [Arg::Value(id), Arg::Constant(c)] | [Arg::Constant(c), Arg::Value(id)]) => scale(op, *id, c),
        ("Div", [Arg::Value(id), Arg::Constant(c)]) => scale(op, *id, &mapped(c, f32::recip)?),
        ("Mul", &[Arg::Value(a), Arg::Value(b)]) => terms::product(op, [a, b]),
        ("Add" | "Sum", args) if args.iter().all(|arg| matches!(arg, Arg::Value(_))) => terms::sum(op),
        ("Sub", [Arg::Value(_), Arg::Value(_)]) => Err("the difference of two values, expected a sum".into()),
        ("Div", [_, Arg::Value(_)]) => Err("a division by a value, expected one by constants".into()),
        _ => Err("other inputs than values and constants".into()),
    }
}

/// The shape of one example of a result of which some inputs may be constants.
fn spread_over(op: &Operator<'_>) -> Result<Vec<usize>, Reason> {
    let mut dims = vec![1];
    for arg in &op.args {
        let other = match arg {
            Arg::Value(id) => [&[1], &op.draft.step(*id).dims[..]].concat(),
            Arg::Constant(constant) => constant.dims().to_vec(),
            Arg::Absent | Arg::Zeros(_) => continue,
        };
        dims = broadcast(&dims, &other)?;
    }
    if dims[0] == 1 { Ok(dims[1..].to_vec()) } else { Err(format!("constants for each example, {dims:?}")) }
}

fn mapped(xs: &Constant, of: impl Fn(f32) -> f32) -> Result<Constant, Reason> {
    Constant::floats(xs.dims().to_vec(), xs.as_floats()?.iter().map(|&x| of(x)).collect(), xs.name())
}

/// Constants for a value of shape `dims`: one for each unit, or for each position of each.
enum Constants {
    PerUnit(Constant),
    PerPosition(Constant),
}

fn constants(op: &Operator<'_>, id: ValueId, xs: &Constant) -> Result<Constants, Reason> {
    let dims = &op.draft.step(id).dims;
    let whole = [&[1], &dims[..]].concat();
    if xs.as_floats().is_err() || broadcast(&whole, xs.dims())? != whole {
        return Err(format!("constants of shape {:?} for {dims:?}", xs.dims()));
    }
    let units: Vec<usize> =
        std::iter::repeat_n(1, whole.len().saturating_sub(xs.dims().len())).chain(xs.dims().iter().copied()).collect();
    match units[2..].iter().all(|&dim| dim == 1) {
        true => Ok(Constants::PerUnit(xs.spread(dims[0])?)),
        false => Ok(Constants::PerPosition(xs.reshaped(units[1..].to_vec())?.expanded(dims, op.room)?)),
    }
}

/// The layer below a value and the arrangement above it: constants for units of features act on both.
fn below<'a>(op: &Operator<'a>, id: ValueId) -> Result<(ValueId, Option<&'a Constant>), Reason> {
    match &op.draft.step(id).content {
        Content::Moved(moved) if op.draft.is_all_of(moved) => Ok((moved.of, Some(&moved.index))),
        _ => op.draft.expect_layer(id).map(|()| (id, None)),
    }
}

fn viewed(chain: Chain, view: Option<&Constant>) -> Outcome {
    Chain { view: view.cloned(), ..chain }.into()
}

fn shift(op: &Operator<'_>, id: ValueId, by: &Constant) -> Result<Outcome, Reason> {
    let (input, view) = below(op, id)?;
    match constants(op, id, by)? {
        Constants::PerUnit(by) => match merged(op, input, None, &by) {
            Some(chain) => Ok(viewed(chain, view)),
            None => Ok(viewed(Chain::of(vec![input], Bias { per_position: false }, vec![("bias", by)]), view)),
        },
        Constants::PerPosition(by) if view.is_none() => {
            let whole = || Chain::of(vec![input], Bias { per_position: true }, vec![("bias", by.clone())]);
            Ok(border(input, &by).unwrap_or_else(whole).into())
        }
        Constants::PerPosition(_) => Err("constants for positions of numbers in another arrangement".into()),
    }
}

/// Constants for each position (n, h, w), added to a value, where they differ near the edges alone, as a [`Border`] is
/// written.
fn border(input: ValueId, map: &Constant) -> Option<Chain> {
    let (&[n, h, w], values) = (map.dims(), map.as_floats().ok()?) else { return None };
    let margins = Margins::exact(values, [h, w]);
    let (rows, columns) = margins.dims();
    if rows * columns == h * w {
        return None;
    }
    let line = |i: usize, before: usize, lines: usize, of: usize| if i <= before { i } else { of - lines + i };
    let places = (0..n * rows * columns).map(|i| {
        let (unit, row, column) = (i / (rows * columns), i / columns % rows, i % columns);
        (unit * h + line(row, margins.top, rows, h)) * w + line(column, margins.left, columns, w)
    });
    let distinct = map.picked(vec![n, rows, columns], places).ok()?;
    Some(Chain::of(vec![input], Border { margins }, vec![("bias", distinct)]))
}

/// The linear map or the scale below with its outputs scaled and shifted, where nobody else reads it.
fn merged(op: &Operator<'_>, id: ValueId, by: Option<&Constant>, shift: &Constant) -> Option<Chain> {
    let step = op.draft.step(id);
    let Content::Layer { layer, inputs, values } = &step.content else { return None };
    let (mut layer, mut values) = (layer.clone(), values.clone());
    let bias = match &mut layer {
        Layer::Linear(linear) => Some(&mut linear.bias),
        Layer::Conv2d(conv) => Some(&mut conv.bias),
        Layer::ConvTranspose2d(conv) if by.is_none() => Some(&mut conv.bias),
        Layer::Scale(_) => None, // always has one
        _ => return None,
    };
    if bias.is_some_and(|bias| !std::mem::replace(bias, true)) {
        values.push(("bias", zeros(shift.len()).ok()?));
    }
    if let Some(by) = by {
        values = values
            .iter()
            .map(|(leaf, xs)| Ok((*leaf, by_rows(xs, by, |x, by| x * by)?)))
            .collect::<Result<_, Reason>>()
            .ok()?;
    }
    values[1].1 = by_rows(&values[1].1, shift, |x, by| x + by).ok()?;
    (step.readers == 1).then(|| Chain::of(inputs.clone(), layer, values))
}

fn zeros(n: usize) -> Result<Constant, Reason> {
    Constant::floats(vec![n], vec![0.0; n], "")
}

/// Each row of a tensor with a number of its own.
fn by_rows(xs: &Constant, numbers: &Constant, of: impl Fn(f32, f32) -> f32) -> Result<Constant, Reason> {
    let (values, numbers) = (xs.as_floats()?, numbers.as_floats()?);
    let row = (values.len() / numbers.len().max(1)).max(1);
    let values = values.chunks(row).zip(numbers).flat_map(|(row, &by)| row.iter().map(move |&x| (x, by)));
    Constant::floats(xs.dims().to_vec(), values.map(|(x, by)| of(x, by)).collect(), xs.name())
}

fn scale(op: &Operator<'_>, id: ValueId, by: &Constant) -> Result<Outcome, Reason> {
    let shift = Constant::floats(Vec::new(), vec![0.0], "")?;
    scale_and_shift(op, id, by, &shift)
}

/// Constants less a value.
fn less(op: &Operator<'_>, id: ValueId, from: &Constant) -> Result<Outcome, Reason> {
    scale_and_shift(op, id, &Constant::floats(Vec::new(), vec![-1.0], "")?, from)
}

fn scale_and_shift(op: &Operator<'_>, id: ValueId, by: &Constant, shift: &Constant) -> Result<Outcome, Reason> {
    let (input, view) = below(op, id)?;
    let (Constants::PerUnit(weight), Constants::PerUnit(bias)) = (constants(op, id, by)?, constants(op, id, shift)?)
    else {
        return Err("a factor for each position, expected one for each channel".into());
    };
    if weight.as_floats()?.iter().all(|&by| by == 1.0) && bias.as_floats()?.iter().all(|&by| by == 0.0) {
        return Ok(Chain::pass(id).into());
    }
    if let Some(chain) = merged(op, input, Some(&weight), &bias) {
        return Ok(viewed(chain, view));
    }
    Ok(viewed(Chain::of(vec![input], Scale, vec![("weight", weight), ("bias", bias)]), view))
}
