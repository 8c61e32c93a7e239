//! Parts of values: slices, splits, choices of units.

use super::constant::Int;
use super::draft::{Chain, Content, Outcome};
use super::fold::ranges;
use super::moving::{Range, axis};
use super::operator::Operator;
use super::shapes::of_units;
use super::wire::Reason;
use crate::layers::Stride;
use crate::{Layer, Pair};

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
    if parts < 1 || parts > n as i64 {
        return Err(format!("{n} units in {parts} parts"));
    }
    let size = (n as i64 + parts - 1) / parts;
    Ok((0..parts).map(|i| size.min(n as i64 - i * size)).collect())
}

pub(super) fn gather(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let id = op.any_value(0)?;
    let along = axis(op.int("axis")?.unwrap_or(0), op.draft.step(id).dims.len() + 1)?;
    let along = along.checked_sub(1).ok_or("a part of the batch")?;
    let wanted = op.stored(1, "indices")?;
    of_units(op, id, along, |index| index.gathered(along, wanted, op.room))
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
