//! Units of tensors and blocks of weights.

use candle_core::{Result, Tensor};

use crate::check;
use crate::selection::Selection;

fn index(selection: &Selection, like: &Tensor) -> Result<Option<Tensor>> {
    selection.indices().map(|kept| Tensor::new(kept, like.device())).transpose()
}

/// The units of dimension `dim` that `selection` keeps.
///
/// # Errors
/// If `xs` has no dimension `dim` with the units of `selection`.
pub fn take(xs: &Tensor, dim: usize, selection: &Selection) -> Result<Tensor> {
    match index(selection, xs)? {
        Some(index) => xs.contiguous()?.index_select(&index, dim),
        None => Ok(xs.clone()),
    }
}

/// `ys[a, b, ..] = weight[r, c, ..] * row_scale[r] * col_scale[c]` with `r = rows[a]`, `c = cols[b]`:
/// weight (o, i, ..), scales of all units (o,) and (i,), -> (rows.len(), cols.len(), ..).
///
/// # Errors
/// If the shapes do not fit each other.
pub fn select(
    weight: &Tensor,
    rows: &Selection,
    cols: &Selection,
    row_scale: Option<&Tensor>,
    col_scale: Option<&Tensor>,
) -> Result<Tensor> {
    check::select(weight, rows, cols, row_scale, col_scale)?;
    let mut ys = take(&take(weight, 0, rows)?, 1, cols)?;
    let mut shape = vec![1; weight.rank()];
    if let Some(scale) = row_scale {
        shape[0] = rows.len();
        ys = ys.broadcast_mul(&take(scale, 0, rows)?.reshape(shape.as_slice())?)?;
        shape[0] = 1;
    }
    if let Some(scale) = col_scale {
        shape[1] = cols.len();
        ys = ys.broadcast_mul(&take(scale, 0, cols)?.reshape(shape.as_slice())?)?;
    }
    Ok(ys)
}

/// `ys[a] = vector[r] * scale[r]` with `r = rows[a]`: (o,), (o,) -> (rows.len(),).
///
/// # Errors
/// If the shapes do not fit each other.
pub fn select_vector(vector: &Tensor, rows: &Selection, scale: Option<&Tensor>) -> Result<Tensor> {
    check::select_vector(vector, rows, scale)?;
    let ys = take(vector, 0, rows)?;
    match scale {
        Some(scale) => ys * take(scale, 0, rows)?,
        None => Ok(ys),
    }
}
