//! Which operator becomes which layer.

use super::draft::{Chain, Content, Ended, Outcome};
use super::operator::Operator;
use super::problem::of_operator;
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
        "Selu" | "Celu" => activation::scaled_elu(op),
        "Softmax" => normalisation::softmax(op),
        "LogSoftmax" => normalisation::log_softmax(op),
        "ArgMax" => normalisation::arg_max(op),
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
        kind => Err(format!("no layer does this{}", of_operator(kind))),
    }
}

fn same(op: &Operator<'_>) -> Result<Outcome, Reason> {
    op.ignore(&["ratio", "seed"]);
    Ok(Chain::pass(op.any_value(0)?).into())
}

/// Floating point of another width is read as f32.
fn cast(op: &Operator<'_>) -> Result<Outcome, Reason> {
    op.ignore(&["saturate", "round_mode"]);
    let (to, of) = (op.int("to")?.unwrap_or(0), &op.draft.step(op.any_value(0)?).content);
    let counts = matches!(of, Content::Ended(Ended { arg_max: true, .. }));
    const INT64: i64 = 7; // which numbers of classes are
    match super::constant::is_float(to) {
        _ if counts && to == INT64 => same(op),
        true if counts => Err("numbers of classes made floats; export the network without it".into()),
        true => same(op),
        false if counts => {
            let made = super::constant::kind_name(to);
            Err(format!("numbers of classes made {made}, expected INT64; export the network without it"))
        }
        false => Err(format!("numbers made {}, expected floats", super::constant::kind_name(to))),
    }
}

fn loose(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let dims = op.draft.step(op.any_value(0)?).dims.clone();
    Ok(Outcome::Other(Content::Loose("is a function that is no layer".into()), dims))
}
