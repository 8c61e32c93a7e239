//! Steps along orthogonal directions, for weights that are matrices (Muon, Jordan et al. 2024).
//!
//! Momentum of a weight (o, ..) is read as a matrix of o rows. Its singular values are all brought near 1, so that the
//! step goes as far along directions that few examples ask for as along those that most do: small networks learn in
//! fewer steps. The step is a share of the weight's own norm, which on average it leaves as it was (Bernstein et al.
//! 2020), so one rate does for weights of any scale, also for those of a network that somebody else trained.
//!
//! Numbers on another device are brought to the CPU and back, which is right but slow.

use candle_core::{Result, Tensor, bail};
use l0_lanes::at_best;
use rayon::prelude::*;

use super::place::{Item, check, in_place, put};
use super::rules::Muon;
use crate::cpu::{numbers, tensor};
use crate::gemm::{Mat, gemm};

/// Iterations towards the orthogonal matrix.
const ITERATIONS: usize = 5;

/// The polynomial `a x + b x^3 + c x^5` of an iteration: it drives singular values from 0.003 to 1 into 0.7 to 1.2 in
/// five.
const POLYNOMIAL: [f32; 3] = [3.4445, -4.7750, 2.0315];

/// What keeps the norm of a matrix of zeros from dividing it.
const LITTLE: f64 = 1e-7;

/// The norm that a weight has at least for its step, for each of its numbers: one that begins at zero is to learn, too.
const LEAST: f64 = 1e-3;

/// One step of each; the matrices side by side on all threads.
///
/// # Errors
/// If a parameter is no matrix, (o, ..), shapes differ, a tensor is not contiguous, or an item has not one velocity.
pub fn muon_each(items: &[Item], rule: &Muon) -> Result<()> {
    let stepped = items.par_iter().map(|item| stepped(item, rule)).collect::<Result<Vec<_>>>()?;
    for (item, [param, velocity]) in items.iter().zip(stepped) {
        set(item.param, &param)?;
        set(&item.moments[0], &velocity)?;
    }
    Ok(())
}

/// New numbers of a parameter and of its velocity.
fn stepped(item: &Item, rule: &Muon) -> Result<[Vec<f32>; 2]> {
    let [velocity] = item.moments else { bail!("muon: found {} velocities, expected 1", item.moments.len()) };
    let grad = item.grad_or_zeros()?;
    check("muon", item.param, &[("grad", &grad), ("velocity", velocity)])?;
    if item.param.rank() < 2 {
        bail!("muon: a parameter has shape {:?}, expected a matrix", item.param.dims())
    }
    let here = |t: &Tensor| t.to_device(&candle_core::Device::Cpu)?.to_dtype(candle_core::DType::F32);
    let rows = item.param.dims()[0];
    numbers([&here(item.param)?, &here(&grad)?, &here(velocity)?], |[w, g, u]| {
        let (decay, momentum) = (item.weight_decay as f32, rule.momentum as f32);
        let mut g = g.to_vec();
        add_times(decay, w, &mut g);
        let mut ahead = g.clone();
        add_times(momentum, u, &mut ahead);
        let u = std::mem::replace(&mut ahead, g);
        add_times(momentum, &u, &mut ahead);
        let direction = orthogonal(&ahead, rows);
        // What no gradient has reached neither counts nor moves: weights of closed channels, unless weight decay is
        // theirs.
        let reached: Vec<f32> = w.iter().zip(&ahead).filter(|(_, a)| **a != 0.0).map(|(&w, _)| w).collect();
        let size = norm(&reached).max(LEAST * (reached.len() as f64).sqrt());
        let step = (rule.learning_rate * size / norm(&direction).max(LITTLE)) as f32;
        let kept = (1.0 + rule.learning_rate.powi(2)).sqrt().recip() as f32;
        let moved = w.iter().zip(&ahead).zip(&direction);
        let w = moved.map(|((&w, &a), &d)| if a == 0.0 { w } else { kept * (w - step * d) }).collect();
        [w, u]
    })
}

at_best! {
    /// `ys += a xs`.
    fn add_times(a: f32, xs: &[f32], ys: &mut [f32]) {
        ys.iter_mut().zip(xs).for_each(|(y, &x)| *y = a.mul_add(x, *y));
    }

    /// `xs = a xs + b ys`.
    fn weighted(a: f32, xs: &mut [f32], b: f32, ys: &[f32]) {
        xs.iter_mut().zip(ys).for_each(|(x, &y)| *x = a.mul_add(*x, b * y));
    }
}

fn norm(xs: &[f32]) -> f64 {
    xs.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// The matrix with singular vectors of `x`, (rows, ..), whose singular values are near 1 where those of `x` are not
/// near 0.
fn orthogonal(x: &[f32], rows: usize) -> Vec<f32> {
    let cols = x.len() / rows.max(1);
    let inverse = (1.0 / (norm(x) + LITTLE)) as f32;
    let mut x: Vec<f32> = x.iter().map(|&x| x * inverse).collect();
    let n = rows.min(cols);
    let (mut square, mut fourth, mut next) = (vec![0.0; n * n], vec![0.0; n * n], vec![0.0; x.len()]);
    let [a, b, c] = POLYNOMIAL;
    for _ in 0..ITERATIONS {
        let m = Mat::new(&x, rows, cols);
        // The smaller of x x^T and x^T x: p(x) = (a + b x x^T + c (x x^T)^2) x = x (a + b x^T x + c (x^T x)^2).
        let of = if rows <= cols { (m, m.t()) } else { (m.t(), m) };
        gemm(&mut square, false, of.0, of.1);
        gemm(&mut fourth, false, Mat::new(&square, n, n), Mat::new(&square, n, n));
        weighted(b, &mut square, c, &fourth);
        square.iter_mut().step_by(n + 1).for_each(|s| *s += a);
        let factor = Mat::new(&square, n, n);
        let product = if rows <= cols { (factor, m) } else { (m, factor) };
        gemm(&mut next, false, product.0, product.1);
        std::mem::swap(&mut x, &mut next);
    }
    x
}

/// New numbers for a tensor, in place.
fn set(to: &Tensor, new: &[f32]) -> Result<()> {
    if crate::cpu::serves(&[to]) {
        return in_place(to, |numbers| numbers.copy_from_slice(new));
    }
    put(to, &tensor(new.to_vec(), to.shape())?.to_dtype(to.dtype())?.to_device(to.device())?)
}
