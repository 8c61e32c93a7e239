//! Pooling by windows side by side, and the mean of each channel.

use candle_core::{D, Result, Tensor};

use crate::check;

/// Largest value of each `size` x `size` window, windows side by side, an incomplete border left out:
/// (b, c, h, w) -> (b, c, h / size, w / size). The gradient goes to the first largest value of a window alone.
///
/// # Errors
/// If `xs` is not (b, c, h, w), or smaller than a window of at least 1x1.
pub fn max_pool2d(xs: &Tensor, size: usize) -> Result<Tensor> {
    let (b, c, h, w) = check::max_pool2d(xs, size)?;
    let (oh, ow) = (h / size, w / size);
    let xs = xs.narrow(2, 0, oh * size)?.narrow(3, 0, ow * size)?;
    let xs = xs.reshape((b * c, oh, size, ow, size))?.transpose(2, 3)?; // (b c, oh, ow, size, size)
    let windows = xs.reshape((b * c, oh, ow, size * size))?;
    let first = windows.detach().contiguous()?.argmax_keepdim(D::Minus1)?;
    windows.contiguous()?.gather(&first, D::Minus1)?.reshape((b, c, oh, ow))
}

/// Mean of each channel: (b, c, h, w) -> (b, c).
///
/// # Errors
/// If `xs` is not (b, c, h, w).
pub fn global_avg_pool(xs: &Tensor) -> Result<Tensor> {
    xs.mean((2, 3))
}
