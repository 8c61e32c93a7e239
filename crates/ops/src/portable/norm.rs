//! Batch normalisation.

use candle_core::{Result, Tensor};

use super::pointwise::relu;
use crate::check;
use crate::settings::{After, BatchNormed, Running};

fn per_channel(v: &Tensor, xs: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; xs.rank()];
    shape[1] = v.elem_count();
    v.reshape(shape)
}

fn finished(ys: Tensor, after: After) -> Result<Tensor> {
    let ys = after.plus.map_or(Ok(ys.clone()), |plus| ys + plus)?;
    if after.relu { relu(&ys) } else { Ok(ys) }
}

/// Batch normalisation with given statistics, then what comes `after`:
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
    after: After,
) -> Result<Tensor> {
    check::norm("batch_norm", xs, &[("scale", scale), ("shift", shift), ("mean", mean), ("var", var)], after)?;
    let gain = (scale / (var + eps)?.sqrt()?)?;
    let offset = (shift - (mean * &gain)?)?;
    let ys = xs.broadcast_mul(&per_channel(&gain, xs)?)?.broadcast_add(&per_channel(&offset, xs)?)?;
    finished(ys, after)
}

/// Batch normalisation with the statistics of this batch, then what comes `after`; shapes as for [`batch_norm`].
///
/// # Errors
/// If the shapes do not fit each other.
pub fn batch_norm_train(xs: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64, after: After) -> Result<BatchNormed> {
    check::norm("batch_norm_train", xs, &[("scale", scale), ("shift", shift)], after)?;
    let dims: Vec<usize> = (0..xs.rank()).filter(|&d| d != 1).collect();
    let mean = xs.mean(dims.as_slice())?;
    let centred = xs.broadcast_sub(&per_channel(&mean, xs)?)?;
    let var = centred.sqr()?.mean(dims.as_slice())?;
    let gain = (scale / (&var + eps)?.sqrt()?)?;
    let ys = centred.broadcast_mul(&per_channel(&gain, xs)?)?.broadcast_add(&per_channel(shift, xs)?)?;
    Ok(BatchNormed { ys: finished(ys, after)?, mean: mean.detach(), var: var.detach() })
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
