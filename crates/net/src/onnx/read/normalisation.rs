//! Normalisations: over a batch, with statistics that are stored, and over the units of each example.

use super::draft::{Chain, Content, Ended, Outcome, ValueId};
use super::operator::Operator;
use super::wire::Reason;
use crate::ClosedChannels;
use crate::layers::{BatchNorm, Softmax};

/// Also as exported for training: what a network computes in evaluation is meant.
pub(super) fn batch_norm(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (input, dims) = op.layered(0)?;
    op.ignore(&["training_mode", "spatial"]);
    let leaves = ["weight", "bias", "running_mean", "running_var"];
    let value = |(&leaf, i): (&&'static str, usize)| {
        let value = op.stored(i, leaf)?;
        match value.dims() == [dims[0]] {
            true => Ok((leaf, value.clone())),
            false => Err(format!("a {leaf} of shape {:?}, expected [{}]", value.dims(), dims[0])),
        }
    };
    let values = leaves.iter().zip(1..).map(value).collect::<Result<Vec<_>, Reason>>()?;
    let eps = op.float("epsilon")?.unwrap_or(1e-5);
    let layer = BatchNorm {
        eps: decimal_of(eps),
        momentum: newest_share(op.float("momentum")?.unwrap_or(0.9)),
        closed: ClosedChannels::Constant,
    };
    Ok(Chain::of(vec![input], layer, values).into())
}

/// Shares of the newest batch with which running statistics are learned.
const SHARES: std::ops::RangeInclusive<f64> = 0.001..=0.5;

/// The share of the newest batch in running statistics, where ONNX has that of the past. Some files have 1 for that (of
/// PyTorch's `momentum=None`, and of old exporters), with which nothing would be learned in fine-tuning: what is no
/// useful share becomes 0.1, the usual one. The outputs in evaluation do not depend on it.
fn newest_share(past: f32) -> f64 {
    let share = f64::from(((1.0 - past) * 1e7).round()) / 1e7; // 0.1 rather than 0.100000024
    if SHARES.contains(&share) { share } else { 0.1 }
}

/// The shortest decimal that is this f32: 0.001 rather than 0.0010000000474974513.
fn decimal_of(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Over the units.
pub(super) fn softmax(op: &Operator<'_>) -> Result<Outcome, Reason> {
    Ok(Chain::plain(vec![softmax_of(op)?.0], Softmax).into())
}

/// The logarithms of a softmax, at the end of a network: the loss is taken of what comes before, and as it is, for these
/// have the same softmax.
pub(super) fn log_softmax(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (of, dims) = softmax_of(op)?;
    Ok(Outcome::Other(Content::Ended(Ended { of, log_softmax: true, arg_max: false }), dims.to_vec()))
}

/// The number of the largest unit, at the end of a network.
pub(super) fn arg_max(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let id = op.any_value(0)?;
    let dims = &op.draft.step(id).dims;
    let ended = match op.draft.step(id).content {
        Content::Ended(ended) if !ended.arg_max && *dims == op.draft.step(ended.of).dims => {
            Ended { arg_max: true, ..ended }
        }
        _ => Ended { of: op.layered(0)?.0, log_softmax: false, arg_max: true },
    };
    let (axis, rank) = (op.int("axis")?.unwrap_or(0), dims.len() as i64 + 1);
    if op.flag("select_last_index")? {
        return Err("select_last_index 1, expected 0: the first of the largest".into());
    }
    if ![1, 1 - rank].contains(&axis) {
        return Err(format!("axis {axis} of {rank} dimensions, expected the channels"));
    }
    let keeps = op.int("keepdims")?.unwrap_or(1) != 0;
    let dims = if keeps { [&[1], &dims[1..]].concat() } else { dims[1..].to_vec() };
    Ok(Outcome::Other(Content::Ended(ended), dims))
}

/// What a softmax over the units is taken of, and its shape: until opset 13 it is one over everything from the axis on.
fn softmax_of<'a>(op: &Operator<'a>) -> Result<(ValueId, &'a [usize]), Reason> {
    let (input, dims) = op.layered(0)?;
    let rank = dims.len() as i64 + 1;
    let axis = op.int("axis")?.unwrap_or(if op.opset < 13 { 1 } else { -1 });
    let over_units = axis == 1 || axis == 1 - rank;
    let alone = op.opset >= 13 || dims[1..].iter().all(|&dim| dim == 1);
    match over_units && alone {
        true => Ok((input, dims)),
        false => Err(format!("axis {axis} of {rank} dimensions, expected the channels")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_newest_batch_that_learns_nothing_or_forgets_all_is_the_usual_one() {
        for (past, share) in [(0.9, 0.1), (0.99, 0.01), (0.5, 0.5), (1.0, 0.1), (0.0, 0.1), (f32::NAN, 0.1)] {
            assert_eq!(newest_share(past), share, "{past}");
        }
    }
}
