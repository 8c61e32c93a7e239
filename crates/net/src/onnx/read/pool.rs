//! Pools: of windows, and of whole images.

use super::constant::Constant;
use super::draft::{Arg, Chain, Content, Outcome, ValueId};
use super::operator::Operator;
use super::wire::Reason;
use crate::layers::{AvgPool2d, GlobalPool, MaxPool2d, PoolKind};
use crate::{Layer, Pair, Sides};

/// MaxPool.
pub(super) fn max(op: &Operator<'_>) -> Result<Outcome, Reason> {
    windows(op, PoolKind::Max, |size, stride, padding, ceil| MaxPool2d { size, stride, padding, ceil }.into())
}

/// AveragePool.
pub(super) fn average(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let count_include_pad = op.flag("count_include_pad")?;
    let layer = |size, stride, padding, ceil| AvgPool2d { size, stride, padding, ceil, count_include_pad }.into();
    windows(op, PoolKind::Mean, layer)
}

/// What an operator that pools windows becomes: a layer, nothing where windows are single positions, or a pool of the
/// whole image.
fn windows(
    op: &Operator<'_>,
    kind: PoolKind,
    layer: impl FnOnce(Pair, Option<Pair>, Sides, bool) -> Layer,
) -> Result<Outcome, Reason> {
    let (input, [_, h, w]) = op.image()?;
    let size = op.pair("kernel_shape")?.ok_or("no kernel_shape")?;
    let stride = op.pair("strides")?.unwrap_or(Pair::ONE);
    let padding = op.padding((h, w), size, stride)?;
    let ceil = op.flag("ceil_mode")?;
    op.ignore(&["storage_order"]); // of an output of indices, which nothing may read
    if op.pair("dilations")?.is_some_and(|dilation| dilation != Pair::ONE) {
        return Err("windows with gaps (dilations)".into());
    }
    if size == Pair::ONE && stride == size && padding == Sides::default() {
        return Ok(Chain::pass(input).into()); // an adaptive pool to the size that the image has
    }
    if size == (Pair { h, w }) && padding == Sides::default() {
        return Ok(Chain::plain(vec![input], GlobalPool { kind, keep: true }).into());
    }
    let stride = (stride != size).then_some(stride);
    Ok(Chain::plain(vec![input], layer(size, stride, padding, ceil)).into())
}

/// GlobalAveragePool and GlobalMaxPool.
pub(super) fn global(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let kind = if op.kind == "GlobalMaxPool" { PoolKind::Max } else { PoolKind::Mean };
    Ok(Chain::plain(vec![op.image()?.0], GlobalPool { kind, keep: true }).into())
}

/// ReduceMean and ReduceMax over rows and columns, at once or one after the other.
pub(super) fn reduced(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let axes = match op.ints("axes")? {
        Some(axes) => axes.to_vec(),
        None => op.constant(1, "axes")?.map(Constant::known).transpose()?.unwrap_or_default(),
    };
    op.ignore(&["noop_with_empty_axes"]); // no axes are refused
    let keep = op.int("keepdims")?.unwrap_or(1) != 0;
    let kind = if op.kind == "ReduceMax" { PoolKind::Max } else { PoolKind::Mean };
    let id = op.any_value(0)?;
    let rank = op.draft.step(id).dims.len() as i64 + 1;
    let mut axes: Vec<i64> = axes.iter().map(|&axis| if axis < 0 { axis.saturating_add(rank) } else { axis }).collect();
    axes.sort_unstable();
    if let Some(image) = reduced_once(op, id) {
        return rest_of_image(op, (id, image), &axes, GlobalPool { kind, keep });
    }
    let (input, [c, h, w]) = op.image()?;
    let dims = match (&axes[..], keep) {
        ([2, 3], _) => return Ok(Chain::plain(vec![input], GlobalPool { kind, keep }).into()),
        ([2], true) => vec![c, 1, w],
        ([3], true) => vec![c, h, 1],
        ([2], false) => vec![c, w],
        ([3], false) => vec![c, h],
        _ => return Err(format!("axes {axes:?}, expected rows and columns, [2, 3]")),
    };
    Ok(Outcome::Other(Content::Loose("reduces rows or columns alone, expected both".into()), dims))
}

/// The image of which `id` has the rows or the columns reduced by the same operator.
fn reduced_once(op: &Operator<'_>, id: ValueId) -> Option<ValueId> {
    let step = op.draft.step(id);
    match (&step.content, step.args.first()) {
        (Content::Loose(_), Some(&Arg::Value(image))) if step.kind == op.kind => {
            (op.draft.step(image).dims.len() == 3 && op.draft.expect_layer(image).is_ok()).then_some(image)
        }
        _ => None,
    }
}

/// A pool of the whole image, of which `id` has one side already, where the other follows.
fn rest_of_image(
    op: &Operator<'_>,
    (id, image): (ValueId, ValueId),
    axes: &[i64],
    pool: GlobalPool,
) -> Result<Outcome, Reason> {
    let dims = &op.draft.step(id).dims[..];
    let is_whole = match (dims, axes) {
        (&[_, _], [2]) => !pool.keep,
        (&[_, 1, _], [3]) | (&[_, _, 1], [2]) => pool.keep,
        _ => false,
    };
    match is_whole {
        true => Ok(Chain::plain(vec![image], pool).into()),
        false => Err(format!(
            "axes {axes:?} of {dims:?}, which has one side of an image reduced; expected the other, and the same keepdims"
        )),
    }
}
