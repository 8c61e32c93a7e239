//! Fully connected layer: `ys = xs W^T + b`, or `max(0, xs W^T + b)`.
//!
//! xs (b, i), W (o, i), b (o,) -> ys (b, o). With g the gradient of ys (zero where ReLU closed it):
//! `dxs = g W`, `dW = g^T xs`, `db = sum of g over the batch`.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use l0_lanes::at_best;

use crate::chain::apply3;
use crate::check;
use crate::cpu::{bias_or_zeros, data, output, serves, slice, tensor};
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::gemm::{Mat, gemm};
use crate::loops::{mask_into, rectify};
use crate::parallel::{Scratch, carve, each, pieces, scratch, split};
use crate::portable;
use crate::unset::made;

/// `ys = xs W^T + b`: (b, i), (o, i), (o,) -> (b, o).
///
/// # Errors
/// If the shapes do not fit together.
pub fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    apply("linear", xs, weight, bias, false)
}

/// `max(0, xs W^T + b)`: (b, i), (o, i), (o,) -> (b, o), with gradient 0 where the result is 0.
///
/// # Errors
/// If the shapes do not fit together.
pub fn linear_relu(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    apply("linear_relu", xs, weight, bias, true)
}

fn apply(op: &str, xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, relu: bool) -> Result<Tensor> {
    check::linear(op, xs, weight, bias)?;
    let ((b, i), o) = (xs.dims2()?, weight.dim(0)?);
    #[cfg(feature = "cuda")]
    if cuda::serves(xs, &[Some(weight), bias].into_iter().flatten().collect::<Vec<_>>()) {
        return cuda::linear(xs, weight, bias, relu);
    }
    if !serves(&[xs, weight]) || bias.is_some_and(|bias| !serves(&[bias])) {
        return if relu { portable::linear_relu(xs, weight, bias) } else { portable::linear(xs, weight, bias) };
    }
    let bias = bias_or_zeros(bias, o, xs)?;
    apply3(&xs.contiguous()?, &weight.contiguous()?, &bias, Linear { b, i, o, relu })
}

struct Linear {
    b: usize,
    i: usize,
    o: usize,
    relu: bool,
}

/// `a b` (m, n), cut along the longer side of the result; `finish` sees each row once, in any order.
fn product(a: Mat, b: Mat, n: usize, ys: &mut [f32], finish: impl Fn(&mut [f32]) + Sync) {
    if ys.is_empty() {
        return;
    }
    let (m, k) = (ys.len() / n, a.cols());
    let cuts = pieces(m * n * k);
    if cuts == 1 || m >= 2 * n {
        let rows = split(m, cuts, 8);
        let items = rows.iter().cloned().zip(carve(ys, rows.iter().map(|r| r.len() * n))).collect();
        each(items, |(rows, ys): (Range<usize>, &mut [f32])| {
            gemm(ys, false, a.row_range(rows), b);
            ys.chunks_exact_mut(n).for_each(&finish);
        });
    } else {
        by_columns(a, b, n, cuts, ys, &finish);
    }
}

/// The columns of a product in pieces, side by side in scratch, then put together row by row.
fn by_columns(a: Mat, b: Mat, n: usize, cuts: usize, ys: &mut [f32], finish: &(impl Fn(&mut [f32]) + Sync)) {
    let m = ys.len() / n;
    let cols = split(n, cuts, 16);
    let mut parts: Scratch = scratch(m * n);
    let items = cols.iter().cloned().zip(carve(&mut parts, cols.iter().map(|c| m * c.len()))).collect();
    each(items, |(cols, part): (Range<usize>, &mut [f32])| gemm(part, false, a, b.t().row_range(cols).t()));
    for (row, ys) in ys.chunks_exact_mut(n).enumerate() {
        for cols in &cols {
            let start = m * cols.start + row * cols.len();
            ys[cols.clone()].copy_from_slice(&parts[start..start + cols.len()]);
        }
        finish(ys);
    }
}

at_best! {
    fn add_bias(ys: &mut [f32], bias: &[f32], relu: bool) {
        if relu {
            ys.iter_mut().zip(bias).for_each(|(y, b)| *y = rectify(*y + b));
        } else {
            ys.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
        }
    }
}

/// Rows of `dW = g^T xs` (o, i), each piece of rows on its own.
fn weight_gradient(g: Mat, xs: Mat) -> Vec<f32> {
    let (o, i) = (g.cols(), xs.cols());
    let items = split(o, pieces(o * i * xs.rows()), 8).into_iter().map(|rows| (rows.len() * i, rows)).collect();
    made(items, |rows, dw| gemm(dw, false, g.t().row_range(rows), xs))
}

/// Sum of the rows of `g` (b, o) -> (o,).
fn column_sums(g: &[f32], o: usize) -> Vec<f32> {
    let mut sums = vec![0.0; o];
    for g in g.chunks_exact(o.max(1)) {
        sums.iter_mut().zip(g).for_each(|(sum, g)| *sum += g);
    }
    sums
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let mut ys = vec![0.0; self.b * self.o];
        let (xs, weight) = (Mat::new(xs, self.b, self.i), Mat::new(weight, self.o, self.i));
        product(xs, weight.t(), self.o, &mut ys, |ys| add_bias(ys, bias, self.relu));
        output(ys, (self.b, self.o))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        ys: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let ((grad, gl), (ys, yl)) = (grad.storage_and_layout(), ys.storage_and_layout());
        let mut masked = scratch(if self.relu { self.b * self.o } else { 0 });
        let mut g = data(&grad, gl)?;
        if self.relu {
            mask_into(&mut masked, g, data(&ys, yl)?);
            g = &masked;
        }
        let db = bias.track_op().then(|| tensor(column_sums(g, self.o), self.o)).transpose()?;
        let g = Mat::new(g, self.b, self.o);
        let mut dw = None;
        if weight.track_op() {
            let (xs, xl) = xs.storage_and_layout();
            let gradient = weight_gradient(g, Mat::new(data(&xs, xl)?, self.b, self.i));
            dw = Some(tensor(gradient, (self.o, self.i))?);
        }
        let mut dx = None;
        if xs.track_op() {
            let (weight, wl) = weight.storage_and_layout();
            let mut gradient = vec![0.0; self.b * self.i];
            product(g, Mat::new(data(&weight, wl)?, self.o, self.i), self.i, &mut gradient, |_| ());
            dx = Some(tensor(gradient, (self.b, self.i))?);
        }
        Ok((dx, dw, db))
    }
}
