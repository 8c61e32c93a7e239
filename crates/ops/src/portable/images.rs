//! Images made larger or smaller, and units side by side.

use candle_core::{Result, Tensor};

use crate::check;
use crate::upsample_means::{Mean, means};

/// Zeros above, left of, below and right of images: (b, c, h, w) -> (b, c, top + h + bottom, left + w + right).
///
/// # Errors
/// As [`crate::pad`].
pub fn pad(xs: &Tensor, sides: [usize; 4]) -> Result<Tensor> {
    check::pad(xs, sides)?;
    let [top, left, bottom, right] = sides;
    xs.pad_with_zeros(2, top, bottom)?.pad_with_zeros(3, left, right)
}

/// Every `step`-th row and column from `start` on.
///
/// # Errors
/// As [`crate::stride`].
pub fn stride(xs: &Tensor, start: (usize, usize), step: (usize, usize)) -> Result<Tensor> {
    let (oh, ow) = check::stride(xs, start, step)?;
    let ys = every(xs, 2, start.0, step.0, oh)?;
    every(&ys, 3, start.1, step.1, ow)
}

/// `n` numbers of a dimension, every `step`-th from `start` on.
pub(crate) fn every(xs: &Tensor, dim: usize, start: usize, step: usize, n: usize) -> Result<Tensor> {
    if step == 1 {
        return xs.narrow(dim, start, n);
    }
    let places: Vec<u32> = (0..n).map(|i| (start + step * i) as u32).collect();
    xs.contiguous()?.index_select(&Tensor::new(places, xs.device())?, dim)
}

/// Each number `fh` times below and `fw` times beside itself.
///
/// # Errors
/// As [`crate::upsample_nearest`].
pub fn upsample_nearest(xs: &Tensor, factor: (usize, usize)) -> Result<Tensor> {
    let (oh, ow) = check::upsample("upsample_nearest", xs, factor)?;
    let (b, c, h, w) = xs.dims4()?;
    let ys = xs.reshape((b * c, h, 1, w, 1))?.broadcast_as((b * c, h, factor.0, w, factor.1))?;
    ys.contiguous()?.reshape((b, c, oh, ow))
}

/// Means of the four nearest numbers.
///
/// # Errors
/// As [`crate::upsample_bilinear`].
pub fn upsample_bilinear(xs: &Tensor, factor: (usize, usize), align_corners: bool) -> Result<Tensor> {
    let (oh, ow) = check::upsample("upsample_bilinear", xs, factor)?;
    let (b, c, h, w) = check::pixels("upsample_bilinear", xs)?;
    let columns = matrix(&means(w, factor.1, align_corners), w, xs)?;
    let rows = matrix(&means(h, factor.0, align_corners), h, xs)?;
    let wide = xs.contiguous()?.reshape((b * c * h, w))?.matmul(&columns)?; // (b c h, ow)
    let turned = wide.reshape((b * c, h, ow))?.transpose(1, 2)?.contiguous()?;
    let tall = turned.reshape((b * c * ow, h))?.matmul(&rows)?; // (b c ow, oh)
    tall.reshape((b, c, ow, oh))?.transpose(2, 3)?.contiguous()
}

/// Means of n numbers as a matrix, (n, means), of the type and device of `like`.
fn matrix(means: &[Mean], n: usize, like: &Tensor) -> Result<Tensor> {
    let mut all = vec![0f32; n * means.len()];
    for (to, mean) in means.iter().enumerate() {
        all[mean.at * means.len() + to] += 1.0 - mean.t;
        all[mean.next * means.len() + to] += mean.t;
    }
    Tensor::from_vec(all, (n, means.len()), like.device())?.to_dtype(like.dtype())
}

/// The units of some tensors, one after the other, in dimension 1.
///
/// # Errors
/// As [`crate::concat`].
pub fn concat(parts: &[&Tensor]) -> Result<Tensor> {
    check::concat(parts)?;
    Tensor::cat(parts, 1)
}
