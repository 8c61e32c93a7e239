//! Pools: of windows, and of whole images.

use super::constant::Constant;
use super::draft::{Chain, Outcome};
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

/// ReduceMean and ReduceMax over rows and columns.
pub(super) fn reduced(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let axes = match op.ints("axes")? {
        Some(axes) => axes.to_vec(),
        None => op.constant(1, "axes")?.map(Constant::known).transpose()?.unwrap_or_default(),
    };
    op.ignore(&["noop_with_empty_axes"]); // no axes are refused
    let (input, _) = op.image()?;
    let mut axes: Vec<i64> = axes.iter().map(|&axis| if axis < 0 { axis.saturating_add(4) } else { axis }).collect();
    axes.sort_unstable();
    if axes != [2, 3] {
        return Err(format!("axes {axes:?}, expected rows and columns, [2, 3]"));
    }
    let kind = if op.kind == "ReduceMax" { PoolKind::Max } else { PoolKind::Mean };
    let keep = op.int("keepdims")?.unwrap_or(1) != 0;
    Ok(Chain::plain(vec![input], GlobalPool { kind, keep }).into())
}
