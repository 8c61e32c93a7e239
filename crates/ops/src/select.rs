//! The block of a weight that belongs to the kept units, scaled per unit, in one step.
//!
//! `ys[a, b, ..] = W[r, c, ..] row[r] col[c]` with r = rows[a], c = cols[b]. With g the gradient of ys:
//! `dW[r, c, ..] = g[a, b, ..] row[r] col[c]`, `drow[r] = sum over b, .. of g[a, b, ..] W[r, c, ..] col[c]`,
//! `dcol[c] = sum over a, .. of g[a, b, ..] W[r, c, ..] row[r]`, and 0 for units that are not kept.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use crate::cpu::{data, expect_dims, output, serves, slice, tensor};
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
    if plain || !serves(&[weight]) || !serves(&scales) {
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

impl Select {
    /// The block of a weight, row by row.
    fn gather(&self, weight: &[f32], row_scale: &[f32], col_scale: &[f32]) -> Vec<f32> {
        let inner = self.inner;
        let scales: Vec<f32> = self.cols.iter().map(|c| col_scale[c]).collect();
        let mut ys = Vec::with_capacity(self.rows.len() * scales.len() * inner);
        for r in self.rows.iter() {
            let row = &weight[r * self.cols.total() * inner..][..self.cols.total() * inner];
            let scale = row_scale[r];
            match self.cols.indices() {
                None if inner == 1 => ys.extend(row.iter().zip(&scales).map(|(w, s)| w * scale * s)),
                Some(cols) if inner == 1 => {
                    ys.extend(cols.iter().zip(&scales).map(|(&c, s)| row[c as usize] * scale * s));
                }
                _ => self.cols.iter().zip(&scales).for_each(|(c, s)| {
                    ys.extend(row[c * inner..][..inner].iter().map(|w| w * scale * s));
                }),
            }
        }
        ys
    }

    fn backward(&self, weight: &[f32], row_scale: &[f32], col_scale: &[f32], g: &[f32], to: &mut Gradients) {
        let (inner, width) = (self.inner, self.cols.len() * self.inner);
        let mut col_sums = vec![0.0; self.cols.len()];
        for (a, r) in self.rows.iter().enumerate() {
            let (g, mut sum) = (&g[a * width..][..width], 0.0);
            for ((b, c), col_sum) in self.cols.iter().enumerate().zip(&mut col_sums) {
                let at = (r * self.cols.total() + c) * inner;
                let (g, scale) = (&g[b * inner..][..inner], row_scale[r] * col_scale[c]);
                if !to.weight.is_empty() {
                    to.weight[at..at + inner].iter_mut().zip(g).for_each(|(dw, g)| *dw = g * scale);
                }
                if !(to.row.is_empty() && to.col.is_empty()) {
                    let dot: f32 = weight[at..at + inner].iter().zip(g).map(|(w, g)| w * g).sum();
                    sum += dot * col_scale[c];
                    *col_sum += dot * row_scale[r];
                }
            }
            if let Some(row) = to.row.get_mut(r) {
                *row = sum;
            }
        }
        if !to.col.is_empty() {
            self.cols.iter().zip(col_sums).for_each(|(c, sum)| to.col[c] = sum);
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
        let ys = self.gather(slice(weight, layout)?, slice(row, row_layout)?, slice(col, col_layout)?);
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
