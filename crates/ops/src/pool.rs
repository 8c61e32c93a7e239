//! Pooling: the largest value of windows side by side, or the mean of each channel.
//!
//! max: (b, c, h, w) -> (b, c, h / size, w / size), an incomplete border left out; the gradient goes to the first
//! largest value of a window alone. mean: (b, c, h, w) -> (b, c), gradient `g / (h w)` everywhere.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::chain::apply1;
use crate::check;
use crate::cpu::{data, expect_rank, output, serves, slice, tensor};
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::loops::sum;
use crate::maxima::{MAX_SIDE, Windows};
use crate::parallel::{carve, each, split};
use crate::planes::{each_plane, set_planes_with};
use crate::portable;

struct MaxPool {
    planes: usize,
    windows: Windows,
    places: OnceLock<Vec<u8>>,
}

impl MaxPool {
    fn sizes(&self) -> (usize, usize) {
        let (oh, ow) = self.windows.pooled();
        (self.windows.h * self.windows.w, oh * ow)
    }

    fn pieces(&self) -> Vec<std::ops::Range<usize>> {
        split(self.planes, (self.planes * self.sizes().0 / 16_384).clamp(1, 16), 1)
    }
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (xs, (full, small)) = (slice(xs, layout)?, self.sizes());
        let mut ys = vec![0.0; self.planes * small];
        let mut places = vec![0; ys.len()];
        let pieces = self.pieces();
        let lens = || pieces.iter().map(|p| p.len() * small);
        let items = pieces.iter().zip(carve(&mut ys, lens())).zip(carve(&mut places, lens())).collect();
        each(items, |((piece, ys), places)| {
            let planes = ys.chunks_exact_mut(small).zip(places.chunks_exact_mut(small));
            for ((ys, places), plane) in planes.zip(xs[piece.start * full..].chunks_exact(full)) {
                self.windows.forward(plane, ys, places);
            }
        });
        // The first run of an op is its only one: candle makes a new op for every call.
        let _ = self.places.set(places);
        let (b, c, _, _) = layout.shape().dims4()?;
        let (oh, ow) = self.windows.pooled();
        output(ys, (b, c, oh, ow))
    }

    fn bwd(&self, xs: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let Some(places) = self.places.get() else { bail!("max_pool2d: backward before forward") };
        let grad = grad.contiguous()?;
        let (grad, layout) = grad.storage_and_layout();
        let (grad, (full, small)) = (data(&grad, layout)?, self.sizes());
        let mut dx = vec![0.0; self.planes * full];
        let pieces = self.pieces();
        let items = pieces.iter().zip(carve(&mut dx, pieces.iter().map(|p| p.len() * full))).collect();
        each(items, |(piece, dx): (&std::ops::Range<usize>, &mut [f32])| {
            let from = piece.start * small..piece.end * small;
            let planes = grad[from.clone()].chunks_exact(small).zip(places[from].chunks_exact(small));
            for ((grad, places), plane) in planes.zip(dx.chunks_exact_mut(full)) {
                self.windows.backward(grad, places, plane);
            }
        });
        tensor(dx, xs.shape()).map(Some)
    }
}

/// Largest value of each `size` x `size` window, windows side by side, an incomplete border left out:
/// (b, c, h, w) -> (b, c, h / size, w / size). The gradient goes to the first largest value of a window alone.
///
/// # Errors
/// If `xs` is not of rank 4 or smaller than one window.
pub fn max_pool2d(xs: &Tensor, size: usize) -> Result<Tensor> {
    let (b, c, h, w) = check::max_pool2d(xs, size)?;
    if !serves(&[xs]) || size > MAX_SIDE || b * c == 0 {
        return portable::max_pool2d(xs, size);
    }
    let windows = Windows { size, h, w };
    apply1(&xs.contiguous()?, MaxPool { planes: b * c, windows, places: OnceLock::new() })
}

struct AvgPool {
    plane: usize,
}

impl CustomOp1 for AvgPool {
    fn name(&self) -> &'static str {
        "global_avg_pool"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let ((b, c, _, _), xs) = (layout.shape().dims4()?, slice(xs, layout)?);
        let means = each_plane(b * c, 1, self.plane, |at, mean| {
            mean[0] = sum(&xs[at * self.plane..][..self.plane]) / self.plane as f32;
        });
        output(means, (b, c))
    }

    fn bwd(&self, xs: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (grad, layout) = grad.storage_and_layout();
        let grad = data(&grad, layout)?;
        let dx = set_planes_with(
            grad.len(),
            self.plane,
            self.plane,
            || (),
            |(), at, dx| dx.to(std::iter::repeat_n(grad[at] / self.plane as f32, self.plane)),
        );
        tensor(dx, xs.shape()).map(Some)
    }
}

/// Mean of each channel: (b, c, h, w) -> (b, c).
///
/// # Errors
/// If `xs` is not of rank 4 or its images are empty.
pub fn global_avg_pool(xs: &Tensor) -> Result<Tensor> {
    expect_rank("global_avg_pool", "xs", xs, &[4])?;
    let (_, _, h, w) = xs.dims4()?;
    if h * w == 0 {
        bail!("global_avg_pool: xs has shape {:?}, expected images of at least one pixel", xs.dims())
    }
    #[cfg(feature = "cuda")]
    if cuda::serves(xs, &[]) {
        return cuda::global_avg_pool(xs);
    }
    if serves(&[xs]) { apply1(&xs.contiguous()?, AvgPool { plane: h * w }) } else { portable::global_avg_pool(xs) }
}
