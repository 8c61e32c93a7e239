//! Products, PReLU and softmax: what treats the numbers of a channel alike, or sets them against other channels.
//!
//! mul: `ys = a b`, number by number or with one b for each plane; gradients `b g`, and `a g`, summed over the plane.
//! prelu: `ys = x` where x > 0 and `slope x` elsewhere; the gradient of the slope is the sum of `x g` there.
//! softmax: `ys[i] = exp(x[i]) / sum over j of exp(x[j])`; `dx[i] = ys[i] (g[i] - sum over j of ys[j] g[j])`.

use candle_core::{CpuStorage, Result, Shape, Tensor};
use l0_lanes::at_best;

use crate::chain::{Operation, apply_all};
use crate::cpu::{numbers, output, serves, tensor};
use crate::gradients::Backward;
use crate::loops::map2;
use crate::planes::each_plane;
use crate::{check, math, portable};

struct Mul;

impl Operation for Mul {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        output(numbers([&args[0], &args[1]], |[a, b]| map2(a, b, |a, b| a * b))?, args[0].shape())
    }
}

impl Backward for Mul {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let times = |of: &Tensor, other: &Tensor| {
            let product = || tensor(numbers([other, grad], |[b, g]| map2(b, g, |b, g| b * g))?, of.shape());
            of.track_op().then(product).transpose()
        };
        Ok(vec![times(&args[0], &args[1])?, times(&args[1], &args[0])?])
    }
}

/// Images times one number for each plane.
struct Gate;

/// Numbers of a unit of an example: of a plane, or 1.
fn plane(xs: &Tensor) -> usize {
    xs.dims()[2..].iter().product()
}

/// `f(a)` of each plane of some images, each with its own number of a gate.
fn gated(xs: &Tensor, gate: &Tensor) -> Result<Vec<f32>> {
    let len = plane(xs);
    numbers([xs, gate], |[xs, gate]| {
        each_plane(gate.len(), len, len, |at, ys| {
            ys.iter_mut().zip(&xs[at * len..]).for_each(|(y, x)| *y = x * gate[at]);
        })
    })
}

impl Operation for Gate {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        output(gated(&args[0], &args[1])?, args[0].shape())
    }
}

impl Backward for Gate {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let ([xs, gate], len) = ([&args[0], &args[1]], plane(&args[0]));
        let dxs = || tensor(gated(grad, gate)?, xs.shape());
        let dgate = || {
            let sum = |x: &[f32], g: &[f32], at: usize| dot(&x[at * len..][..len], &g[at * len..][..len]) as f32;
            let sums =
                numbers([xs, grad], |[x, g]| each_plane(gate.elem_count(), 1, len, |at, to| to[0] = sum(x, g, at)));
            tensor(sums?, gate.shape())
        };
        Ok(vec![xs.track_op().then(dxs).transpose()?, gate.track_op().then(dgate).transpose()?])
    }
}

at_best! {
    /// The sum of `a b`, in sixteen sums side by side.
    fn dot(a: &[f32], b: &[f32]) -> f64 {
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
        let mut sums = [0f32; 16];
        for (a, b) in a.iter().zip(b) {
            for lane in 0..16 {
                sums[lane] = a[lane].mul_add(b[lane], sums[lane]);
            }
        }
        let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(a * b)).sum();
        rest + sums.map(f64::from).iter().sum::<f64>()
    }
}

/// `a b`: both of one shape, or images (b, c, h, w) times a number for each channel, (b, c) or (b, c, 1, 1).
///
/// # Errors
/// If the shapes are neither.
pub fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let is_gate = check::is_gate(a, b)?;
    if !serves(&[a, b]) {
        return portable::mul(a, b);
    }
    let factors = vec![a.contiguous()?, b.contiguous()?];
    if is_gate { apply_all(factors, Gate) } else { apply_all(factors, Mul) }
}

struct PRelu;

impl Operation for PRelu {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let (units, len) = (args[1].elem_count(), plane(&args[0]));
        let ys = numbers([&args[0], &args[1]], |[xs, slope]| {
            each_plane(args[0].dims()[0] * units, len, len, |at, ys| {
                let slope = slope[at % units];
                ys.iter_mut().zip(&xs[at * len..]).for_each(|(y, &x)| *y = if x > 0.0 { x } else { slope * x });
            })
        });
        output(ys?, args[0].shape())
    }
}

impl Backward for PRelu {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let ([xs, slope], examples) = ([&args[0], &args[1]], args[0].dims()[0]);
        let (units, len) = (slope.elem_count(), plane(xs));
        let dxs = |x: &[f32], g: &[f32], slope: &[f32]| {
            each_plane(examples * units, len, len, |at, dx| {
                let (slope, pairs) = (slope[at % units], x[at * len..].iter().zip(&g[at * len..]));
                dx.iter_mut().zip(pairs).for_each(|(dx, (&x, g))| *dx = if x > 0.0 { *g } else { slope * g });
            })
        };
        // A unit at a time, example by example: the order of its sum.
        let dslope = |x: &[f32], g: &[f32]| {
            each_plane(units, 1, examples * len, |unit, sum| {
                let starts = (0..examples).map(|n| (n * units + unit) * len);
                sum[0] = starts.map(|start| dot_below(&x[start..][..len], &g[start..][..len])).sum::<f64>() as f32;
            })
        };
        let dxs = || tensor(numbers([xs, grad, slope], |[x, g, slope]| dxs(x, g, slope))?, xs.shape());
        let dslope = || tensor(numbers([xs, grad], |[x, g]| dslope(x, g))?, slope.shape());
        Ok(vec![xs.track_op().then(dxs).transpose()?, slope.track_op().then(dslope).transpose()?])
    }
}

/// The sum of `x g` where x is not above 0.
fn dot_below(x: &[f32], g: &[f32]) -> f64 {
    x.iter().zip(g).map(|(&x, &g)| if x > 0.0 { 0.0 } else { f64::from(x) * f64::from(g) }).sum()
}

/// `x` where it is above 0 and `slope x` elsewhere, with a slope for each unit: (b, c, ..), (c,) -> (b, c, ..).
///
/// # Errors
/// If there is not a slope for each unit.
pub fn prelu(xs: &Tensor, slope: &Tensor) -> Result<Tensor> {
    check::prelu(xs, slope)?;
    if !serves(&[xs, slope]) {
        return portable::prelu(xs, slope);
    }
    apply_all(vec![xs.contiguous()?, slope.contiguous()?], PRelu)
}

struct Softmax;

impl Operation for Softmax {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let (xs, len) = (&args[0], plane(&args[0]));
        let example = xs.dims()[1] * len;
        let ys = numbers([xs], |[xs]| {
            each_plane(args[0].dims()[0], example, example, |n, ys| {
                softmax_into(&xs[n * example..][..example], len, ys)
            })
        });
        output(ys?, xs.shape())
    }
}

/// Of one example, (c, len).
fn softmax_into(xs: &[f32], len: usize, ys: &mut [f32]) {
    let (mut largest, mut sums) = (vec![f32::NEG_INFINITY; len], vec![0f32; len]);
    for xs in xs.chunks_exact(len) {
        largest.iter_mut().zip(xs).for_each(|(largest, &x)| *largest = largest.max(x));
    }
    for (xs, ys) in xs.chunks_exact(len).zip(ys.chunks_exact_mut(len)) {
        ys.iter_mut().zip(xs).zip(&largest).for_each(|((y, x), largest)| *y = math::exp(x - largest));
        sums.iter_mut().zip(&*ys).for_each(|(sum, y)| *sum += y);
    }
    for ys in ys.chunks_exact_mut(len) {
        ys.iter_mut().zip(&sums).for_each(|(y, sum)| *y /= sum);
    }
}

impl Backward for Softmax {
    fn backward(&self, _: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let len = plane(ys);
        let example = ys.dims()[1] * len;
        let dx = numbers([ys, grad], |[y, g]| {
            each_plane(ys.dims()[0], example, example, |n, dx| {
                let (y, g) = (&y[n * example..][..example], &g[n * example..][..example]);
                let mut sums = vec![0f32; len];
                for (y, g) in y.chunks_exact(len).zip(g.chunks_exact(len)) {
                    sums.iter_mut().zip(y).zip(g).for_each(|((sum, y), g)| *sum += y * g);
                }
                for (at, dx) in dx.iter_mut().enumerate() {
                    *dx = y[at] * (g[at] - sums[at % len]);
                }
            })
        });
        Ok(vec![Some(tensor(dx?, ys.shape())?)])
    }
}

/// `exp(x)` of each unit over the sum of those of all units, in dimension 1: (b, c, ..) -> (b, c, ..).
///
/// # Errors
/// If there is no dimension 1.
pub fn softmax(xs: &Tensor) -> Result<Tensor> {
    check::units("softmax", xs)?;
    if !serves(&[xs]) || xs.elem_count() == 0 {
        return portable::softmax(xs);
    }
    apply_all(vec![xs.contiguous()?], Softmax)
}
