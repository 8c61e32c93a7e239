//! Parts of values and values beside each other: slices, splits, zeros around, concatenation.

use super::constant::{Constant, Int};
use super::draft::{Arg, Chain, Content, Outcome};
use super::fold::ranges;
use super::moving::{Range, axis};
use super::operator::Operator;
use super::shapes::of_units;
use super::wire::Reason;
use crate::layers::{Concat, Pad, PadUnits, Stride};
use crate::{Layer, Pair, Sides};

/// Slices of channels are a choice of units, slices of rows and columns a stride.
pub(super) fn slice(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let id = op.any_value(0)?;
    let dims = &op.draft.step(id).dims;
    // No file asks for parts of a batch of that size, but many for all up to the largest number.
    let batch = op.batch.and_then(|batch| usize::try_from(batch).ok()).unwrap_or(i32::MAX as usize);
    let whole: Vec<usize> = [&[batch], &dims[..]].concat();
    let parts: Vec<(usize, Range)> = ranges(op, &whole)?.into_iter().filter(|(a, r)| !r.is_all(whole[*a])).collect();
    if parts.iter().any(|part| part.0 == 0) {
        return Err("a part of the batch".into());
    }
    match parts[..] {
        [] => Ok(Chain::pass(id).into()),
        [(axis, range)] if axis == 1 || dims.len() != 3 => {
            of_units(op, id, axis - 1, |i| i.sliced(axis - 1, range, op.room))
        }
        _ if parts.iter().all(|part| part.0 > 1) => strided(op, &parts),
        _ => Err("a part of channels and of positions at once; export it as two slices".into()),
    }
}

/// Every so many rows and columns, up to the last ones.
fn strided(op: &Operator<'_>, parts: &[(usize, Range)]) -> Result<Outcome, Reason> {
    let (input, [_, h, w]) = op.image()?;
    let (mut start, mut step) = ([0, 0], [1, 1]);
    for &(axis, range) in parts {
        let (i, n) = (axis - 2, [h, w][axis - 2]);
        let most = usize::try_from(range.step).map_err(|_| "rows or columns backwards")?;
        // A single row says nothing of the step: any that goes beyond the end will do.
        (start[i], step[i]) = (range.start, if range.count == 1 { n.max(1) } else { most });
        if range.count == 0 || range.count != (n - range.start.min(n)).div_ceil(step[i]) {
            return Err(format!("{} of {n} rows or columns that do not reach to the end", range.count));
        }
    }
    let [start, step] = [start, step].map(|[h, w]| Pair { h, w });
    let (input, layer) = match op.draft.layer(input) {
        Some((Layer::Stride(first), &[of])) => (of, after(first, Stride { start, step })),
        _ => (input, Stride { start, step }),
    };
    Ok(Chain::plain(vec![input], layer).into())
}

/// One stride of another as one.
fn after(Stride { start: first, step: by }: &Stride, Stride { start, step }: Stride) -> Stride {
    let at = |first: usize, by: usize, start: usize| start.saturating_mul(by).saturating_add(first);
    let start = Pair { h: at(first.h, by.h, start.h), w: at(first.w, by.w, start.w) };
    Stride { start, step: Pair { h: by.h.saturating_mul(step.h), w: by.w.saturating_mul(step.w) } }
}

/// The parts of a Split, one for each output.
pub(super) fn split(op: &Operator<'_>) -> Result<Vec<Outcome>, Reason> {
    let id = op.any_value(0)?;
    let dims = &op.draft.step(id).dims;
    let along = axis(op.int("axis")?.unwrap_or(0), dims.len() + 1)?;
    let along = along.checked_sub(1).ok_or("parts of the batch")?;
    let sizes = match op.ints_at(1, "split")? {
        Some(sizes) => sizes,
        None => even(dims[along], op.int("num_outputs")?, op.outputs)?,
    };
    let mut start = 0i64;
    let mut part = |&size: &i64| {
        let end = start.checked_add(size).filter(|&end| size > 0 && end <= dims[along] as i64);
        let end = end.ok_or_else(|| format!("parts of {sizes:?} of {} units", dims[along]))?;
        let range = Range::new(start, end, 1, dims[along])?;
        start = end;
        of_units(op, id, along, |index| index.sliced(along, range, op.room))
    };
    let parts = sizes.iter().map(&mut part).collect::<Result<Vec<_>, _>>()?;
    if start == dims[along] as i64 { Ok(parts) } else { Err(format!("parts of {sizes:?} of {} units", dims[along])) }
}

/// Equal parts, the last one smaller where need be.
fn even(n: usize, said: Option<i64>, outputs: usize) -> Result<Vec<i64>, Reason> {
    let parts = said.unwrap_or(outputs as i64);
    let size = (n as i64 + parts - 1).checked_div(parts).filter(|&size| parts > 0 && parts <= n as i64 && size > 0);
    let size = size.ok_or_else(|| format!("{n} units in {parts} parts"))?;
    Ok((0..parts).map(|i| size.min(n as i64 - i * size)).collect())
}

pub(super) fn gather(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let id = op.any_value(0)?;
    let along = axis(op.int("axis")?.unwrap_or(0), op.draft.step(id).dims.len() + 1)?;
    let along = along.checked_sub(1).ok_or("a part of the batch")?;
    let wanted = op.stored(1, "indices")?;
    of_units(op, id, along, |index| index.gathered(along, wanted, op.room))
}

/// Zeros around an image, before and behind its channels, or before and behind features.
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

/// A gate of one number for each channel, repeated over an image's positions: left to the product that reads it.
pub(super) fn expand(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let id = op.any_value(0)?;
    let dims = &op.draft.step(id).dims;
    let shape = op.stored(1, "shape")?.as_ints()?;
    let (batch, rest) = shape.split_first().ok_or("no shape")?;
    let rest: Vec<usize> =
        rest.iter().map(|int| Ok(usize::try_from(int.known()?).unwrap_or(1))).collect::<Result<_, Reason>>()?;
    let to = super::arithmetic::broadcast(dims, &rest)?;
    let batch = *batch == Int::Known(1) || op.is_batch(*batch);
    match to == *dims {
        _ if !batch || rest.len() != dims.len() => Err("repeats examples".into()),
        true => Ok(Chain::pass(id).into()),
        false => Ok(Outcome::Other(Content::Expanded(id), to)),
    }
}
