//! The block of a weight that belongs to the kept units, scaled per unit, in one step.
//!
//! `ys[a, b, ..] = W[r, c, ..] row[r] col[c]` with r = rows[a], c = cols[b]. With g the gradient of ys:
//! `dW[r, c, ..] = g[a, b, ..] row[r] col[c]`, `drow[r] = sum over b, .. of g[a, b, ..] W[r, c, ..] col[c]`,
//! `dcol[c] = sum over a, .. of g[a, b, ..] W[r, c, ..] row[r]`, and 0 for units that are not kept.

use std::iter::repeat_n;
use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use l0_lanes::at_best;

use crate::chain::apply3;
use crate::check;
use crate::cpu::{data, output, serves, slice, tensor};
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::parallel::{carve, scratch, split};
use crate::portable;
use crate::selection::Selection;
use crate::take::take;
use crate::unset::made;

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
    check::select(weight, rows, cols, row_scale, col_scale)?;
    let scales: Vec<&Tensor> = row_scale.into_iter().chain(col_scale).collect();
    let plain = scales.is_empty() && rows.is_all() && cols.is_all();
    #[cfg(feature = "cuda")]
    if !plain && matches!(weight.rank(), 2 | 4) && !rows.is_empty() && !cols.is_empty() && cuda::serves(weight, &scales)
    {
        return cuda::select(weight, rows, cols, row_scale, col_scale);
    }
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
    apply3(&weight.contiguous()?, &row_scale, &col_scale, op)
}

/// `ys[a] = vector[r] * scale[r]` with `r = rows[a]`: (o,), (o,) -> (rows.len(),).
///
/// # Errors
/// If the vector or the scale does not have the selection's number of units.
pub fn select_vector(vector: &Tensor, rows: &Selection, scale: Option<&Tensor>) -> Result<Tensor> {
    check::select_vector(vector, rows, scale)?;
    #[cfg(feature = "cuda")]
    if let Some(scale) = scale.filter(|scale| !rows.is_empty() && cuda::serves(vector, &[scale])) {
        return cuda::select(vector, rows, &Selection::all(1), Some(scale), None);
    }
    match scale {
        Some(scale) => select(&vector.unsqueeze(1)?, rows, &Selection::all(1), Some(scale), None)?.squeeze(1),
        None => take(vector, 0, rows),
    }
}

struct Select {
    rows: Selection,
    cols: Selection,
    inner: usize,
}

/// The gradients of one backward pass; that of the weight is empty where it is not wanted.
struct Gradients {
    weight: Vec<f32>,
    row: Vec<f32>,
    col: Vec<f32>,
}

/// Numbers of the block that a piece holds at least.
const PIECE: usize = 16 * 1024;

/// Partial sums of a row that run side by side.
const LANES: usize = 8;

at_best! {
    /// `ys = row scale scales`.
    fn scaled(ys: &mut [f32], row: &[f32], scales: &[f32], scale: f32) {
        ys.iter_mut().zip(row).zip(scales).for_each(|((y, w), s)| *y = w * (scale * s));
    }

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
}

type Lanes = [f32; LANES];

#[inline(always)]
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

    /// Fixed ranges of kept rows.
    fn pieces(&self) -> Vec<Range<usize>> {
        let (rows, width) = (self.rows.len(), self.widths().1);
        if rows == 0 {
            return std::iter::once(0..0).collect();
        }
        split(rows, (rows * width / PIECE).clamp(1, 4), 1)
    }

    fn forward(&self, weight: &[f32], row_scale: &[f32], col_scale: &[f32]) -> Vec<f32> {
        let ((full, width), scales) = (self.widths(), self.spread(col_scale));
        let (pieces, rows) = (self.pieces(), self.rows.iter().collect::<Vec<_>>());
        made(pieces.into_iter().map(|piece| (piece.len() * width, piece)).collect(), |piece, ys| {
            let mut kept = scratch(width);
            for (&r, ys) in rows[piece].iter().zip(ys.chunks_exact_mut(width.max(1))) {
                let (row, scale) = (self.gather(&weight[r * full..][..full], &mut kept), row_scale[r]);
                scaled(ys, row, &scales, scale);
            }
        })
    }

    fn backward(&self, [weight, row_scale, col_scale, g]: [&[f32]; 4], wanted: bool) -> Gradients {
        let ((full, width), scales) = (self.widths(), self.spread(col_scale));
        let (pieces, rows) = (self.pieces(), self.rows.iter().collect::<Vec<_>>());
        let (mut col_sums, mut row_sums) = (vec![0.0; pieces.len() * width], vec![0.0; rows.len()]);
        // The rows of the weight from the first kept one of a piece to that of the next.
        let starts = pieces.iter().map(|p| if p.start == 0 { 0 } else { rows[p.start] });
        let starts: Vec<usize> = starts.chain([self.rows.total()]).collect();
        let lens = starts.windows(2).map(|s| if wanted { (s[1] - s[0]) * full } else { 0 });
        let sums = carve(&mut row_sums, pieces.iter().map(Range::len))
            .into_iter()
            .zip(carve(&mut col_sums, pieces.iter().map(|_| width)));
        let items = lens.zip(pieces.iter().zip(&starts).zip(sums)).collect();
        let weight = made(items, |((piece, start), (row_sums, col_sums)), dws| {
            let (mut kept, mut dw) = (scratch(width), scratch(width));
            for (a, sum) in piece.clone().zip(row_sums) {
                let r = rows[a];
                let (g, row) = (&g[a * width..][..width], self.gather(&weight[r * full..][..full], &mut kept));
                *sum = row_gradients(g, row, row_scale[r], &scales, &mut dw, col_sums);
                if wanted {
                    self.scatter(&dw, &mut dws[(r - start) * full..][..full]);
                }
            }
        });
        let (mut row, mut col) = (vec![0.0; self.rows.total()], vec![0.0; self.cols.total()]);
        rows.iter().zip(&row_sums).for_each(|(&r, &sum)| row[r] = sum);
        for sums in col_sums.chunks(width.max(1)) {
            self.columns(|at, place| col[place.start / self.inner] += sums[at..][..self.inner].iter().sum::<f32>());
        }
        Gradients { weight, row, col }
    }

    /// The numbers of a row of the block to their places in a full row.
    fn scatter(&self, kept: &[f32], row: &mut [f32]) {
        match self.cols.indices() {
            None => row.copy_from_slice(kept),
            Some(cols) if self.inner == 1 => cols.iter().zip(kept).for_each(|(&c, kept)| row[c as usize] = *kept),
            Some(_) => self.columns(|at, place| row[place.clone()].copy_from_slice(&kept[at..][..place.len()])),
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
        let grad = grad.contiguous()?;
        let ((grad, gl), (ws, wl)) = (grad.storage_and_layout(), weight.storage_and_layout());
        let ((rs, rl), (cs, cl)) = (row.storage_and_layout(), col.storage_and_layout());
        let operands = [data(&ws, wl)?, data(&rs, rl)?, data(&cs, cl)?, data(&grad, gl)?];
        let to = self.backward(operands, weight.track_op());
        let wanted = |t: &Tensor, g: Vec<f32>| t.track_op().then(|| tensor(g, t.shape())).transpose();
        Ok((wanted(weight, to.weight)?, wanted(row, to.row)?, wanted(col, to.col)?))
    }
}
