//! Operators that move numbers: flattenings, reshapes and permutations.
//!
//! What a value's numbers become on the way is followed as an index: of its units where their positions stay together,
//! of all its numbers else. Once the index has the shape of units again it is a layer.

use super::constant::{Constant, Int, size};
use super::draft::{Chain, Content, Moved, Outcome, ValueId};
use super::fold::{permutation, squeezed, unsqueezed};
use super::operator::Operator;
use super::wire::Reason;
use crate::Layer;
use crate::layers::{Flatten, GlobalPool, Take};

/// How the numbers of a value lie in the output of a layer.
fn arrangement(op: &Operator<'_>, id: ValueId) -> Result<Moved, Reason> {
    let step = op.draft.step(id);
    if let Content::Moved(moved) = &step.content {
        return Ok(moved.clone());
    }
    op.draft.expect_layer(id)?;
    if let Some((Layer::Take(Take { units }), &[of])) = op.draft.layer(id) {
        let units = units.iter().map(|&unit| Int::Known(unit.into())).collect();
        return Ok(Moved { of, index: Constant::ints(vec![step.dims[0]], units)?, whole: false });
    }
    Ok(Moved { of: id, index: Constant::counting(step.dims[0], op.room)?, whole: false })
}

/// The positions of the units of a layer's output, (h, w) or none.
fn positions<'a>(op: &Operator<'a>, id: ValueId) -> &'a [usize] {
    &op.draft.step(id).dims[1..]
}

/// The index of units as one of numbers.
fn of_numbers(op: &Operator<'_>, moved: Moved) -> Result<Moved, Reason> {
    if moved.whole {
        return Ok(moved);
    }
    let positions = positions(op, moved.of);
    let n = size(positions)?;
    let dims = [moved.index.dims(), positions].concat();
    op.room.take(&dims)?;
    let units = moved.index.known()?;
    let numbers =
        units.iter().flat_map(|unit| (0..n as i64).map(move |position| Int::Known(unit * n as i64 + position)));
    Ok(Moved { index: Constant::ints(dims, numbers.collect())?, whole: true, ..moved })
}

/// A layer where an index is one of units or features again.
fn settled(op: &Operator<'_>, moved: Moved) -> Result<Outcome, Reason> {
    let (input, index) = (moved.of, &moved.index);
    let (of, positions) = (&op.draft.step(input).dims, positions(op, input));
    let dims = if moved.whole { index.dims().to_vec() } else { [index.dims(), positions].concat() };
    let there = index.is_counting() && index.len() == if moved.whole { size(of)? } else { of[0] };
    if there && dims == *of {
        return Ok(Chain::pass(input).into());
    }
    let flat = dims.len() == 1 && of.len() > 1;
    if index.dims().len() != 1 || (moved.whole && !flat) {
        return Ok(Outcome::Other(Content::Moved(moved), dims));
    }
    let units = index.known()?.into_iter().map(|unit| unit as u32).collect();
    let take = Take { units };
    Ok(match (flat, there) {
        (true, true) => flattened(op, input),
        (true, false) => flattened(op, input).then(take),
        (false, _) => Chain::plain(vec![input], take),
    }
    .into())
}

/// A flattening; one of an image of one position that a pool kept is none.
fn flattened(op: &Operator<'_>, input: ValueId) -> Chain {
    match op.draft.layer(input) {
        Some((&Layer::GlobalPool(GlobalPool { kind, keep: true }), from)) => {
            Chain::plain(from.to_vec(), GlobalPool { kind, keep: false })
        }
        _ => Chain::plain(vec![input], Flatten),
    }
}

/// Gives the numbers of one example other dimensions, in their order.
fn regrouped(op: &Operator<'_>, id: ValueId, dims: Vec<usize>) -> Result<Outcome, Reason> {
    let step = op.draft.step(id);
    if dims.contains(&0) || size(&dims)? != size(&step.dims)? {
        return Err(format!("{:?} made {dims:?} for one example, which has another number of values", step.dims));
    }
    if dims == step.dims {
        return Ok(Chain::pass(id).into());
    }
    if let Content::Ended(ended) = step.content {
        return Ok(Outcome::Other(Content::Ended(ended), dims));
    }
    if dims.len() == 1 && op.draft.expect_layer(id).is_ok() {
        return Ok(flattened(op, id).into());
    }
    let moved = arrangement(op, id)?;
    let positions = positions(op, moved.of);
    // A single feature may be left without a dimension.
    let is_lead = |lead: usize| (lead > 0 || positions.is_empty()) && dims[lead..] == *positions;
    let lead = dims.len().checked_sub(positions.len()).filter(|&lead| is_lead(lead));
    let (moved, target) = match lead {
        Some(lead) if !moved.whole => (moved, dims[..lead].to_vec()),
        _ => (of_numbers(op, moved)?, dims),
    };
    let index = moved.index.reshaped(target)?;
    settled(op, Moved { index, ..moved })
}

/// Reshape, Flatten, Squeeze and Unsqueeze, each of which must leave the batch alone.
pub(super) fn reshape(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let id = op.any_value(0)?;
    let dims = &op.draft.step(id).dims;
    let whole = [&[1], &dims[..]].concat(); // as if of one example
    let target = match op.kind {
        "Reshape" => target(op, dims)?,
        "Flatten" => match op.int("axis")?.unwrap_or(1) {
            axis if axis == 1 || axis == 1 - whole.len() as i64 => vec![size(dims)?],
            axis => return Err(format!("a flattening from axis {axis} on, expected 1")),
        },
        "Unsqueeze" => batched(unsqueezed(&whole, &op.ints_at(1, "axes")?.ok_or("no axes")?)?, op, &whole)?,
        _ => match op.ints_at(1, "axes")? {
            Some(axes) if axes.iter().any(|&axis| axis == 0 || axis == -(whole.len() as i64)) => {
                return Err("a batch that is left out; export it with the batch open".into());
            }
            Some(axes) => squeezed(&whole, Some(&axes))?[1..].to_vec(),
            None if op.batch == Some(1) => return Err("a batch that is left out; export it with the batch open".into()),
            None => squeezed(dims, None)?,
        },
    };
    regrouped(op, id, target)
}

/// Dimensions of one example behind the batch.
fn batched(dims: Vec<usize>, op: &Operator<'_>, before: &[usize]) -> Result<Vec<usize>, Reason> {
    let new_first =
        op.ints_at(1, "axes")?.unwrap_or_default().iter().any(|&axis| axis == 0 || axis == -(dims.len() as i64));
    if new_first { Err(format!("an axis before the batch of {before:?}")) } else { Ok(dims[1..].to_vec()) }
}

/// The shape that a Reshape gives to one example of `dims`.
fn target(op: &Operator<'_>, dims: &[usize]) -> Result<Vec<usize>, Reason> {
    let shape = op.stored(1, "shape")?.as_ints()?;
    let keep_zero = op.flag("allowzero")?;
    let (first, rest) = shape.split_first().ok_or("a shape without a batch")?;
    let size = size(dims)?;
    let kept = |i: usize| dims.get(i).copied().ok_or_else(|| format!("to keep dimension {}, which it lacks", i + 1));
    let given = |(i, int): (usize, &Int)| match *int {
        Int::Known(0) if !keep_zero => kept(i).map(Some),
        Int::Known(-1) => Ok(None),
        int => usize::try_from(int.known()?).map(Some).map_err(|_| format!("the shape {shape:?}")),
    };
    let found = rest.iter().enumerate().map(given).collect::<Result<Vec<_>, Reason>>()?;
    let known = super::constant::size(&found.iter().flatten().copied().collect::<Vec<_>>())?;
    let open = found.iter().filter(|dim| dim.is_none()).count();
    let batch = match *first {
        Int::Known(0) => !keep_zero,
        Int::Known(-1) => open == 0 && known == size,
        first => op.is_batch(first),
    };
    if !batch || open > 1 {
        let shape: Vec<String> = shape.iter().map(written).collect();
        return Err(format!("a shape [{}] for ({dims:?}) that does not leave the batch alone", shape.join(", ")));
    }
    let left = size.checked_div(known).unwrap_or(0);
    Ok(found.into_iter().map(|dim| dim.unwrap_or(left)).collect())
}

fn written(int: &Int) -> String {
    match int {
        Int::Known(value) => value.to_string(),
        Int::Batch => "batch".into(),
        Int::Unknown => "?".into(),
    }
}

pub(super) fn transpose(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let id = op.any_value(0)?;
    let rank = op.draft.step(id).dims.len() + 1;
    let perm = permutation(op, rank)?;
    if perm[0] != 0 {
        return Err(format!("the order {perm:?} of axes, which moves the batch"));
    }
    let perm: Vec<usize> = perm[1..].iter().map(|axis| axis - 1).collect();
    let moved = arrangement(op, id)?;
    let lead = (rank - 1).saturating_sub(positions(op, moved.of).len());
    let stays = perm[lead.min(perm.len())..].iter().zip(lead..).all(|(&axis, at)| axis == at);
    let moved = if moved.whole || !stays { of_numbers(op, moved)? } else { moved };
    let perm = if moved.whole { &perm[..] } else { &perm[..lead] };
    let index = moved.index.transposed(perm, op.room)?;
    settled(op, Moved { index, ..moved })
}

/// A part of the units, by a change of their index.
pub(super) fn of_units(
    op: &Operator<'_>,
    id: ValueId,
    axis: usize,
    change: impl FnOnce(&Constant) -> Result<Constant, Reason>,
) -> Result<Outcome, Reason> {
    let moved = arrangement(op, id)?;
    if axis >= moved.index.dims().len() {
        return Err("a part of the rows or columns".into());
    }
    let index = change(&moved.index)?;
    if index.len() == 0 {
        return Err("nothing of its input".into());
    }
    settled(op, Moved { index, ..moved })
}
