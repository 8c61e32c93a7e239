//! Which operator becomes which layer.

use super::draft::Outcome;
use super::operator::Operator;
use super::wire::Reason;
use super::{
    activation, convolution, elementwise, matrix, normalisation, padding, parts, pool, quantised, resize, shapes,
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
    if let Some(function) = activation::named(op)? {
        return activation::by_number(op, op.any_value(0)?, function);
    }
    match op.kind {
        "Conv" => convolution::conv(op),
        "ConvTranspose" => convolution::conv_transpose(op),
        "Gemm" => matrix::gemm(op),
        "MatMul" => matrix::matmul(op),
        "BatchNormalization" => normalisation::batch_norm(op),
        "PRelu" => activation::prelu(op),
        "Softmax" => normalisation::softmax(op),
        "MaxPool" => pool::max(op),
        "AveragePool" => pool::average(op),
        "GlobalAveragePool" | "GlobalMaxPool" => pool::global(op),
        "ReduceMean" | "ReduceMax" => pool::reduced(op),
        "Concat" => padding::concat(op),
        "Pad" => padding::pad(op),
        "Resize" | "Upsample" => resize::resize(op),
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
        "LayerNormalization" | "GroupNormalization" | "InstanceNormalization" | "LpNormalization" | "LRN" => {
            "; of normalisations, that over the batch (BatchNormalization) is understood alone"
        }
        "LSTM" | "GRU" | "RNN" | "Attention" | "MultiHeadAttention" => {
            "; networks of convolutions and linear layers are understood, not recurrent ones or transformers"
        }
        "If" | "Loop" | "Scan" => "; export the network with its shapes fixed",
        _ => "",
    };
    format!("no layer does this{advice}")
}
