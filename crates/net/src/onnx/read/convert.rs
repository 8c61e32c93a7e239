//! Which operator becomes which layer. What is one operator the layer reads itself; what takes looking at several is here.

use super::draft::Outcome;
use super::operator::Operator;
use super::wire::Reason;
use super::{activation, elementwise, parts, quantised, shapes};
use crate::Activation;
use crate::layers::{
    AvgPool2d, BatchNorm, Concat, Conv2d, ConvTranspose2d, GlobalPool, Linear, MaxPool2d, PRelu, Pad, Softmax, Upsample,
};

/// What becomes of operators that only a pattern of several understands.
const LOOSE: [&str; 2] = ["Erf", "Pow"];

/// What an operator makes of its inputs, one outcome for each output that is understood.
pub(super) fn convert(op: &Operator<'_>) -> Result<Vec<Outcome>, Reason> {
    let outcomes = match op.kind {
        "Split" => parts::split(op)?,
        _ => vec![single(op)?],
    };
    op.all_asked()?;
    Ok(outcomes)
}

fn single(op: &Operator<'_>) -> Result<Outcome, Reason> {
    if let Some(function) = Activation::read(op)? {
        return activation::by_number(op, op.any_value(0)?, function);
    }
    match op.kind {
        "Conv" => Conv2d::read(op),
        "ConvTranspose" => ConvTranspose2d::read(op),
        "Gemm" => Linear::read_gemm(op),
        "MatMul" => Linear::read_matmul(op),
        "BatchNormalization" => BatchNorm::read(op),
        "PRelu" => PRelu::read(op),
        "Softmax" => Softmax::read(op),
        "MaxPool" => MaxPool2d::read(op),
        "AveragePool" => AvgPool2d::read(op),
        "GlobalAveragePool" | "GlobalMaxPool" => GlobalPool::read(op),
        "ReduceMean" | "ReduceMax" => GlobalPool::read_reduce(op),
        "Concat" => Concat::read(op),
        "Pad" => Pad::read(op),
        "Resize" | "Upsample" => Upsample::read(op),
        "Add" | "Sub" | "Mul" | "Div" | "Neg" | "Sum" => elementwise::elementwise(op),
        "Clip" => activation::clip(op),
        "Max" | "Min" => activation::extreme(op),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => shapes::reshape(op),
        "Transpose" => shapes::transpose(op),
        "Slice" => parts::slice(op),
        "Gather" => parts::gather(op),
        "Expand" => parts::expand(op),
        "Identity" | "Dropout" => same(op),
        "Cast" => cast(op),
        "QuantizeLinear" => quantised::quantise(op),
        "DequantizeLinear" => quantised::dequantise(op),
        kind if LOOSE.contains(&kind) => loose(op),
        _ => Err(unknown(op.kind)),
    }
}

fn same(op: &Operator<'_>) -> Result<Outcome, Reason> {
    op.ignore(&["ratio", "seed"]);
    Ok(super::draft::Chain::pass(op.any_value(0)?).into())
}

/// Floating point of another width is read as f32.
fn cast(op: &Operator<'_>) -> Result<Outcome, Reason> {
    op.ignore(&["saturate", "round_mode"]);
    let to = op.int("to")?.unwrap_or(0);
    match super::constant::is_float(to) {
        true => same(op),
        false => Err(format!("numbers made {}, expected floats", super::constant::kind_name(to))),
    }
}

fn loose(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let dims = op.draft.step(op.any_value(0)?).dims.clone();
    Ok(Outcome::Other(super::draft::Content::Loose("is a function that is no layer".into()), dims))
}

fn unknown(kind: &str) -> Reason {
    let advice = match kind {
        "LogSoftmax" => "; export the network without it: the classes' order is the same, and the loss takes logits",
        "ArgMax" => "; export the network without it, up to the values that it compares",
        "DynamicQuantizeLinear" | "QLinearConv" | "QLinearMatMul" | "ConvInteger" | "MatMulInteger" => {
            "; export the network quantised by QuantizeLinear and DequantizeLinear alone (QDQ), or before it is quantised"
        }
        "If" | "Loop" | "Scan" => "; export the network with its shapes fixed",
        _ => "",
    };
    format!("no layer does this{advice}")
}
