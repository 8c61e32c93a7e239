//! Products, PReLU and softmax.

use candle_core::{Result, Tensor};

use crate::check;

/// `a b`: both of one shape, or images times a number for each channel.
///
/// # Errors
/// As [`crate::mul`].
pub fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !check::is_gate(a, b)? {
        return a * b;
    }
    let (images, channels) = (b.dims()[0], b.dims()[1]);
    a.broadcast_mul(&b.reshape((images, channels, 1, 1))?)
}

/// `x` where it is above 0 and `slope x` elsewhere, with a slope for each unit.
///
/// # Errors
/// As [`crate::prelu`].
pub fn prelu(xs: &Tensor, slope: &Tensor) -> Result<Tensor> {
    check::prelu(xs, slope)?;
    let mut shape = vec![1; xs.rank()];
    shape[1] = slope.elem_count();
    xs.gt(0.0)?.where_cond(xs, &xs.broadcast_mul(&slope.reshape(shape)?)?)
}

/// `exp(x)` of each unit over the sum of those of all units.
///
/// # Errors
/// As [`crate::softmax`].
pub fn softmax(xs: &Tensor) -> Result<Tensor> {
    check::units("softmax", xs)?;
    if xs.elem_count() == 0 {
        return Ok(xs.clone());
    }
    let powers = xs.broadcast_sub(&xs.detach().max_keepdim(1)?)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(1)?)
}
