//! Two-dimensional convolution (cross-correlation), with bias, ReLU and max pooling at once.
//!
//! `a[n, o, y, x] = b[o] + sum over i, u, v of W[o, i, u, v] xs[n, i, s y + u - p, s x + v - p]`, with stride s, padding
//! p and zeros outside of the image; xs (b, i, h, w), W (o, i, k, k), b (o,) or (o, h', w') -> (b, o, h', w'),
//! h' = (h + 2 p - k) / s + 1. Then `ys = maxpool(max(0, a))`, each part if asked.
//!
//! With g the gradient of a (that of ys, sent to the place of each maximum, zero where ReLU closed it):
//! `dW[o, i, u, v] = sum over n, y, x of g[n, o, y, x] xs[n, i, s y + u - p, s x + v - p]`, `db[o] = sum of g[., o, ., .]`,
//! `dxs[n, i, j, l] = sum of W[o, i, u, v] g[n, o, y, x]` over all terms in which this number took part.

mod direct;
mod gradients;
mod im2col;
mod lanes;
mod plan;
mod tile;
mod winograd;

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use crate::chain::apply3;
use crate::cpu::{bias_or_zeros, data, expect_dims, expect_rank, output, serves, slice, tensor};
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::pool::{MAX_SIDE, Windows};
use crate::{Epilogue, portable};

/// The numbers of a convolution, named as in the equation above.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    b: usize,
    ic: usize,
    ih: usize,
    iw: usize,
    oc: usize,
    kh: usize,
    kw: usize,
    stride: usize,
    padding: usize,
    oh: usize,
    ow: usize,
    relu: bool,
    pool: usize,
    /// Whether the bias is a map, with a number for each position, and not one for each channel.
    bias_map: bool,
    path: Path,
}

/// The two ways to compute a convolution (docs/decisions/010-direct-convolution.md).
#[derive(Debug, Clone, Copy)]
enum Path {
    /// As matrix products, image by image.
    Products,
    /// Eight images side by side.
    Direct,
}

impl Path {
    /// Below four images most of a vector of eight would be idle.
    fn choose(b: usize) -> Self {
        if b >= 4 { Self::Direct } else { Self::Products }
    }

    fn places_len(self, g: &Geometry, outputs: usize) -> usize {
        match self {
            _ if g.pool == 1 => 0,
            Self::Products => outputs,
            Self::Direct => plan::places_len(g),
        }
    }
}

impl Geometry {
    /// Numbers of an input image.
    fn image(&self) -> usize {
        self.ic * self.ih * self.iw
    }

    /// Weights of an output channel.
    fn depth(&self) -> usize {
        self.ic * self.kh * self.kw
    }

    /// Numbers of the bias of a channel.
    fn bias_plane(&self) -> usize {
        if self.bias_map { self.oh * self.ow } else { 1 }
    }

    /// Numbers of a plane of ys.
    fn pooled(&self) -> usize {
        (self.oh / self.pool) * (self.ow / self.pool)
    }

    fn windows(&self) -> Windows {
        Windows { size: self.pool, h: self.oh, w: self.ow }
    }
}

struct Conv {
    geometry: Geometry,
    /// Where in its window each maximum was found.
    places: OnceLock<Vec<u8>>,
    tracked: bool,
}

/// The operands of a backward pass.
struct Backward<'a> {
    xs: &'a [f32],
    weight: &'a [f32],
    ys: &'a [f32],
    grad: &'a [f32],
    places: &'a [u8],
    /// Whether the gradient of xs is wanted.
    images: bool,
}

/// What a backward pass computes; empty where it is not wanted.
struct Gradients {
    xs: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
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
        let mut places = vec![0; g.path.places_len(g, g.b * g.oc * g.pooled())];
        let forward = match g.path {
            Path::Products => im2col::forward,
            Path::Direct => direct::forward,
        };
        let ys = forward(g, xs, weight, bias, &mut places);
        if self.tracked {
            // The first run of an op is its only one: candle makes a new op for every call.
            let _ = self.places.set(places);
        }
        output(ys, (g.b, g.oc, g.oh / g.pool, g.ow / g.pool))
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
        let backward = match self.geometry.path {
            Path::Products => im2col::backward,
            Path::Direct => gradients::backward,
        };
        backward(&self.geometry, &operands, &mut to);
        let wanted = |t: &Tensor, g: Vec<f32>| t.track_op().then(|| tensor(g, t.shape())).transpose();
        Ok((wanted(xs, to.xs)?, wanted(weight, to.weight)?, wanted(bias, to.bias)?))
    }
}

/// Cross-correlation: (b, i, h, w), (o, i, k, k), (o,) -> (b, o, h', w') with h' = (h + 2 padding - k) / stride + 1. The
/// bias can be a map, (o, h', w').
///
/// # Errors
/// If the shapes do not fit together, the stride is 0 or the kernel is larger than the padded image.
pub fn conv2d(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, stride: usize, padding: usize) -> Result<Tensor> {
    conv2d_epilogue(xs, weight, bias, stride, padding, Epilogue { relu: false, max_pool: 1 })
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
    let geometry = check(xs, weight, bias, stride, padding, epilogue)?;
    #[cfg(feature = "cuda")]
    if cuda::serves(xs, &[Some(weight), bias].into_iter().flatten().collect::<Vec<_>>()) {
        let (oh, ow) = (geometry.oh, geometry.ow);
        return cuda::conv2d_epilogue(xs, weight, bias, (stride, padding), (oh, ow), epilogue);
    }
    let empty = xs.elem_count() == 0 || weight.elem_count() == 0;
    let kernel = serves(&[xs, weight]) && bias.is_none_or(|bias| serves(&[bias])) && epilogue.max_pool <= MAX_SIDE;
    if empty || !kernel {
        return portable::conv2d_epilogue(xs, weight, bias, stride, padding, epilogue);
    }
    let bias = bias_or_zeros(bias, geometry.oc, xs)?;
    let tracked = xs.track_op() || weight.track_op() || bias.track_op();
    let conv = Conv { geometry, places: OnceLock::new(), tracked };
    apply3(&xs.contiguous()?, &weight.contiguous()?, &bias, conv)
}

pub(crate) fn check(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
    epilogue: Epilogue,
) -> Result<Geometry> {
    expect_rank("conv2d", "xs", xs, &[4])?;
    expect_rank("conv2d", "weight", weight, &[4])?;
    let ((b, ic, ih, iw), (oc, _, kh, kw)) = (xs.dims4()?, weight.dims4()?);
    expect_dims("conv2d", "weight", weight, &[oc, ic, kh, kw])?;
    let (h, w) = (ih + 2 * padding, iw + 2 * padding);
    if stride == 0 || kh * kw == 0 || h < kh || w < kw {
        bail!(
            "conv2d: found a kernel of {kh}x{kw} and stride {stride} on a padded image of {h}x{w}, expected 1 or more of each and a kernel that fits"
        )
    }
    let (oh, ow) = ((h - kh) / stride + 1, (w - kw) / stride + 1);
    let bias_map = bias.is_some_and(|bias| bias.rank() == 3);
    if let Some(bias) = bias {
        expect_dims("conv2d", "bias", bias, &[oc, oh, ow][..if bias_map { 3 } else { 1 }])?;
    }
    let Epilogue { relu, max_pool: pool } = epilogue;
    if pool == 0 || oh < pool || ow < pool {
        bail!("conv2d: found maps of {oh}x{ow}, expected at least one pooling window of side {pool} (1 or more)")
    }
    Ok(Geometry { b, ic, ih, iw, oc, kh, kw, stride, padding, oh, ow, relu, pool, bias_map, path: Path::choose(b) })
}
