//! The operations composed of Candle's own: right on every device, and what other devices than the CPU use. Arguments
//! are checked as those of the operations themselves.

mod channels;
mod conv;
mod images;
mod window;

pub use channels::{mul, prelu, softmax};
pub use conv::{conv, conv_transpose, conv2d, conv2d_epilogue};
pub use images::{concat, pad, stride, upsample_bilinear, upsample_nearest};
pub use window::{avg_pool_window, global_max_pool, max_pool};

use candle_core::{D, Result, Tensor};

use crate::{BatchNormed, Running, Selection};
use crate::{linear as linears, loss, norm, pointwise, pool, select as selecting};

/// `ys = xs W^T + b`: (b, i), (o, i), (o,) -> (b, o).
///
/// # Errors
/// If the shapes do not fit each other.
pub fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    linears::check("linear", xs, weight, bias)?;
    let ys = xs.to_dtype(weight.dtype())?.matmul(&weight.t()?)?;
    match bias {
        Some(bias) => ys.broadcast_add(bias),
        None => Ok(ys),
    }
}

/// `max(0, xs W^T + b)`: (b, i), (o, i), (o,) -> (b, o).
///
/// # Errors
/// If the shapes do not fit each other.
pub fn linear_relu(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    relu(&linear(xs, weight, bias)?)
}

/// `max(0, xs)`, with gradient 0 at 0; not a number stays so.
///
/// # Errors
/// If the device cannot hold the result.
pub fn relu(xs: &Tensor) -> Result<Tensor> {
    xs.le(0.0)?.where_cond(&xs.zeros_like()?, xs)
}

/// Largest value of each `size` x `size` window, windows side by side, an incomplete border left out:
/// (b, c, h, w) -> (b, c, h / size, w / size). The gradient goes to the first largest value of a window alone.
///
/// # Errors
/// If `xs` is not (b, c, h, w), or smaller than a window of at least 1x1.
pub fn max_pool2d(xs: &Tensor, size: usize) -> Result<Tensor> {
    let (b, c, h, w) = pool::check(xs, size)?;
    let (oh, ow) = (h / size, w / size);
    let xs = xs.narrow(2, 0, oh * size)?.narrow(3, 0, ow * size)?;
    let xs = xs.reshape((b * c, oh, size, ow, size))?.transpose(2, 3)?; // (b c, oh, ow, size, size)
    let windows = xs.reshape((b * c, oh, ow, size * size))?;
    let first = windows.detach().contiguous()?.argmax_keepdim(D::Minus1)?;
    windows.contiguous()?.gather(&first, D::Minus1)?.reshape((b, c, oh, ow))
}

/// Mean of each channel: (b, c, h, w) -> (b, c).
///
/// # Errors
/// If `xs` is not (b, c, h, w).
pub fn avg_pool(xs: &Tensor) -> Result<Tensor> {
    xs.mean((2, 3))
}

fn per_channel(v: &Tensor, xs: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; xs.rank()];
    shape[1] = v.elem_count();
    v.reshape(shape)
}

/// Batch normalisation with given statistics, then ReLU if `then_relu`:
/// `ys = (xs - mean) / sqrt(var + eps) * scale + shift` per channel; (b, c) or (b, c, h, w), statistics (c,).
///
/// # Errors
/// If the shapes do not fit each other.
pub fn batch_norm(
    xs: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    then_relu: bool,
) -> Result<Tensor> {
    norm::check("batch_norm", xs, &[("scale", scale), ("shift", shift), ("mean", mean), ("var", var)])?;
    let gain = (scale / (var + eps)?.sqrt()?)?;
    let offset = (shift - (mean * &gain)?)?;
    let ys = xs.broadcast_mul(&per_channel(&gain, xs)?)?.broadcast_add(&per_channel(&offset, xs)?)?;
    if then_relu { relu(&ys) } else { Ok(ys) }
}

/// Batch normalisation with the statistics of this batch, then ReLU if `then_relu`; shapes as for [`batch_norm`].
///
/// # Errors
/// If the shapes do not fit each other.
pub fn batch_norm_train(xs: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64, then_relu: bool) -> Result<BatchNormed> {
    norm::check("batch_norm_train", xs, &[("scale", scale), ("shift", shift)])?;
    let dims: Vec<usize> = (0..xs.rank()).filter(|&d| d != 1).collect();
    let mean = xs.mean(dims.as_slice())?;
    let centred = xs.broadcast_sub(&per_channel(&mean, xs)?)?;
    let var = centred.sqr()?.mean(dims.as_slice())?;
    let gain = (scale / (&var + eps)?.sqrt()?)?;
    let ys = centred.broadcast_mul(&per_channel(&gain, xs)?)?.broadcast_add(&per_channel(shift, xs)?)?;
    let ys = if then_relu { relu(&ys)? } else { ys };
    Ok(BatchNormed { ys, mean: mean.detach(), var: var.detach() })
}

/// `(1 - rate) old + rate new` for each unit, as [`crate::running`].
///
/// # Errors
/// If the shapes do not fit each other.
pub fn running(old: &Tensor, new: &Running) -> Result<Tensor> {
    let old = old.detach();
    let values = match (new.values, new.kept.indices()) {
        (None, _) => old.zeros_like()?,
        (Some(values), None) => scaled(values, new.factor)?,
        (Some(values), Some(kept)) => {
            let kept = Tensor::new(kept, old.device())?;
            old.zeros_like()?.index_add(&kept, &scaled(values, new.factor)?, 0)?
        }
    };
    let values = new.constants.map_or(Ok(values.clone()), |constants| values + constants.detach())?;
    let rate = Tensor::new(new.rates, old.device())?.to_dtype(old.dtype())?;
    (&old * (1.0 - &rate)?)? + (values * rate)?
}

fn scaled(values: &Tensor, factor: f64) -> Result<Tensor> {
    if factor == 1.0 { Ok(values.clone()) } else { values * factor }
}

/// Mean over the batch of `-log softmax(logits)[label]`: (b, classes), u32 (b,) -> scalar.
///
/// # Errors
/// If the shapes do not fit each other, the batch is empty, or a label (on the CPU) is not below the number of classes.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    loss::check(logits, labels)?;
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    let log_probs = shifted.broadcast_sub(&log_sum)?;
    log_probs.gather(&labels.unsqueeze(1)?, 1)?.mean_all()?.neg()
}

/// `xs / (1 - p)` where `noise >= p`, 0 elsewhere; `noise` holds uniform numbers in the shape of `xs`.
///
/// # Errors
/// If the shapes do not fit each other or `p` is not in [0, 1).
pub fn dropout(xs: &Tensor, noise: &Tensor, p: f32) -> Result<Tensor> {
    pointwise::check_dropout(xs, noise, p)?;
    noise.ge(f64::from(p))?.where_cond(&(xs / (1.0 - f64::from(p)))?, &xs.zeros_like()?)
}

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
    selecting::check(weight, rows, cols, row_scale, col_scale)?;
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
    selecting::check_vector(vector, rows, scale)?;
    let ys = take(vector, 0, rows)?;
    match scale {
        Some(scale) => ys * take(scale, 0, rows)?,
        None => Ok(ys),
    }
}
