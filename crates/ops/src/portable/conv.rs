//! Convolution and transposed convolution.

use candle_core::{Result, Tensor, bail};

use super::images::every;
use super::pointwise::relu;
use super::pool::max_pool2d;
use crate::conv::geometry::Geometry;
use crate::settings::{ConvSettings, Epilogue, TransposedSettings};

/// Cross-correlation: (b, i, h, w), (o, i, k, k), (o,) or (o, h', w') -> (b, o, h', w') with h' = (h + 2 padding - k) /
/// stride + 1.
///
/// # Errors
/// As [`crate::conv2d`].
pub fn conv2d(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, stride: usize, padding: usize) -> Result<Tensor> {
    conv(xs, weight, bias, &ConvSettings::square(stride, padding), Epilogue::NONE)
}

/// [`conv2d`], then ReLU and max pooling as `epilogue` says.
///
/// # Errors
/// As [`crate::conv2d_epilogue`].
pub fn conv2d_epilogue(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
    epilogue: Epilogue,
) -> Result<Tensor> {
    conv(xs, weight, bias, &ConvSettings::square(stride, padding), epilogue)
}

/// Cross-correlation in full, then what `epilogue` says.
///
/// # Errors
/// As [`crate::conv`].
pub fn conv(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    settings: &ConvSettings,
    epilogue: Epilogue,
) -> Result<Tensor> {
    let geometry = Geometry::of(xs, weight, bias, settings, epilogue)?;
    let ConvSettings { stride, padding: [top, left, bottom, right], dilation, groups } = *settings;
    let ys = if stride.0 == stride.1 && dilation == (1, 1) && groups == 1 {
        let padding = top.min(left).min(bottom).min(right);
        let more = |before: usize, after: usize| (before - padding, after - padding);
        let ((above, below), (before, after)) = (more(top, bottom), more(left, right));
        let xs = xs.pad_with_zeros(2, above, below)?.pad_with_zeros(3, before, after)?;
        squared(&xs, weight, stride.0, padding)?
    } else {
        let xs = xs.pad_with_zeros(2, top, bottom)?.pad_with_zeros(3, left, right)?;
        by_offsets(&xs, weight, stride, dilation, (geometry.oh, geometry.ow), groups)?
    };
    let ys = with_bias(&ys, bias)?;
    let ys = if epilogue.relu { relu(&ys)? } else { ys };
    if epilogue.max_pool != 1 { max_pool2d(&ys, epilogue.max_pool) } else { Ok(ys) }
}

fn with_bias(ys: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) if bias.rank() == 3 => ys.broadcast_add(bias),
        Some(bias) => ys.broadcast_add(&bias.reshape((1, bias.elem_count(), 1, 1))?),
        None => Ok(ys.clone()),
    }
}

/// Candle's convolution. Its gradient takes image and kernel for square where the stride is not 1, so shorter sides are
/// matched by zeros below and to the right, which no output that is kept reads as anything but padding.
fn squared(xs: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let ((_, _, h, w), (_, _, kh, kw)) = (xs.dims4()?, weight.dims4()?);
    if stride == 1 || (h == w && kh == kw) {
        return xs.conv2d(weight, padding, stride, 1, 1);
    }
    let outputs = |n: usize, k: usize| (n + 2 * padding).checked_sub(k).map(|n| n / stride + 1);
    let (Some(oh), Some(ow)) = (outputs(h, kh), outputs(w, kw)) else {
        bail!("conv2d: a kernel of {kh}x{kw} does not fit an image of {h}x{w} with padding {padding}")
    };
    let k = kh.max(kw);
    let side = (h + k - kh).max(w + k - kw);
    let xs = xs.pad_with_zeros(2, 0, side - h)?.pad_with_zeros(3, 0, side - w)?;
    let weight = weight.pad_with_zeros(2, 0, k - kh)?.pad_with_zeros(3, 0, k - kw)?;
    xs.conv2d(&weight.contiguous()?, padding, stride, 1, 1)?.narrow(2, 0, oh)?.narrow(3, 0, ow)?.contiguous()
}

/// The sum over the numbers of the kernel of what each makes of the padded image: Candle's convolution has one stride
/// and one dilation for both sides, and computes groups one by one.
fn by_offsets(
    xs: &Tensor,
    weight: &Tensor,
    stride: (usize, usize),
    dilation: (usize, usize),
    (oh, ow): (usize, usize),
    groups: usize,
) -> Result<Tensor> {
    let ((b, ic, ..), (oc, depth, kh, kw)) = (xs.dims4()?, weight.dims4()?);
    let mut sum: Option<Tensor> = None;
    for (u, v) in (0..kh * kw).map(|k| (k / kw, k % kw)) {
        let seen = every(&every(xs, 2, u * dilation.0, stride.0, oh)?, 3, v * dilation.1, stride.1, ow)?;
        let seen = seen.contiguous()?.reshape((b, groups, ic / groups, oh * ow))?;
        let kernel = weight.narrow(2, u, 1)?.narrow(3, v, 1)?.contiguous()?.reshape((1, groups, oc / groups, depth))?;
        let part = if depth == 1 { kernel.broadcast_mul(&seen)? } else { kernel.broadcast_matmul(&seen)? };
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
    }
    match sum {
        Some(sum) => sum.reshape((b, oc, oh, ow)),
        None => bail!("conv2d: the kernel has no numbers"),
    }
}

/// Transposed convolution: the convolution of an image, its numbers apart, with the kernels turned round.
///
/// # Errors
/// As [`crate::conv_transpose`].
pub fn conv_transpose(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    settings: &TransposedSettings,
) -> Result<Tensor> {
    let geometry = Geometry::transposed(xs, weight, bias, settings)?;
    let TransposedSettings { stride, padding: [top, left, bottom, right], output_padding, dilation, groups } =
        *settings;
    let (ic, oc, kh, kw) = weight.dims4()?;
    let kernels = weight.reshape((groups, ic / groups, oc, kh, kw))?.transpose(1, 2)?.contiguous()?;
    let kernels = reversed(&reversed(&kernels.reshape((groups * oc, ic / groups, kh, kw))?, 2)?, 3)?;
    let reach = ((kh - 1) * dilation.0, (kw - 1) * dilation.1);
    let spread = apart(&apart(xs, 2, stride.0)?, 3, stride.1)?;
    let tall = framed(&spread, 2, reach.0, reach.0 + output_padding.0, (top, bottom))?;
    let wide = framed(&tall, 3, reach.1, reach.1 + output_padding.1, (left, right))?;
    let ys = by_offsets(&wide, &kernels, (1, 1), dilation, (geometry.ih, geometry.iw), groups)?;
    with_bias(&ys, bias)
}

/// A dimension in the opposite order.
fn reversed(xs: &Tensor, dim: usize) -> Result<Tensor> {
    let places: Vec<u32> = (0..xs.dim(dim)? as u32).rev().collect();
    xs.contiguous()?.index_select(&Tensor::new(places, xs.device())?, dim)
}

/// `step - 1` zeros between the numbers of a dimension; after the last one there is no room for a step.
fn apart(xs: &Tensor, dim: usize, step: usize) -> Result<Tensor> {
    let between = xs.dim(dim)? - 1;
    if between == 0 || step == 1 {
        return Ok(xs.clone());
    }
    let (before, last) = (xs.narrow(dim, 0, between)?.contiguous()?, xs.narrow(dim, between, 1)?);
    let mut dims = before.dims().to_vec();
    dims[dim] = between * step;
    let spread = before.unsqueeze(dim + 1)?.pad_with_zeros(dim + 1, 0, step - 1)?.reshape(dims)?;
    Tensor::cat(&[&spread, &last], dim)
}

/// Zero padding of a dimension, less what is taken away of the result.
fn framed(xs: &Tensor, dim: usize, before: usize, after: usize, (first, last): (usize, usize)) -> Result<Tensor> {
    let xs = xs.pad_with_zeros(dim, before, after)?;
    xs.narrow(dim, first, xs.dim(dim)? - first - last)
}
