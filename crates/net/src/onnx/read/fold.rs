//! Operators of which all inputs are constants, or that ask for a shape: they are computed here and leave no layer.

use super::arithmetic::{binary, cast, range, reduced, unary};
use super::constant::{Constant, Data, Int};
use super::draft::Arg;
use super::moving::{Range, axes, axis};
use super::operator::Operator;
use super::problem::not_computed;
use super::quantised;
use super::wire::Reason;

/// The constant that an operator makes; `None` where it reads a value.
pub(super) fn fold(op: &Operator<'_>) -> Result<Option<Constant>, Reason> {
    if matches!(op.kind, "Shape" | "Size") {
        return shape(op).map(Some);
    }
    if op.args.iter().any(|arg| matches!(arg, Arg::Value(_) | Arg::Zeros(_))) {
        return Ok(None);
    }
    match op.kind {
        "Constant" => constant(op),
        "ConstantOfShape" => filled(op),
        "Identity" => op.stored(0, "input").cloned(),
        "Cast" => {
            op.ignore(&["saturate", "round_mode"]);
            cast(op.stored(0, "input")?, op.int("to")?.unwrap_or(0), op.room)
        }
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" | "Equal" => {
            let has_sign = op.int("fmod")?.unwrap_or(0) != 0;
            if has_sign && op.stored(0, "input")?.known().is_ok_and(|numbers| numbers.iter().any(|&x| x < 0)) {
                return Err("fmod = 1 of a number below 0, whose remainder has its sign".into());
            }
            binary(op.kind, op.stored(0, "input")?, op.stored(1, "second input")?, op.room)
        }
        "Min" | "Max" if op.args.len() == 2 => {
            binary(op.kind, op.stored(0, "input")?, op.stored(1, "second input")?, op.room)
        }
        "Neg" | "Abs" | "Floor" | "Ceil" | "Round" | "Sqrt" | "Reciprocal" | "Exp" | "Log" | "Not" => {
            unary(op.kind, op.stored(0, "input")?, op.room)
        }
        "Range" => {
            let at = |i, what| op.stored(i, what).and_then(Constant::known).and_then(|found| one(&found).copied());
            range(at(0, "start")?, at(1, "limit")?, at(2, "step")?, op.room)
        }
        "QuantizeLinear" => quantised::codes(op),
        "DequantizeLinear" => quantised::numbers(op),
        "Where" => chosen(op),
        "ReduceProd" => product(op),
        "ReduceL2" | "ReduceSum" | "ReduceSumSquare" | "ReduceMean" => reduction(op),
        _ => moved(op),
    }
    .map(Some)
}

/// Operators that move values and compute nothing.
fn moved(op: &Operator<'_>) -> Result<Constant, Reason> {
    let xs = match op.kind {
        "Concat" => return joined(op),
        "Gather" | "Unsqueeze" | "Squeeze" | "Slice" | "Transpose" | "Reshape" | "Flatten" | "Expand" => {
            op.stored(0, "input")?
        }
        _ => return Err(not_computed("constants")),
    };
    match op.kind {
        "Gather" => {
            let along = axis(op.int("axis")?.unwrap_or(0), xs.dims().len())?;
            xs.gathered(along, op.stored(1, "indices")?, op.room)
        }
        "Unsqueeze" => xs.reshaped(unsqueezed(xs.dims(), &op.ints_at(1, "axes")?.ok_or("no axes")?)?),
        "Squeeze" => xs.reshaped(squeezed(xs.dims(), op.ints_at(1, "axes")?.as_deref())?),
        "Slice" => {
            let ranges = ranges(op, xs.dims())?;
            ranges.into_iter().try_fold(xs.clone(), |xs, (axis, range)| xs.sliced(axis, range, op.room))
        }
        "Transpose" => xs.transposed(&permutation(op, xs.dims().len())?, op.room),
        "Flatten" => {
            let at = op.int("axis")?.unwrap_or(1);
            let at = if at == xs.dims().len() as i64 { xs.dims().len() } else { axis(at, xs.dims().len())? };
            let (rows, columns) = xs.dims().split_at(at);
            xs.reshaped(vec![rows.iter().product(), columns.iter().product()])
        }
        "Expand" => {
            let wanted = dims(op.stored(1, "shape")?)?;
            xs.expanded(&super::arithmetic::broadcast(xs.dims(), &wanted)?, op.room)
        }
        _ => xs.reshaped(reshaped(op, xs)?),
    }
}

fn one<T>(values: &[T]) -> Result<&T, Reason> {
    match values {
        [value] => Ok(value),
        _ => Err(format!("{} values where one is expected", values.len())),
    }
}

/// Dimensions that do not depend on the batch.
fn dims(shape: &Constant) -> Result<Vec<usize>, Reason> {
    let dim = |&dim: &i64| usize::try_from(dim).map_err(|_| format!("the negative dimension {dim}"));
    shape.known()?.iter().map(dim).collect()
}

fn shape(op: &Operator<'_>) -> Result<Constant, Reason> {
    let dims: Vec<Int> = match op.args.first() {
        Some(Arg::Constant(xs)) => xs.dims().iter().map(|&dim| Int::Known(dim as i64)).collect(),
        _ => {
            let dims = op.draft.step(op.any_value(0)?).dims.iter();
            std::iter::once(Int::Batch).chain(dims.map(|&dim| Int::Known(dim as i64))).collect()
        }
    };
    if op.kind == "Size" {
        let size = dims.iter().try_fold(1i64, |size, dim| size.checked_mul(dim.known().ok()?));
        return Constant::ints(Vec::new(), vec![size.map_or(Int::Unknown, Int::Known)]);
    }
    let (start, end) = (op.int("start")?.unwrap_or(0), op.int("end")?.unwrap_or(i64::MAX));
    let range = Range::new(start, end, 1, dims.len())?;
    let some = dims[range.start..range.start + range.count].to_vec();
    Constant::ints(vec![some.len()], some)
}

fn constant(op: &Operator<'_>) -> Result<Constant, Reason> {
    let known = |ints: &[i64]| ints.iter().map(|&int| Int::Known(int)).collect::<Vec<_>>();
    if let Some(tensor) = op.tensor("value")? {
        Ok(tensor)
    } else if let Some(value) = op.float("value_float")? {
        Constant::floats(Vec::new(), vec![value], "")
    } else if let Some(value) = op.int("value_int")? {
        Constant::ints(Vec::new(), known(&[value]))
    } else if let Some(values) = op.floats("value_floats")? {
        Constant::floats(vec![values.len()], values.to_vec(), "")
    } else if let Some(values) = op.ints("value_ints")? {
        Constant::ints(vec![values.len()], known(values))
    } else {
        Err("no number for a value".into())
    }
}

fn filled(op: &Operator<'_>) -> Result<Constant, Reason> {
    let dims = dims(op.stored(0, "shape")?)?;
    let value = match op.tensor("value")? {
        Some(value) => value,
        None => Constant::floats(vec![1], vec![0.0], "")?,
    };
    value.reshaped(Vec::new())?.expanded(&dims, op.room)
}

/// The shape of one example of zeros that are made for each of them, as for channels put beside others.
pub(super) fn zeros(op: &Operator<'_>) -> Result<Option<Vec<usize>>, Reason> {
    let (shape, zero) = match (op.kind, &op.args[..]) {
        ("ConstantOfShape", [Arg::Constant(shape)]) => (shape, op.tensor("value")?.map_or(Some(0.0), |v| v.scalar())),
        ("Expand", [Arg::Constant(value), Arg::Constant(shape)]) => (shape, value.scalar()),
        _ => return Ok(None),
    };
    if zero != Some(0.0) {
        return Ok(None);
    }
    match shape.as_ints()?.split_first() {
        Some((Int::Batch, rest)) => dims(&Constant::ints(vec![rest.len()], rest.to_vec())?).map(Some),
        _ => Ok(None),
    }
}

fn joined(op: &Operator<'_>) -> Result<Constant, Reason> {
    let parts = (0..op.args.len()).map(|i| op.stored(i, "input").cloned()).collect::<Result<Vec<_>, _>>()?;
    let rank = parts.first().map_or(0, |part| part.dims().len());
    Constant::concat(&parts, axis(op.int("axis")?.ok_or("no axis")?, rank)?, op.room)
}

/// Entries of one tensor where a condition holds, of another elsewhere.
fn chosen(op: &Operator<'_>) -> Result<Constant, Reason> {
    let [condition, a, b] = [0, 1, 2].map(|i| op.stored(i, "input"));
    let (condition, a, b) = (condition?, a?, b?);
    let dims = super::arithmetic::broadcast(condition.dims(), &super::arithmetic::broadcast(a.dims(), b.dims())?)?;
    let spread = |xs: &Constant| xs.expanded(&dims, op.room);
    let both = Constant::concat(
        &[spread(a)?, spread(b)?].map(|xs| xs.reshaped(vec![xs.len()])).into_iter().collect::<Result<Vec<_>, _>>()?,
        0,
        op.room,
    )?;
    let n = both.len() / 2;
    let wanted = spread(condition)?.known()?;
    both.picked(dims, wanted.into_iter().enumerate().map(|(i, of_a)| if of_a != 0 { i } else { n + i }))
}

fn product(op: &Operator<'_>) -> Result<Constant, Reason> {
    let xs = op.stored(0, "input")?;
    let axes = op.ints_at(1, "axes")?.filter(|found| !found.is_empty());
    // Both are asked for first: what nobody asked for is taken for an attribute that is not understood.
    let noop = op.int("noop_with_empty_axes")?.unwrap_or(0) != 0;
    let keeps = op.int("keepdims")?.unwrap_or(1) != 0;
    if axes.is_none() && noop {
        return Ok(xs.clone());
    }
    if axes.is_some() && xs.dims().len() != 1 {
        return Err("a product over some axes".into());
    }
    let product = xs.known()?.into_iter().try_fold(1i64, i64::checked_mul).ok_or("a product beyond 2^63")?;
    let dims = if keeps { vec![1; xs.dims().len()] } else { Vec::new() };
    Constant::new(dims, Data::Ints(vec![Int::Known(product)]), "")
}

/// A sum of some kind over axes of floats, as of norms of weights.
fn reduction(op: &Operator<'_>) -> Result<Constant, Reason> {
    let xs = op.stored(0, "input")?;
    let along = op.ints_at(1, "axes")?.filter(|found| !found.is_empty());
    let noop = op.flag("noop_with_empty_axes")?;
    let keeps = op.int("keepdims")?.unwrap_or(1) != 0;
    let along = match along {
        Some(along) => axes(&along, xs.dims().len())?,
        None if noop => return Err("no axes to reduce".into()),
        None => (0..xs.dims().len()).collect(),
    };
    let sums = reduced(op.kind, xs, &along, op.room)?;
    let left = (0..sums.dims().len()).filter(|axis| keeps || !along.contains(axis));
    let dims = left.map(|axis| sums.dims()[axis]).collect();
    sums.reshaped(dims)
}

/// Dimensions with ones put in, at places of the result.
pub(super) fn unsqueezed(dims: &[usize], at: &[i64]) -> Result<Vec<usize>, Reason> {
    let rank = dims.len() + at.len();
    let ones = axes(at, rank)?;
    let mut rest = dims.iter();
    Ok((0..rank).map(|i| if ones.contains(&i) { 1 } else { rest.next().copied().unwrap_or(1) }).collect())
}

/// Dimensions without some that are 1, or without all such.
pub(super) fn squeezed(dims: &[usize], at: Option<&[i64]>) -> Result<Vec<usize>, Reason> {
    let gone = match at {
        Some(at) => axes(at, dims.len())?,
        None => (0..dims.len()).filter(|&i| dims[i] == 1).collect(),
    };
    match gone.iter().find(|&&i| dims[i] != 1) {
        Some(&i) => Err(format!("to leave out dimension {i} of {dims:?}, which is not 1")),
        None => Ok((0..dims.len()).filter(|i| !gone.contains(i)).map(|i| dims[i]).collect()),
    }
}

/// The order of the axes that a Transpose asks for: backwards where it does not say.
pub(super) fn permutation(op: &Operator<'_>, rank: usize) -> Result<Vec<usize>, Reason> {
    let Some(perm) = op.ints("perm")? else { return Ok((0..rank).rev().collect()) };
    axes(perm, rank)?;
    match perm.len() == rank {
        true => perm.iter().map(|&a| axis(a, rank)).collect(),
        false => Err(format!("the order {perm:?} for {rank} axes")),
    }
}

/// The part of each axis that a Slice of a tensor of `dims` takes.
pub(super) fn ranges(op: &Operator<'_>, dims: &[usize]) -> Result<Vec<(usize, Range)>, Reason> {
    let starts = op.ints_at(1, "starts")?.ok_or("no starts")?;
    let ends = op.ints_at(2, "ends")?.ok_or("no ends")?;
    let along = op.ints_at(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = op.constant(4, "steps")?.map(Constant::known).transpose()?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), along.len(), steps.len()].iter().any(|&n| n != starts.len()) {
        return Err(format!("{} starts, {} ends, {} axes", starts.len(), ends.len(), along.len()));
    }
    axes(&along, dims.len())?;
    let range = |i: usize| {
        let axis = axis(along[i], dims.len())?;
        Ok((axis, Range::new(starts[i], ends[i], steps[i], dims[axis])?))
    };
    (0..starts.len()).map(range).collect()
}

/// The dimensions that a Reshape gives to a constant.
fn reshaped(op: &Operator<'_>, xs: &Constant) -> Result<Vec<usize>, Reason> {
    let target = op.stored(1, "shape")?.known()?;
    let keep_zero = op.flag("allowzero")?;
    let given = |(i, &dim): (usize, &i64)| match dim {
        0 if !keep_zero => xs.dims().get(i).copied().ok_or_else(|| format!("to keep dimension {i}, which it lacks")),
        -1 => Ok(1),
        _ => usize::try_from(dim).map_err(|_| format!("the negative dimension {dim}")),
    };
    let mut dims = target.iter().enumerate().map(given).collect::<Result<Vec<_>, _>>()?;
    let open: Vec<usize> = (0..dims.len()).filter(|&i| target[i] == -1).collect();
    match open[..] {
        [] => {}
        [i] => dims[i] = xs.len().checked_div(super::constant::size(&dims)?).unwrap_or(0),
        _ => return Err(format!("two open dimensions in {target:?}")),
    }
    Ok(dims)
}
