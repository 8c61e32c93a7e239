//! Milliseconds of a training step of WRN-28-10 on random images, dense and with shares of its gates open.

use std::time::Instant;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use l0::{GatedNet, L2, Objective};
use l0_data::Batch;
use l0_experiments::recipes::{self, Profile};
use l0_net::{ClosedChannels, Role};
use l0_train::{Trainer, Training};
use l0_wide_resnet::wrn_28_10;
use serde_json::{Value, json};

const BATCH: usize = 128;
/// Steps before the first that is timed: in these, cuDNN's engines are chosen.
const WARM: usize = 25;
/// Steps of a group, which is timed as a whole.
const STEPS: usize = 10;
const GROUPS: usize = 3;

/// log α of a gate that is surely open, and of one that is surely closed.
const OPEN: f32 = 4.5;
const CLOSED: f32 = -4.5;

pub(crate) fn rows(device: &Device) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut add = |precision: &str, density: Option<f64>| {
        l0_ops::device::allow_tf32(precision == "tf32");
        let row = timed(precision, density, device);
        rows.push(row.unwrap_or_else(
            |error| json!({ "precision": precision, "density": density, "failed": format!("{error:#}") }),
        ));
    };
    for density in [None, Some(1.0), Some(0.5), Some(0.25)] {
        add("bf16", density);
    }
    add("tf32", None);
    add("tf32", Some(0.5));
    add("f32", None);
    l0_ops::device::allow_tf32(false);
    rows
}

fn network(density: Option<f64>) -> Result<GatedNet> {
    let sizes = l0_wide_resnet::Config { closed: ClosedChannels::Zero, ..wrn_28_10(10) };
    Ok(match density {
        None => l0_wide_resnet::dense(&sizes)?,
        Some(_) => l0_wide_resnet::l0(&sizes)?,
    })
}

fn timed(precision: &str, density: Option<f64>, device: &Device) -> Result<Value> {
    let network = network(density)?;
    let training = Training { epochs: 1000, ..recipes::cifar(Profile::Paper)[0].training.clone() };
    let objective = Objective { weight_decay: 5e-4, l2: L2::Detached, ..Objective::default() };
    let mut trainer = Trainer::new(&network, &objective, &training, 50_000, 1, device)?;
    if let Some(density) = density {
        set_gates(&trainer, |i, n| i < (density * n as f64).round() as usize)?;
    }
    let dtype = if precision == "bf16" { DType::BF16 } else { DType::F32 };
    let images = Tensor::randn(0f32, 1.0, (BATCH, 3, 32, 32), device)?.to_dtype(dtype)?;
    let labels = Tensor::from_vec((0..BATCH as u32).map(|i| i % 10).collect(), BATCH, device)?;
    let batch = Batch::new(images, labels);
    let begin = Instant::now();
    for _ in 0..WARM {
        trainer.step(&batch)?;
    }
    let warm = begin.elapsed().as_secs_f64();
    let mut seconds = Vec::new();
    for _ in 0..GROUPS {
        device.synchronize()?;
        let begin = Instant::now();
        for _ in 0..STEPS {
            trainer.step(&batch)?;
        }
        device.synchronize()?;
        seconds.push(begin.elapsed().as_secs_f64() / STEPS as f64);
    }
    let [ms, least, most] = crate::times(seconds);
    Ok(json!({
        "precision": precision, "density": density, "batch": BATCH, "ms": ms, "least_ms": least, "most_ms": most,
        "first_steps_s": warm, "memory_gib": memory(device)?,
    }))
}

/// Opens gate `i` of the `n` of each set, or closes it.
pub(crate) fn set_gates(trainer: &Trainer, is_open: impl Fn(usize, usize) -> bool) -> Result<()> {
    for param in trainer.params().iter().filter(|param| param.role == Role::Mask) {
        let n = param.var.elem_count();
        let values: Vec<f32> = (0..n).map(|i| if is_open(i, n) { OPEN } else { CLOSED }).collect();
        param.var.set(&Tensor::from_vec(values, n, &Device::Cpu)?)?;
    }
    Ok(())
}

/// Memory of the device that is taken, in GiB: what the pool holds is not given back.
fn memory(device: &Device) -> Result<f64> {
    let Device::Cuda(device) = device else { return Ok(f64::NAN) };
    let (free, total) = device.cuda_stream().context().mem_get_info().map_err(candle_core::Error::wrap)?;
    Ok((total - free) as f64 / f64::from(1 << 30))
}
