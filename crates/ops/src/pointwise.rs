//! Element by element: ReLU, dropout, sums.
//!
//! relu: `ys = max(0, xs)`, gradient `g` where `ys > 0` and 0 elsewhere. dropout: `ys = xs / (1 - p)` where
//! `noise >= p` and 0 elsewhere, gradient the same with `g` for `xs`.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use l0_rng::Stream;

use crate::chain::{apply1, apply2};
use crate::check;
use crate::cpu::{data, expect_dims, output, serves, slice, tensor};
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::loops::{map, map2, rectify};
use crate::portable;

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        output(map(slice(xs, layout)?, rectify), layout.shape())
    }

    fn bwd(&self, _: &Tensor, ys: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let ((grad, gl), (ys, yl)) = (grad.storage_and_layout(), ys.storage_and_layout());
        let dx = map2(data(&grad, gl)?, data(&ys, yl)?, |g, y| if y > 0.0 { g } else { 0.0 });
        tensor(dx, yl.shape()).map(Some)
    }
}

/// `max(0, xs)`, with gradient 0 at 0. Any shape.
///
/// # Errors
/// None of its own.
pub fn relu(xs: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if cuda::serves(xs, &[]) {
        return cuda::relu(xs);
    }
    if serves(&[xs]) { apply1(&xs.contiguous()?, Relu) } else { portable::relu(xs) }
}

struct Add;

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(&self, a: &CpuStorage, al: &Layout, b: &CpuStorage, bl: &Layout) -> Result<(CpuStorage, Shape)> {
        output(map2(slice(a, al)?, slice(b, bl)?, |a, b| a + b), al.shape())
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(grad.clone()), Some(grad.clone())))
    }
}

/// `a + b`, both of one shape.
///
/// # Errors
/// If the shapes differ.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    expect_dims("add", "b", b, a.dims())?;
    #[cfg(feature = "cuda")]
    if cuda::serves(a, &[]) && cuda::serves(b, &[]) {
        return cuda::add(a, b);
    }
    if serves(&[a, b]) { apply2(&a.contiguous()?, &b.contiguous()?, Add) } else { a + b }
}

struct Dropout {
    p: f32,
}

impl Dropout {
    fn apply(&self, xs: &[f32], noise: &[f32]) -> Vec<f32> {
        let (p, gain) = (self.p, 1.0 / (1.0 - self.p));
        map2(xs, noise, |x, u| if u >= p { x * gain } else { 0.0 })
    }
}

impl CustomOp2 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        noise: &CpuStorage,
        noise_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        output(self.apply(slice(xs, layout)?, slice(noise, noise_layout)?), layout.shape())
    }

    fn bwd(&self, xs: &Tensor, noise: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let ((grad, gl), (noise, nl)) = (grad.storage_and_layout(), noise.storage_and_layout());
        let dx = self.apply(data(&grad, gl)?, data(&noise, nl)?);
        Ok((Some(tensor(dx, xs.shape())?), None))
    }
}

/// `xs / (1 - p)` where `noise >= p`, 0 elsewhere; `noise` holds uniform numbers in the shape of `xs` and gets no
/// gradient.
///
/// # Errors
/// If the shapes differ or `p` is not in [0, 1).
pub fn dropout(xs: &Tensor, noise: &Tensor, p: f32) -> Result<Tensor> {
    check::dropout(xs, noise, p)?;
    let noise = noise.detach();
    if serves(&[xs, &noise]) {
        apply2(&xs.contiguous()?, &noise.contiguous()?, Dropout { p })
    } else {
        portable::dropout(xs, &noise, p)
    }
}

/// [`dropout`] with the noise of a stream: number i of it belongs to number i of `xs`, (b, n) or (b, c, h, w).
///
/// # Errors
/// If `p` is not in [0, 1).
pub fn dropout_from(xs: &Tensor, mut noise: Stream, p: f32) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if cuda::serves(xs, &[]) && matches!(xs.rank(), 2 | 4) && (0.0..1.0).contains(&p) {
        return cuda::dropout(xs, noise.key(), p);
    }
    let noise = Tensor::from_vec(noise.uniforms(xs.elem_count()), xs.dims(), xs.device())?;
    dropout(xs, &noise.to_dtype(xs.dtype())?, p)
}
