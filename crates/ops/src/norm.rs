//! Batch normalisation, then a sum with another value and ReLU if asked: per channel `ys = gain (xs - mean) + shift`,
//! `gain = scale / sqrt(var + eps)`.
//!
//! xs (b, c) or (b, c, h, w), everything else (c,). With g the gradient of ys (zero where ReLU closed it), which is
//! that of what was added as well, xhat = (xs - mean) / sqrt(var + eps), and means over the n numbers of a channel:
//! `dshift = sum g`, `dscale = sum g xhat`, `dxs = gain (g - mean g - xhat mean(g xhat))` when the statistics are the
//! batch's own, `dxs = gain g` when they are given.

use std::ops::Range;

use candle_core::{CpuStorage, Result, Shape, Tensor, bail};
use l0_lanes::{Eights, Lanes, at_best};

use crate::chain::{Operation, apply_all};
use crate::check;
use crate::cpu::{data, expect_dims, numbers, output, serves, tensor};
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::gradients::Backward;
use crate::loops::{mask_into, rectify};
use crate::parallel::{each, split};
use crate::portable;
use crate::settings::{After, BatchNormed, Running};
use crate::unset::{Set, Unset, filled};

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

/// Two sums per channel.
type Sums = [f64; 2];

/// Two sums per channel, accumulated piece by piece in `f64` and added up in the order of the pieces.
fn channel_sums(extent: Extent, plane_sums: impl Fn(usize, usize) -> Sums + Sync) -> Vec<Sums> {
    let pieces = extent.pieces();
    let mut parts = vec![[0.0; 2]; pieces.len() * extent.c];
    let items = pieces.into_iter().zip(parts.chunks_mut(extent.c.max(1))).collect();
    each(items, |(piece, sums): (Range<usize>, &mut [Sums])| {
        for example in piece {
            for (channel, sum) in sums.iter_mut().enumerate() {
                let part = plane_sums(channel, (example * extent.c + channel) * extent.plane);
                *sum = [sum[0] + part[0], sum[1] + part[1]];
            }
        }
    });
    added(&parts, extent.c)
}

/// The sums of all pieces, in their order.
fn added(parts: &[Sums], c: usize) -> Vec<Sums> {
    let mut sums = vec![[0.0; 2]; c];
    for part in parts.chunks(c.max(1)) {
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum = [sum[0] + part[0], sum[1] + part[1]]);
    }
    sums
}

/// Two slices, eight numbers of each at a time; the end of the slices is padded with `rest`.
#[inline(always)]
fn eights<V: Eights>(a: &[f32], b: &[f32], rest: f32, mut f: impl FnMut(usize, V, V)) {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let ((a2, a_odd), (b2, b_odd)) = (a.as_chunks::<2>(), b.as_chunks::<2>());
    for (a, b) in a2.iter().zip(b2) {
        f(0, V::of(&a[0]), V::of(&b[0]));
        f(1, V::of(&a[1]), V::of(&b[1]));
    }
    if let ([a], [b]) = (a_odd, b_odd) {
        f(0, V::of(a), V::of(b));
    }
    if !a_rest.is_empty() {
        let (mut a, mut b) = ([rest; 8], [rest; 8]);
        a[..a_rest.len()].copy_from_slice(a_rest);
        b[..b_rest.len()].copy_from_slice(b_rest);
        f(1, V::of(&a), V::of(&b));
    }
}

/// The total of two interleaved sums of eight lanes each.
#[inline(always)]
fn total<V: Eights>(halves: [V; 2]) -> f64 {
    let mut lanes = [[0.0; 8]; 2];
    halves[0].put(&mut lanes[0]);
    halves[1].put(&mut lanes[1]);
    lanes.as_flattened().iter().copied().map(f64::from).sum()
}

at_best! {
    /// Sums of `x - pivot` and of its square.
    fn spread(xs: &[f32], pivot: f32) -> Sums as V: Eight {
        let (mut sums, mut squares) = ([V::zero(); 2], [V::zero(); 2]);
        let centre = V::splat(pivot);
        eights(xs, xs, pivot, |half, x: V, _| {
            let d = x - centre;
            sums[half] += d;
            squares[half] += d * d;
        });
        [total(sums), total(squares)]
    }

    /// Sums of g and of `g (x - mean)`, g being 0 where `relu` closed it.
    fn products(xs: &[f32], g: &[f32], mean: f32, relu: Option<(f32, f32)>) -> Sums as V: Eight {
        let (mut sums, mut products) = ([V::zero(); 2], [V::zero(); 2]);
        let (mean, zero) = (V::splat(mean), V::zero());
        let mut add = |half: usize, d: V, g: V| {
            sums[half] += g;
            products[half] += g * d;
        };
        match relu {
            None => eights(xs, g, 0.0, |half, x: V, g| add(half, x - mean, g)),
            Some((gain, shift)) => {
                let (gain, shift) = (V::splat(gain), V::splat(shift));
                eights(xs, g, 0.0, |half, x: V, g| {
                    let d = x - mean;
                    add(half, d, d.mul_add(gain, shift).at_most(zero).choose(zero, g));
                });
            }
        }
        [total(sums), total(products)]
    }
}

/// Mean and variance of each channel over the batch.
fn statistics(xs: &[f32], extent: Extent) -> (Vec<f32>, Vec<f32>) {
    let plane = |start: usize| &xs[start..start + extent.plane];
    // Centred on a number of the channel, so that one pass keeps the digits of the variance.
    let pivot: Vec<f32> = (0..extent.c).map(|channel| xs[channel * extent.plane]).collect();
    let sums = channel_sums(extent, |channel, start| spread(plane(start), pivot[channel]));
    let moments = sums.iter().zip(&pivot).map(|(sum, &pivot)| {
        let mean = sum[0] / extent.n();
        let var = (sum[1] / extent.n() - mean * mean).max(0.0);
        ((mean + f64::from(pivot)) as f32, var as f32)
    });
    moments.unzip()
}

/// A batch normalisation whose statistics are known: those of the batch, or given ones. Its arguments are xs, scale and
/// shift, and what is added, if anything is.
struct Norm {
    extent: Extent,
    mean: Vec<f32>,
    inverse: Vec<f32>,
    of_batch: bool,
    relu: bool,
}

impl Norm {
    /// Numbers in the shape of xs that `f(channel, numbers of the plane, plane)` sets.
    fn planes(&self, f: impl for<'a> Fn(usize, Range<usize>, Unset<'a>) -> Set<'a> + Sync + Send) -> Vec<f32> {
        let e = self.extent;
        let pieces =
            e.pieces().into_iter().map(|piece| (piece.len() * e.example(), piece.start * e.c..piece.end * e.c));
        filled(pieces.collect(), |planes: Range<usize>, ys| {
            let first = planes.start;
            ys.parts(planes.map(|_| e.plane), |i, plane| {
                let start = (first + i) * e.plane;
                f(i % e.c, start..start + e.plane, plane)
            })
        })
    }

    fn output(&self, xs: &[f32], scale: &[f32], shift: &[f32], plus: Option<&[f32]>) -> Vec<f32> {
        self.planes(|c, numbers, ys| {
            let of = Affine { mean: self.mean[c], gain: scale[c] * self.inverse[c], shift: shift[c] };
            affine(&of, &xs[numbers.clone()], plus.map(|plus| &plus[numbers]), self.relu, ys)
        })
    }

    /// Sum of g and of g (xs - mean) of each channel, where a ReLU that no sum comes before is seen through.
    fn sums(&self, xs: &[f32], g: &[f32], scale: &[f32], shift: &[f32], relu: bool) -> Vec<Sums> {
        channel_sums(self.extent, |c, start| {
            let range = start..start + self.extent.plane;
            let seen_through = relu.then(|| (scale[c] * self.inverse[c], shift[c]));
            products(&xs[range.clone()], &g[range], self.mean[c], seen_through)
        })
    }

    /// The gradient behind a ReLU that follows a sum, from the result, and its [`sums`](Self::sums): one pass.
    fn behind_sum(&self, xs: &[f32], ys: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<Sums>) {
        let e = self.extent;
        let pieces = e.pieces();
        let mut parts = vec![[0.0; 2]; pieces.len() * e.c];
        let items = pieces.into_iter().zip(parts.chunks_mut(e.c.max(1)));
        let items = items.map(|(piece, sums)| (piece.len() * e.example(), (piece.start * e.c..piece.end * e.c, sums)));
        let g = filled(items.collect(), |(planes, sums): (Range<usize>, &mut [Sums]), g| {
            let first = planes.start;
            g.parts(planes.map(|_| e.plane), |i, plane| {
                let (start, c) = ((first + i) * e.plane, i % e.c);
                let numbers = start..start + e.plane;
                plane.zeroed(|plane| {
                    mask_into(plane, &grad[numbers.clone()], &ys[numbers.clone()]);
                    let part = products(&xs[numbers], plane, self.mean[c], None);
                    sums[c] = [sums[c][0] + part[0], sums[c][1] + part[1]];
                })
            })
        });
        (g, added(&parts, e.c))
    }

    fn input_gradient(
        &self,
        xs: &[f32],
        g: &[f32],
        (scale, shift): (&[f32], &[f32]),
        sums: &[Sums],
        relu: bool,
    ) -> Vec<f32> {
        self.planes(|c, numbers, dx| {
            let (mean, inverse, gain) = (self.mean[c], self.inverse[c], scale[c] * self.inverse[c]);
            let share = |sum: f64| if self.of_batch { (sum / self.extent.n()) as f32 } else { 0.0 };
            let (mean_g, mean_gx) = (share(sums[c][0]), share(sums[c][1]) * inverse);
            let of = Back { mean, gain, mean_g, mean_gx, shift: relu.then_some(shift[c]) };
            back(&of, &xs[numbers.clone()], &g[numbers], dx)
        })
    }
}

/// `gain (x - mean) + shift` of a channel.
struct Affine {
    mean: f32,
    gain: f32,
    shift: f32,
}

/// `gain (g - mean g - (x - mean) mean(g (x - mean)) / var)` of a channel; with the shift where a ReLU is seen through.
struct Back {
    mean: f32,
    gain: f32,
    mean_g: f32,
    mean_gx: f32,
    shift: Option<f32>,
}

at_best! {
    fn affine['a][](of: &Affine, xs: &[f32], plus: Option<&[f32]>, relu: bool, ys: Unset<'a>) -> Set<'a> {
        let &Affine { mean, gain, shift } = of;
        let affine = xs.iter().map(|&x| (x - mean).mul_add(gain, shift));
        match (plus, relu) {
            (None, false) => ys.to(affine),
            (None, true) => ys.to(affine.map(rectify)),
            (Some(plus), false) => ys.to(affine.zip(plus).map(|(y, &p)| y + p)),
            (Some(plus), true) => ys.to(affine.zip(plus).map(|(y, &p)| rectify(y + p))),
        }
    }

    fn back['a][](of: &Back, xs: &[f32], g: &[f32], dx: Unset<'a>) -> Set<'a> {
        let &Back { mean, gain, mean_g, mean_gx, shift } = of;
        let both = xs.iter().zip(g);
        let through = |x: f32, g: f32| gain * (g - mean_g - (x - mean) * mean_gx);
        match shift {
            None => dx.to(both.map(|(&x, &g)| through(x, g))),
            // Forward's own arithmetic says again on which side of zero it was.
            Some(shift) => dx.to(both.map(|(&x, &g)| {
                through(x, if (x - mean).mul_add(gain, shift) <= 0.0 { 0.0 } else { g })
            })),
        }
    }
}

impl Operation for Norm {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let ys = match args {
            [xs, scale, shift] => numbers([xs, scale, shift], |[xs, scale, shift]| self.output(xs, scale, shift, None)),
            [xs, scale, shift, plus] => {
                numbers([xs, scale, shift, plus], |[xs, scale, shift, plus]| self.output(xs, scale, shift, Some(plus)))
            }
            _ => bail!("batch_norm has 3 or 4 arguments, found {}", args.len()),
        };
        output(ys?, args[0].shape())
    }
}

impl Backward for Norm {
    fn backward(&self, args: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let (xs, scale, shift, is_sum) = (&args[0], &args[1], &args[2], args.len() == 4);
        let (grad, seen) = match is_sum && self.relu {
            true => {
                let (g, sums) = numbers([xs, ys, grad], |[xs, ys, grad]| self.behind_sum(xs, ys, grad))?;
                (tensor(g, xs.shape())?, Some(sums))
            }
            false => (grad.contiguous()?, None),
        };
        let relu = self.relu && !is_sum;
        let (dx, sums) = numbers([xs, &grad, scale, shift], |[x, g, a, s]| {
            let mut sums = seen.unwrap_or_else(|| self.sums(x, g, a, s, relu));
            sums.iter_mut().zip(&self.inverse).for_each(|(sum, &inverse)| sum[1] *= f64::from(inverse));
            (xs.track_op().then(|| self.input_gradient(x, g, (a, s), &sums, relu)), sums)
        })?;
        let vector = |which: usize| tensor(sums.iter().map(|sum| sum[which] as f32).collect(), self.extent.c);
        let mut grads = vec![
            dx.map(|dx| tensor(dx, xs.shape())).transpose()?,
            scale.track_op().then(|| vector(1)).transpose()?,
            shift.track_op().then(|| vector(0)).transpose()?,
        ];
        grads.extend(args.get(3).map(|plus| plus.track_op().then_some(grad)));
        Ok(grads)
    }
}

/// Batch normalisation with given statistics, then what comes `after`:
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
    after: After,
) -> Result<Tensor> {
    check::norm("batch_norm", xs, &[("scale", scale), ("shift", shift), ("mean", mean), ("var", var)], after)?;
    let given = !mean.track_op() && !var.track_op();
    #[cfg(feature = "cuda")]
    if given && cuda::serves(xs, &[scale, shift, mean, var]) {
        let relu = after.relu && after.plus.is_none();
        return joined(cuda::batch_norm(xs, [scale, shift, mean, var], eps, relu)?, after);
    }
    let kernel = serves(&[xs, scale, shift, mean, var]) && serves_too(after) && given;
    if !kernel || xs.elem_count() == 0 {
        return portable::batch_norm(xs, scale, shift, mean, var, eps, after);
    }
    apply(xs, scale, shift, (mean.to_vec1()?, &var.to_vec1()?), eps, false, after)
}

/// Batch normalisation with the statistics of this batch, then what comes `after`; shapes as for [`batch_norm`].
///
/// # Errors
/// If the shapes do not fit together or the batch is empty.
pub fn batch_norm_train(xs: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64, after: After) -> Result<BatchNormed> {
    check::norm("batch_norm_train", xs, &[("scale", scale), ("shift", shift)], after)?;
    if xs.dims()[0] == 0 || xs.dims()[2..].contains(&0) {
        bail!("batch_norm_train: xs has shape {:?}, expected at least one number per channel", xs.dims())
    }
    #[cfg(feature = "cuda")]
    if cuda::serves(xs, &[scale, shift]) {
        let relu = after.relu && after.plus.is_none();
        let normed = cuda::batch_norm_train(xs, scale, shift, eps, relu)?;
        return Ok(BatchNormed { ys: joined(normed.ys.clone(), after)?, ..normed });
    }
    if !serves(&[xs, scale, shift]) || !serves_too(after) || xs.elem_count() == 0 {
        return portable::batch_norm_train(xs, scale, shift, eps, after);
    }
    let xs = xs.contiguous()?;
    let (mean, var) = {
        let (storage, layout) = xs.storage_and_layout();
        statistics(data(&storage, layout)?, Extent::of(&xs))
    };
    let ys = apply(&xs, scale, shift, (mean.clone(), &var), eps, true, after)?;
    let c = mean.len();
    Ok(BatchNormed { ys, mean: tensor(mean, c)?, var: tensor(var, c)? })
}

/// `(1 - rate) old + rate new` for each unit, (n,), outside of any graph.
///
/// # Errors
/// If the shapes do not fit together.
pub fn running(old: &Tensor, new: &Running) -> Result<Tensor> {
    expect_dims("running", "old", old, &[new.rates.len()])?;
    expect_dims("running", "old", old, &[new.kept.total()])?;
    #[cfg(feature = "cuda")]
    if cuda::serves(old, &[new.values, new.constants].into_iter().flatten().collect::<Vec<_>>()) {
        return cuda::running(old, new);
    }
    portable::running(old, new)
}

fn serves_too(after: After) -> bool {
    after.plus.is_none_or(|plus| serves(&[plus]))
}

/// What comes after a normalisation, where that did ReLU itself unless a sum comes before it.
#[cfg(feature = "cuda")]
fn joined(ys: Tensor, after: After) -> Result<Tensor> {
    let Some(plus) = after.plus else { return Ok(ys) };
    let sum = crate::add(&ys, plus)?;
    if after.relu { crate::relu(&sum) } else { Ok(sum) }
}

fn apply(
    xs: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    (mean, var): (Vec<f32>, &[f32]),
    eps: f64,
    of_batch: bool,
    after: After,
) -> Result<Tensor> {
    let inverse = var.iter().map(|&var| (1.0 / (f64::from(var) + eps).sqrt()) as f32).collect();
    let norm = Norm { extent: Extent::of(xs), mean, inverse, of_batch, relu: after.relu };
    let args = [xs, scale, shift].into_iter().chain(after.plus);
    apply_all(args.map(Tensor::contiguous).collect::<Result<_>>()?, norm)
}
