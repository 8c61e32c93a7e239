//! Two-dimensional convolution (cross-correlation), with bias, ReLU and max pooling at once.
//!
//! `a[n, o, y, x] = b[o] + sum over i, u, v of W[o, i, u, v] xs[n, i, s y + u - p, s x + v - p]`, with stride s,
//! padding p and zeros outside of the image; xs (b, i, h, w), W (o, i, k, k), b (o,) or (o, h', w') -> (b, o, h', w'),
//! h' = (h + 2 p - k) / s + 1; with dilation d, `s y + d u - p` and so on, and with groups i and o are those of a
//! group, one after the other. Then `ys = maxpool(max(0, a))`, each part if asked.
//!
//! With g the gradient of a (that of ys, sent to the place of each maximum, zero where ReLU closed it): `dW[o, i, u, v]
//! = sum over n, y, x of g[n, o, y, x] xs[n, i, s y + u - p, s x + v - p]`, `db[o] = sum of g[., o, ., .]`, `dxs[n, i,
//! j, l] = sum of W[o, i, u, v] g[n, o, y, x]` over all terms in which this number took part.

mod depthwise;
mod direct;
mod filters;
pub(crate) mod geometry;
mod gradients;
mod im2col;
mod lanes;
mod operands;
mod paths;
mod plan;
mod tile;
mod transposed;
mod winograd;

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use self::geometry::Geometry;
use self::operands::{Backward, Gradients};
use crate::chain::apply3;
use crate::cpu::{bias_or_zeros, data, output, serves, slice, tensor};
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::maxima::MAX_SIDE;
use crate::portable;
use crate::settings::{ConvSettings, Epilogue};

pub use self::transposed::conv_transpose;

struct Conv {
    geometry: Geometry,
    /// Where in its window each maximum was found.
    places: OnceLock<Vec<u8>>,
    tracked: bool,
}

impl CustomOp3 for Conv {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (xs, weight) = (slice(xs, xs_layout)?, slice(weight, weight_layout)?);
        let bias = slice(bias, bias_layout)?;
        let g = &self.geometry;
        let mut places = vec![0; paths::places_len(g)];
        let ys = paths::forward(g, xs, weight, bias, &mut places);
        if self.tracked {
            // The first run of an op is its only one: candle makes a new op for every call.
            let _ = self.places.set(places);
        }
        output(ys, (g.b, g.maps(), g.oh / g.pool, g.ow / g.pool))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        ys: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(places) = self.places.get() else { bail!("conv2d: backward before forward") };
        let zeros = |t: &Tensor| if t.track_op() { vec![0.0; t.elem_count()] } else { vec![] };
        let mut to = Gradients { xs: vec![], weight: zeros(weight), bias: zeros(bias) };
        let grad = grad.contiguous()?;
        let ((x, xl), (w, wl)) = (xs.storage_and_layout(), weight.storage_and_layout());
        let ((y, yl), (g, gl)) = (ys.storage_and_layout(), grad.storage_and_layout());
        let (x, w, y, g) = (data(&x, xl)?, data(&w, wl)?, data(&y, yl)?, data(&g, gl)?);
        let operands = Backward { xs: x, weight: w, ys: y, grad: g, places, images: xs.track_op() };
        paths::backward(&self.geometry, &operands, &mut to);
        let wanted = |t: &Tensor, g: Vec<f32>| t.track_op().then(|| tensor(g, t.shape())).transpose();
        Ok((wanted(xs, to.xs)?, wanted(weight, to.weight)?, wanted(bias, to.bias)?))
    }
}

/// Cross-correlation: (b, i, h, w), (o, i, k, k), (o,) -> (b, o, h', w') with h' = (h + 2 padding - k) / stride + 1.
/// The bias can be (o, h', w'), with a number for each position.
///
/// # Errors
/// If the shapes do not fit together, the stride is 0 or the kernel is larger than the padded image.
pub fn conv2d(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, stride: usize, padding: usize) -> Result<Tensor> {
    conv(xs, weight, bias, &ConvSettings::square(stride, padding), Epilogue::NONE)
}

/// [`conv2d`], then ReLU and max pooling as `epilogue` says: (b, o, h' / max_pool, w' / max_pool).
///
/// # Errors
/// As [`conv2d`], and if the result is smaller than one pooling window.
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

/// Cross-correlation with strides, dilations and kernels (h, w), zeros on four sides and groups, then what `epilogue`
/// says: (b, i, h, w), (o, i / groups, kh, kw), (o,) or (o, h', w') -> (b, o, h', w') with
/// h' = (h + top + bottom - dilation (kh - 1) - 1) / stride + 1, before the pooling.
///
/// # Errors
/// If the shapes do not fit together, a stride or dilation is 0, the groups do not divide the channels, the kernel is
/// larger than the padded image, or the result smaller than one pooling window.
pub fn conv(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    settings: &ConvSettings,
    epilogue: Epilogue,
) -> Result<Tensor> {
    let geometry = Geometry::of(xs, weight, bias, settings, epilogue)?;
    #[cfg(feature = "cuda")]
    if cuda::serves(xs, &[Some(weight), bias].into_iter().flatten().collect::<Vec<_>>())
        && let Some((stride, padding)) = geometry.square()
    {
        let (oh, ow) = (geometry.oh, geometry.ow);
        return cuda::conv2d_epilogue(xs, weight, bias, (stride, padding), (oh, ow), epilogue);
    }
    let empty = xs.elem_count() == 0 || weight.elem_count() == 0;
    let kernel = serves(&[xs, weight]) && bias.is_none_or(|bias| serves(&[bias])) && epilogue.max_pool <= MAX_SIDE;
    if empty || !kernel {
        return portable::conv(xs, weight, bias, settings, epilogue);
    }
    let bias = bias_or_zeros(bias, geometry.maps(), xs)?;
    let tracked = xs.track_op() || weight.track_op() || bias.track_op();
    let conv = Conv { geometry, places: OnceLock::new(), tracked };
    apply3(&xs.contiguous()?, &weight.contiguous()?, &bias, conv)
}
