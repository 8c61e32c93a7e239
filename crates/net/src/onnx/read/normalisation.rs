//! Normalisations: over a batch, with statistics that are stored, and over the units of each example.

use super::draft::{Chain, Outcome};
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
    let momentum = 1.0 - op.float("momentum")?.unwrap_or(0.9); // of the newest batch, where ONNX has that of the past
    let decimal = |value: f32| f64::from((value * 1e7).round()) / 1e7; // 0.1 rather than 0.100000024
    let layer = BatchNorm {
        eps: decimal_of(eps),
        momentum: decimal(momentum).clamp(0.0, 1.0),
        closed: ClosedChannels::Constant,
    };
    Ok(Chain::of(vec![input], layer, values).into())
}

/// The shortest decimal that is this f32: 0.001 rather than 0.0010000000474974513.
fn decimal_of(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Over the units: until opset 13 over everything from the axis on.
pub(super) fn softmax(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (input, dims) = op.layered(0)?;
    let rank = dims.len() as i64 + 1;
    let axis = op.int("axis")?.unwrap_or(if op.opset < 13 { 1 } else { -1 });
    let over_units = axis == 1 || axis == 1 - rank;
    let alone = op.opset >= 13 || dims[1..].iter().all(|&dim| dim == 1);
    match over_units && alone {
        true => Ok(Chain::plain(vec![input], Softmax).into()),
        false => Err(format!("axis {axis} of {rank} dimensions, expected the channels")),
    }
}
