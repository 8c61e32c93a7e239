//! The block of a weight that belongs to the kept units, scaled per unit, in one step.
//!
//! `ys[a, b, ..] = W[r, c, ..] row[r] col[c]` with r = rows[a], c = cols[b]. With g the gradient of ys:
//! `dW[r, c, ..] = g[a, b, ..] row[r] col[c]`, `drow[r] = sum over b, .. of g[a, b, ..] W[r, c, ..] col[c]`,
//! `dcol[c] = sum over a, .. of g[a, b, ..] W[r, c, ..] row[r]`, and 0 for units that are not kept.

use std::iter::repeat_n;
use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use crate::cpu::{data, expect_dims, output, serves, slice, tensor};
use crate::parallel::scratch;
use crate::{Selection, portable};

/// `ys[a, b, ..] = weight[r, c, ..] * row_scale[r] * col_scale[c]` with `r = rows[a]`, `c = cols[b]`:
/// weight (o, i, ..), scales of all units (o,) and (i,), -> (rows.len(), cols.len(), ..).
///
/// # Errors
/// If the selections or scales do not have the weight's numbers of rows and columns.
pub fn select(
    weight: &Tensor,
    rows: &Selection,
    cols: &Selection,
    row_scale: Option<&Tensor>,
    col_scale: Option<&Tensor>,
) -> Result<Tensor> {
    if weight.rank() < 2 || weight.dims()[..2] != [rows.total(), cols.total()] {
        let dims = weight.dims();
        bail!("select: weight has shape {dims:?}, expected [{}, {}, ..]", rows.total(), cols.total())
    }
    for (what, scale, units) in [("row scale", row_scale, rows), ("column scale", col_scale, cols)] {
        if let Some(scale) = scale {
            expect_dims("select", what, scale, &[units.total()])?;
        }
    }
    let scales: Vec<&Tensor> = row_scale.into_iter().chain(col_scale).collect();
    let plain = scales.is_empty() && rows.is_all() && cols.is_all();
    if plain || weight.elem_count() == 0 || !serves(&[weight]) || !serves(&scales) {
        return portable::select(weight, rows, cols, row_scale, col_scale);
    }
    let inner = weight.dims()[2..].iter().product();
    let ones = |scale: Option<&Tensor>, n: usize| match scale {
        Some(scale) => scale.contiguous(),
        None => tensor(vec![1.0; n], n),
    };
    let (row_scale, col_scale) = (ones(row_scale, rows.total())?, ones(col_scale, cols.total())?);
    let op = Select { rows: rows.clone(), cols: cols.clone(), inner };
    weight.contiguous()?.apply_op3(&row_scale, &col_scale, op)
}

/// `ys[a] = vector[r] * scale[r]` with `r = rows[a]`: (o,), (o,) -> (rows.len(),).
///
/// # Errors
/// If the vector or the scale does not have the selection's number of units.
pub fn select_vector(vector: &Tensor, rows: &Selection, scale: Option<&Tensor>) -> Result<Tensor> {
    expect_dims("select_vector", "vector", vector, &[rows.total()])?;
    match scale {
        Some(scale) => {
            expect_dims("select_vector", "scale", scale, &[rows.total()])?;
            select(&vector.unsqueeze(1)?, rows, &Selection::all(1), Some(scale), None)?.squeeze(1)
        }
        None => crate::take(vector, 0, rows),
    }
}

struct Select {
    rows: Selection,
    cols: Selection,
    inner: usize,
}

/// The gradients of one backward pass; an empty one is not wanted.
struct Gradients {
    weight: Vec<f32>,
    row: Vec<f32>,
    col: Vec<f32>,
}

/// Partial sums of a row that run side by side.
const LANES: usize = 8;

/// `dw = g row col`, `cols += g w row`, all of one row's length; returns the sum of `g w col`.
fn row_gradients(g: &[f32], w: &[f32], row: f32, col: &[f32], dw: &mut [f32], cols: &mut [f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let ((g, g_rest), (w, w_rest), (col, col_rest)) = (g.as_chunks(), w.as_chunks(), col.as_chunks());
    let ((dw, dw_rest), (cols, cols_rest)) = (dw.as_chunks_mut(), cols.as_chunks_mut());
    for (((g, w), col), (dw, cols)) in g.iter().zip(w).zip(col).zip(dw.iter_mut().zip(cols)) {
        eight_gradients(g, w, row, col, dw, cols, &mut sums);
    }
    let mut sum = sums.iter().sum();
    for i in 0..g_rest.len() {
        dw_rest[i] = g_rest[i] * (row * col_rest[i]);
        cols_rest[i] += g_rest[i] * w_rest[i] * row;
        sum += g_rest[i] * w_rest[i] * col_rest[i];
    }
    sum
}

type Lanes = [f32; LANES];

fn eight_gradients(g: &Lanes, w: &Lanes, row: f32, col: &Lanes, dw: &mut Lanes, cols: &mut Lanes, sums: &mut Lanes) {
    for i in 0..LANES {
        dw[i] = g[i] * (row * col[i]);
        cols[i] += g[i] * w[i] * row;
        sums[i] += g[i] * w[i] * col[i];
    }
}

impl Select {
    /// Length of a full row and of a row of the block.
    fn widths(&self) -> (usize, usize) {
        (self.cols.total() * self.inner, self.cols.len() * self.inner)
    }

    /// Calls `f(kept column, its place in a full row)`.
    fn columns(&self, mut f: impl FnMut(usize, Range<usize>)) {
        self.cols.iter().enumerate().for_each(|(b, c)| f(b * self.inner, c * self.inner..(c + 1) * self.inner));
    }

    /// The kept numbers of a full row.
    fn gather<'a>(&self, row: &'a [f32], kept: &'a mut [f32]) -> &'a [f32] {
        match self.cols.indices() {
            None => return row,
            Some(cols) if self.inner == 1 => kept.iter_mut().zip(cols).for_each(|(k, &c)| *k = row[c as usize]),
            Some(_) => self.columns(|at, from| kept[at..at + from.len()].copy_from_slice(&row[from])),
        }
        kept
    }

    /// The scale of each number of a row of the block.
    fn spread(&self, col_scale: &[f32]) -> Vec<f32> {
        self.cols.iter().flat_map(|c| repeat_n(col_scale[c], self.inner)).collect()
    }

    fn forward(&self, weight: &[f32], row_scale: &[f32], col_scale: &[f32]) -> Vec<f32> {
        let ((full, width), scales) = (self.widths(), self.spread(col_scale));
        let (mut kept, mut ys) = (scratch(width), Vec::with_capacity(self.rows.len() * width));
        for r in self.rows.iter() {
            let (row, scale) = (self.gather(&weight[r * full..][..full], &mut kept), row_scale[r]);
            ys.extend(row.iter().zip(&scales).map(|(w, s)| w * (scale * s)));
        }
        ys
    }

    fn backward(&self, weight: &[f32], row_scale: &[f32], col_scale: &[f32], g: &[f32], to: &mut Gradients) {
        let ((full, width), scales) = (self.widths(), self.spread(col_scale));
        let (mut kept, mut dw, mut col_sums) = (scratch(width), scratch(width), vec![0.0; width]);
        for (a, r) in self.rows.iter().enumerate() {
            let (g, row) = (&g[a * width..][..width], self.gather(&weight[r * full..][..full], &mut kept));
            let sum = row_gradients(g, row, row_scale[r], &scales, &mut dw, &mut col_sums);
            if let Some(row) = to.row.get_mut(r) {
                *row = sum;
            }
            if let Some(row) = to.weight.get_mut(r * full..(r + 1) * full) {
                match self.cols.indices() {
                    None => row.copy_from_slice(&dw),
                    Some(cols) if self.inner == 1 => cols.iter().zip(&*dw).for_each(|(&c, dw)| row[c as usize] = *dw),
                    Some(_) => self.columns(|at, place| row[place.clone()].copy_from_slice(&dw[at..][..place.len()])),
                }
            }
        }
        if !to.col.is_empty() {
            self.columns(|at, place| to.col[place.start / self.inner] = col_sums[at..][..self.inner].iter().sum());
        }
    }
}

impl CustomOp3 for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn cpu_fwd(
        &self,
        weight: &CpuStorage,
        layout: &Layout,
        row: &CpuStorage,
        row_layout: &Layout,
        col: &CpuStorage,
        col_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ys = self.forward(slice(weight, layout)?, slice(row, row_layout)?, slice(col, col_layout)?);
        let mut dims = layout.dims().to_vec();
        dims[..2].copy_from_slice(&[self.rows.len(), self.cols.len()]);
        output(ys, dims)
    }

    fn bwd(
        &self,
        weight: &Tensor,
        row: &Tensor,
        col: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let zeros = |t: &Tensor| if t.track_op() { vec![0.0; t.elem_count()] } else { vec![] };
        let mut to = Gradients { weight: zeros(weight), row: zeros(row), col: zeros(col) };
        let grad = grad.contiguous()?;
        let ((grad, gl), (ws, wl)) = (grad.storage_and_layout(), weight.storage_and_layout());
        let ((rs, rl), (cs, cl)) = (row.storage_and_layout(), col.storage_and_layout());
        self.backward(data(&ws, wl)?, data(&rs, rl)?, data(&cs, cl)?, data(&grad, gl)?, &mut to);
        let wanted = |t: &Tensor, g: Vec<f32>| t.track_op().then(|| tensor(g, t.shape())).transpose();
        Ok((wanted(weight, to.weight)?, wanted(row, to.row)?, wanted(col, to.col)?))
    }
}
