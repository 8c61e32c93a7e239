//! Batch normalisation, then ReLU if asked: per channel `ys = gain (xs - mean) + shift`, `gain = scale / sqrt(var + eps)`.
//!
//! xs (b, c) or (b, c, h, w), everything else (c,). With g the gradient of ys (zero where ReLU closed it),
//! xhat = (xs - mean) / sqrt(var + eps), and means over the n numbers of a channel:
//! `dshift = sum g`, `dscale = sum g xhat`, `dxs = gain (g - mean g - xhat mean(g xhat))` when the statistics are the
//! batch's own, `dxs = gain g` when they are given.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use crate::cpu::{data, expect_dims, expect_rank, output, serves, slice, tensor};
use crate::parallel::{carve, each, split};
use crate::pointwise::rectify;
use crate::{BatchNormed, portable};

/// How the numbers lie: `b` examples of `c` planes of `plane` numbers.
#[derive(Debug, Clone, Copy)]
struct Extent {
    b: usize,
    c: usize,
    plane: usize,
}

impl Extent {
    fn of(xs: &Tensor) -> Self {
        let dims = xs.dims();
        Self { b: dims[0], c: dims[1], plane: dims[2..].iter().product() }
    }

    fn example(&self) -> usize {
        self.c * self.plane
    }

    /// Numbers per channel.
    fn n(&self) -> f64 {
        (self.b * self.plane) as f64
    }

    /// Fixed ranges of examples.
    fn pieces(&self) -> Vec<Range<usize>> {
        split(self.b, (self.b * self.example() / 16_384).clamp(1, 16), 1)
    }
}

/// Two sums per channel, accumulated piece by piece in `f64` and added up in the order of the pieces.
fn channel_sums(extent: Extent, plane_sums: impl Fn(usize, usize) -> [f64; 2] + Sync) -> Vec<[f64; 2]> {
    let pieces = extent.pieces();
    let mut parts = vec![[0.0; 2]; pieces.len() * extent.c];
    let items = pieces.into_iter().zip(parts.chunks_mut(extent.c.max(1))).collect();
    each(items, |(piece, sums): (Range<usize>, &mut [[f64; 2]])| {
        for example in piece {
            for (channel, sum) in sums.iter_mut().enumerate() {
                let part = plane_sums(channel, (example * extent.c + channel) * extent.plane);
                *sum = [sum[0] + part[0], sum[1] + part[1]];
            }
        }
    });
    let mut sums = vec![[0.0; 2]; extent.c];
    for part in parts.chunks(extent.c.max(1)) {
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum = [sum[0] + part[0], sum[1] + part[1]]);
    }
    sums
}

const LANES: usize = 16;

/// Sums of `f(a, b)` over two slices, in 16 interleaved partial sums.
fn sums2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> [f32; 2]) -> [f64; 2] {
    let mut acc = [[0.0f32; LANES]; 2];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            let part = f(a[lane], b[lane]);
            acc[0][lane] += part[0];
            acc[1][lane] += part[1];
        }
    }
    let mut total = acc.map(|lanes| lanes.iter().map(|&x| f64::from(x)).sum::<f64>());
    for (&a, &b) in a_rest.iter().zip(b_rest) {
        let part = f(a, b);
        total = [total[0] + f64::from(part[0]), total[1] + f64::from(part[1])];
    }
    total
}

/// Mean and variance of each channel over the batch.
fn statistics(xs: &[f32], extent: Extent) -> (Vec<f32>, Vec<f32>) {
    let plane = |start: usize| &xs[start..start + extent.plane];
    // Centred on a number of the channel, so that one pass keeps the digits of the variance.
    let pivot: Vec<f32> = (0..extent.c).map(|channel| xs[channel * extent.plane]).collect();
    let sums = channel_sums(extent, |channel, start| {
        sums2(plane(start), plane(start), |x, _| {
            let d = x - pivot[channel];
            [d, d * d]
        })
    });
    let moments = sums.iter().zip(&pivot).map(|(sum, &pivot)| {
        let mean = sum[0] / extent.n();
        let var = (sum[1] / extent.n() - mean * mean).max(0.0);
        ((mean + f64::from(pivot)) as f32, var as f32)
    });
    moments.unzip()
}

/// A batch normalisation whose statistics are known: those of the batch, or given ones.
struct Norm {
    extent: Extent,
    mean: Vec<f32>,
    inverse: Vec<f32>,
    of_batch: bool,
    relu: bool,
}

impl Norm {
    /// Runs `f(channel, start of the plane, plane of ys)` on every plane.
    fn planes(&self, ys: &mut [f32], f: impl Fn(usize, usize, &mut [f32]) + Sync) {
        let (e, pieces) = (self.extent, self.extent.pieces());
        let items = pieces.iter().zip(carve(ys, pieces.iter().map(|p| p.len() * e.example()))).collect();
        each(items, |(piece, ys): (&Range<usize>, &mut [f32])| {
            for (i, plane) in ys.chunks_exact_mut(e.plane).enumerate() {
                f(i % e.c, piece.start * e.example() + i * e.plane, plane);
            }
        });
    }

    /// The gradient of ys behind the ReLU: forward's own arithmetic says again which side of zero it was.
    fn through_relu(&self, channel: usize, scale: f32, shift: f32) -> impl Fn(f32, f32) -> f32 + use<> {
        let (mean, gain, relu) = (self.mean[channel], scale * self.inverse[channel], self.relu);
        move |x, g| if relu && (x - mean).mul_add(gain, shift) <= 0.0 { 0.0 } else { g }
    }

    fn input_gradient(&self, xs: &[f32], g: &[f32], scale: &[f32], shift: &[f32], sums: &[[f64; 2]]) -> Vec<f32> {
        let mut dx = vec![0.0; xs.len()];
        self.planes(&mut dx, |c, start, dx| {
            let (mean, inverse, gain) = (self.mean[c], self.inverse[c], scale[c] * self.inverse[c]);
            let share = |sum: f64| if self.of_batch { (sum / self.extent.n()) as f32 } else { 0.0 };
            let (mean_g, mean_gx) = (share(sums[c][0]), share(sums[c][1]) * inverse);
            let masked = self.through_relu(c, scale[c], shift[c]);
            let (xs, g) = (&xs[start..][..dx.len()], &g[start..][..dx.len()]);
            for ((dx, &x), &g) in dx.iter_mut().zip(xs).zip(g) {
                *dx = gain * (masked(x, g) - mean_g - (x - mean) * mean_gx);
            }
        });
        dx
    }
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (xs, scale) = (slice(xs, xs_layout)?, slice(scale, scale_layout)?);
        let shift = slice(shift, shift_layout)?;
        let mut ys = vec![0.0; xs.len()];
        self.planes(&mut ys, |c, start, ys| {
            let (mean, gain, shift) = (self.mean[c], scale[c] * self.inverse[c], shift[c]);
            let affine = ys.iter_mut().zip(&xs[start..]);
            if self.relu {
                affine.for_each(|(y, &x)| *y = rectify((x - mean).mul_add(gain, shift)));
            } else {
                affine.for_each(|(y, &x)| *y = (x - mean).mul_add(gain, shift));
            }
        });
        output(ys, xs_layout.shape())
    }

    fn bwd(
        &self,
        xs: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let ((grad, gl), (x, xl)) = (grad.storage_and_layout(), xs.storage_and_layout());
        let ((a, al), (s, sl)) = (scale.storage_and_layout(), shift.storage_and_layout());
        let (g, x, a, s) = (data(&grad, gl)?, data(&x, xl)?, data(&a, al)?, data(&s, sl)?);
        let mut sums = channel_sums(self.extent, |c, start| {
            let (mean, masked) = (self.mean[c], self.through_relu(c, a[c], s[c]));
            let range = start..start + self.extent.plane;
            sums2(&x[range.clone()], &g[range], |x, g| {
                let g = masked(x, g);
                [g, g * (x - mean)]
            })
        });
        sums.iter_mut().zip(&self.inverse).for_each(|(sum, &inverse)| sum[1] *= f64::from(inverse));
        let vector = |which: usize| tensor(sums.iter().map(|sum| sum[which] as f32).collect(), self.extent.c);
        let dx = || tensor(self.input_gradient(x, g, a, s, &sums), xs.shape());
        Ok((
            xs.track_op().then(dx).transpose()?,
            scale.track_op().then(|| vector(1)).transpose()?,
            shift.track_op().then(|| vector(0)).transpose()?,
        ))
    }
}

fn check(op: &str, xs: &Tensor, vectors: &[(&str, &Tensor)]) -> Result<()> {
    expect_rank(op, "xs", xs, &[2, 4])?;
    vectors.iter().try_for_each(|(what, v)| expect_dims(op, what, v, &[xs.dims()[1]]))
}

/// Batch normalisation with given statistics, then ReLU if `then_relu`:
/// `ys = (xs - mean) / sqrt(var + eps) * scale + shift` per channel; (b, c) or (b, c, h, w), the rest (c,).
///
/// # Errors
/// If the shapes do not fit together.
pub fn batch_norm(
    xs: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    then_relu: bool,
) -> Result<Tensor> {
    check("batch_norm", xs, &[("scale", scale), ("shift", shift), ("mean", mean), ("var", var)])?;
    let kernel = serves(&[xs, scale, shift, mean, var]) && !mean.track_op() && !var.track_op();
    if !kernel || xs.elem_count() == 0 {
        return portable::batch_norm(xs, scale, shift, mean, var, eps, then_relu);
    }
    apply(xs, scale, shift, (mean.to_vec1()?, &var.to_vec1()?), eps, false, then_relu)
}

/// Batch normalisation with the statistics of this batch, then ReLU if `then_relu`; shapes as for [`batch_norm`].
///
/// # Errors
/// If the shapes do not fit together or the batch is empty.
pub fn batch_norm_train(xs: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64, then_relu: bool) -> Result<BatchNormed> {
    check("batch_norm_train", xs, &[("scale", scale), ("shift", shift)])?;
    if xs.dims()[0] == 0 || xs.dims()[2..].contains(&0) {
        bail!("batch_norm_train: xs has shape {:?}, expected at least one number per channel", xs.dims())
    }
    if !serves(&[xs, scale, shift]) || xs.elem_count() == 0 {
        return portable::batch_norm_train(xs, scale, shift, eps, then_relu);
    }
    let xs = xs.contiguous()?;
    let (mean, var) = {
        let (storage, layout) = xs.storage_and_layout();
        statistics(data(&storage, layout)?, Extent::of(&xs))
    };
    let ys = apply(&xs, scale, shift, (mean.clone(), &var), eps, true, then_relu)?;
    let c = mean.len();
    Ok(BatchNormed { ys, mean: tensor(mean, c)?, var: tensor(var, c)? })
}

fn apply(
    xs: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    (mean, var): (Vec<f32>, &[f32]),
    eps: f64,
    of_batch: bool,
    relu: bool,
) -> Result<Tensor> {
    let inverse = var.iter().map(|&var| (1.0 / (f64::from(var) + eps).sqrt()) as f32).collect();
    let norm = Norm { extent: Extent::of(xs), mean, inverse, of_batch, relu };
    xs.contiguous()?.apply_op3(&scale.contiguous()?, &shift.contiguous()?, norm)
}
