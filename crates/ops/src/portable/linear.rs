//! Fully connected layers.

use candle_core::{Result, Tensor};

use super::pointwise::relu;
use crate::check;

/// `ys = xs W^T + b`: (b, i), (o, i), (o,) -> (b, o).
///
/// # Errors
/// If the shapes do not fit each other.
pub fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    check::linear("linear", xs, weight, bias)?;
    let ys = xs.to_dtype(weight.dtype())?.matmul(&weight.t()?)?;
    match bias {
        Some(bias) => ys.broadcast_add(bias),
        None => Ok(ys),
    }
}

/// `max(0, xs W^T + b)`: (b, i), (o, i), (o,) -> (b, o).
///
/// # Errors
/// If the shapes do not fit each other.
pub fn linear_relu(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    relu(&linear(xs, weight, bias)?)
}
