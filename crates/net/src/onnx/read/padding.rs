//! Zero padding of values, and values one after another.

use super::constant::Constant;
use super::draft::{Arg, Chain, Outcome};
use super::moving::axis;
use super::operator::Operator;
use super::wire::Reason;
use crate::Sides;
use crate::layers::{Concat, Pad, PadUnits};

/// Zero padding of an image, before and behind its channels, or before and behind features.
pub(super) fn pad(op: &Operator<'_>) -> Result<Outcome, Reason> {
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

/// Zeros before and after along each axis.
fn padded(input: usize, before: &[usize], after: &[usize]) -> Result<Outcome, Reason> {
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

/// Values along their units; zeros beside one value are zeros around it.
pub(super) fn concat(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let values: Vec<usize> = (0..op.args.len()).filter(|&i| op.value(i).is_some()).collect();
    let &first = values.first().ok_or("no inputs that are computed")?;
    let (input, dims) = op.layered(first)?;
    match axis(op.int("axis")?.ok_or("no axis")?, dims.len() + 1)? {
        1 => {}
        other => return Err(format!("inputs one after another along axis {other}, expected the channels")),
    }
    if values.len() == 1 {
        let units = |mut at: std::ops::Range<usize>| {
            at.try_fold(0usize, |sum, i| Ok::<_, Reason>(sum.saturating_add(empty(op, i, dims)?)))
        };
        let (before, after) = (units(0..first)?, units(first + 1..op.args.len())?);
        return padded(input, &[0, before], &[0, after]);
    }
    let inputs = (0..op.args.len()).map(|i| Ok(op.layered(i)?.0)).collect::<Result<Vec<_>, Reason>>()?;
    Ok(Chain::plain(inputs, Concat).into())
}

/// How many units of zeros input `i` puts beside a value of shape `dims`.
fn empty(op: &Operator<'_>, i: usize, dims: &[usize]) -> Result<usize, Reason> {
    let found = match &op.args[i] {
        Arg::Zeros(found) => Some(found.clone()),
        Arg::Constant(xs) if xs.as_floats()?.iter().all(|&x| x == 0.0) => match xs.dims().split_first() {
            Some((&batch, rest)) if op.batch == Some(batch as i64) => Some(rest.to_vec()),
            _ => None,
        },
        _ => None,
    };
    match found.as_deref() {
        Some([units, rest @ ..]) if *rest == dims[1..] => Ok(*units),
        _ => Err(format!("constants beside {dims:?} that are not zeros of its shape")),
    }
}
