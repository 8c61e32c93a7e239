//! Number by number: ReLU and dropout.

use candle_core::{Result, Tensor};

use crate::check;

/// `max(0, xs)`, with gradient 0 at 0; not a number stays so.
///
/// # Errors
/// If the device cannot hold the result.
pub fn relu(xs: &Tensor) -> Result<Tensor> {
    xs.le(0.0)?.where_cond(&xs.zeros_like()?, xs)
}

/// `xs / (1 - p)` where `noise >= p`, 0 elsewhere; `noise` holds uniform numbers in the shape of `xs`.
///
/// # Errors
/// If the shapes do not fit each other or `p` is not in [0, 1).
pub fn dropout(xs: &Tensor, noise: &Tensor, p: f32) -> Result<Tensor> {
    check::dropout(xs, noise, p)?;
    noise.ge(f64::from(p))?.where_cond(&(xs / (1.0 - f64::from(p)))?, &xs.zeros_like()?)
}
