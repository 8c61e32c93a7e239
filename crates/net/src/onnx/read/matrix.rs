//! Products with stored matrices: linear layers.

use super::constant::Constant;
use super::draft::{Chain, Outcome};
use super::operator::Operator;
use super::wire::Reason;
use crate::layers::Linear;

/// `alpha A B + beta C`, either matrix transposed.
pub(super) fn gemm(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (alpha, beta) = (op.float("alpha")?.unwrap_or(1.0), op.float("beta")?.unwrap_or(1.0));
    if op.flag("transA")? {
        return Err("a transposed batch (transA)".into());
    }
    let weight = scaled(op.stored(1, "weight")?, alpha)?;
    let weight = if op.flag("transB")? { weight } else { transposed(op, &weight)? };
    let bias = op.constant(2, "bias")?.map(|bias| scaled(bias, beta)).transpose()?;
    linear(op, weight, bias)
}

/// A product with a stored matrix.
pub(super) fn matmul(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let weight = transposed(op, op.stored(1, "weight")?)?;
    linear(op, weight, None)
}

fn linear(op: &Operator<'_>, weight: Constant, bias: Option<Constant>) -> Result<Outcome, Reason> {
    let (input, features) = op.features()?;
    let out = match *weight.dims() {
        [out, n_in] if n_in == features => out,
        _ => return Err(format!("{features} features and a weight of shape (out, in) {:?}", weight.dims())),
    };
    let bias = bias.map(|bias| match *bias.dims() {
        [] | [1] | [1, 1] => bias.spread(out),
        [n] | [1, n] if n == out => bias.spread(out),
        _ => Err(format!("a bias of shape {:?}, expected [{out}]", bias.dims())),
    });
    let mut values = vec![("weight", weight)];
    values.extend(bias.transpose()?.map(|bias| ("bias", bias)));
    Ok(Chain::of(vec![input], Linear { out, bias: values.len() > 1 }, values).into())
}

fn transposed(op: &Operator<'_>, weight: &Constant) -> Result<Constant, Reason> {
    match weight.dims().len() {
        2 => weight.transposed(&[1, 0], op.room),
        _ => Err(format!("a weight of shape {:?}, expected two dimensions", weight.dims())),
    }
}

fn scaled(xs: &Constant, by: f32) -> Result<Constant, Reason> {
    if by == 1.0 {
        return Ok(xs.clone());
    }
    let values = xs.as_floats()?.iter().map(|x| x * by).collect();
    Constant::floats(xs.dims().to_vec(), values, xs.name())
}
