//! Pooling by windows.

use candle_core::{D, DType, Result, Tensor};

use super::images::every;
use crate::check;
use crate::settings::Window;
use crate::window_counts::counts;

/// The largest value of each window, padding being minus infinity.
///
/// # Errors
/// As [`crate::max_pool`].
pub fn max_pool(xs: &Tensor, window: &Window) -> Result<Tensor> {
    check::window("max_pool", xs, window)?;
    let (_, _, h, w) = xs.dims4()?;
    let inside = framed(&Tensor::ones((1, 1, h, w), DType::U8, xs.device())?, window)?;
    let padded = framed(xs, window)?;
    let nothing = Tensor::full(f32::NEG_INFINITY, padded.shape(), xs.device())?.to_dtype(xs.dtype())?;
    let padded = inside.broadcast_as(padded.shape())?.where_cond(&padded, &nothing)?;
    let windows = Tensor::stack(&parts(&padded, window)?, 4)?.contiguous()?;
    let first = windows.detach().argmax_keepdim(D::Minus1)?;
    windows.gather(&first, D::Minus1)?.squeeze(D::Minus1)
}

/// The mean of each window, padding counted or not.
///
/// # Errors
/// As [`crate::avg_pool`].
pub fn avg_pool(xs: &Tensor, window: &Window, count_include_pad: bool) -> Result<Tensor> {
    let (oh, ow) = check::window("avg_pool", xs, window)?;
    let (_, _, h, w) = xs.dims4()?;
    let [rows, columns] = counts(window, (h, w), (oh, ow), count_include_pad);
    let counts = rows.iter().flat_map(|row| columns.iter().map(move |column| row * column)).collect();
    let counts = Tensor::from_vec(counts, (oh, ow), xs.device())?.to_dtype(xs.dtype())?;
    let mut sum: Option<Tensor> = None;
    for part in parts(&framed(xs, window)?, window)? {
        sum = Some(sum.map_or(Ok(part.clone()), |sum| sum + part)?);
    }
    sum.map_or_else(|| xs.zeros_like(), |sum| sum.broadcast_div(&counts))
}

/// The largest value of each channel.
///
/// # Errors
/// As [`crate::global_max_pool`].
pub fn global_max_pool(xs: &Tensor) -> Result<Tensor> {
    check::pixels("global_max_pool", xs)?;
    let planes = xs.flatten_from(2)?.contiguous()?;
    let first = planes.detach().argmax_keepdim(D::Minus1)?;
    planes.gather(&first, D::Minus1)?.squeeze(D::Minus1)
}

/// Zero padding of images as far as windows reach.
fn framed(xs: &Tensor, window: &Window) -> Result<Tensor> {
    let (_, _, h, w) = xs.dims4()?;
    let (oh, ow) = window.output(h, w).unwrap_or_default();
    let after = |n: usize, before: usize, outputs: usize, size: usize, stride: usize| {
        (outputs.saturating_sub(1) * stride + size).saturating_sub(n + before)
    };
    let ([top, left, ..], size, stride) = (window.padding, window.size, window.stride);
    let xs = xs.pad_with_zeros(2, top, after(h, top, oh, size.0, stride.0))?;
    xs.pad_with_zeros(3, left, after(w, left, ow, size.1, stride.1))
}

/// Number i of all windows, for each i.
fn parts(padded: &Tensor, window: &Window) -> Result<Vec<Tensor>> {
    let ((_, _, h, w), (kh, kw), stride) = (padded.dims4()?, window.size, window.stride);
    let (oh, ow) = ((h - kh) / stride.0 + 1, (w - kw) / stride.1 + 1);
    let part = |i: usize| every(&every(padded, 2, i / kw, stride.0, oh)?, 3, i % kw, stride.1, ow);
    (0..kh * kw).map(part).collect()
}
