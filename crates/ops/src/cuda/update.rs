//! Updates in place: one launch for all tensors of a table.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use candle_core::cuda_backend::DeviceId;
use candle_core::{Result, Tensor, bail};

use super::launch::{Arg, Grid, address, at, device, launch, long};

/// Numbers that a block takes, and pointers of a tensor, as in kernels.cu.
const PIECE: usize = 4096;
const POINTERS: usize = 4;

/// The tensors that one thing is updated from: all contiguous, `f32` and as long as the first; a missing one is zeros.
pub(crate) type Row<'a> = [Option<&'a Tensor>; POINTERS];

/// Lengths and pieces of a table, which are the same at each step.
type Plans = HashMap<(DeviceId, Vec<usize>), (Tensor, Tensor, usize)>;

static PLANS: LazyLock<Mutex<Plans>> = LazyLock::new(Mutex::default);

/// Launches `kernel` on all rows at once. `decays` has a weight decay for each.
pub(crate) fn each(kernel: &'static str, rows: &[Row], decays: &[f32], settings: &[Arg]) -> Result<()> {
    let Some(Some(first)) = rows.first().map(|row| row[0]) else { return Ok(()) };
    let (gpu, on) = (device(first)?, first.device());
    let mut pointers = Vec::with_capacity(rows.len() * POINTERS);
    let mut lens = Vec::with_capacity(rows.len());
    for row in rows {
        lens.push(row[0].map_or(0, Tensor::elem_count));
        for tensor in row {
            pointers.push(tensor.map_or(Ok(0), address)? as i64);
        }
    }
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (gpu.id(), lens);
    if !plans.contains_key(&key) {
        let pieces = key.1.iter().enumerate().flat_map(|(k, len)| (0..len.div_ceil(PIECE)).map(move |p| [k, p]));
        let pieces: Vec<u32> = pieces.flatten().map(|n| n as u32).collect();
        let lens: Vec<i64> = key.1.iter().map(|&len| len as i64).collect();
        let blocks = pieces.len() / 2;
        let plan = (Tensor::new(lens, on)?, Tensor::new(pieces, on)?, blocks);
        plans.insert(key.clone(), plan);
    }
    let Some((lens, pieces, blocks)) = plans.get(&key) else { bail!("{kernel}: there is no plan") };
    let (pointers, decays) = (Tensor::new(pointers, on)?, Tensor::new(decays, on)?);
    let table = [at(&pointers)?, at(lens)?, at(&decays)?, at(pieces)?];
    launch(&gpu, kernel, Grid::blocks(*blocks), &[&table[..], settings].concat())
}

/// Settings of the kernels, in their order.
pub(crate) fn adam(rule: &crate::update::rules::Adam) -> [Arg<'static>; 7] {
    let correction = |beta: f64| 1.0 - beta.powf(rule.step as f64);
    let (step_size, root) = (rule.learning_rate / correction(rule.beta1), correction(rule.beta2).sqrt());
    let rest = [rule.beta1, rule.beta2, 1.0 - rule.beta1, 1.0 - rule.beta2, 1.0 / root, rule.eps];
    let [beta1, beta2, rest1, rest2, inverse_root, eps] = rest.map(|value| Arg::Float(value as f32));
    [Arg::Float(step_size as f32), beta1, beta2, rest1, rest2, inverse_root, eps]
}

pub(crate) fn sgd(rule: &crate::update::rules::Sgd) -> [Arg<'static>; 3] {
    let number = |value: f64| Arg::Float(value as f32);
    [number(rule.learning_rate), number(rule.momentum), Arg::Int(i32::from(rule.nesterov))]
}

pub(crate) fn lerp(weight: f64) -> [Arg<'static>; 1] {
    [Arg::Float(weight as f32)]
}

/// A tensor held to [low, high].
pub(crate) fn clamp(t: &Tensor, low: f64, high: f64) -> Result<()> {
    let (n, gpu) = (t.elem_count(), device(t)?);
    let args = [at(t)?, long(n), Arg::Float(low as f32), Arg::Float(high as f32)];
    launch(&gpu, "clamp", Grid::each(n), &args)
}
