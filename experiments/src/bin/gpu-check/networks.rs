//! The first steps of whole trainings, gates and all, on the GPU and on the CPU.

use anyhow::{Context, Result};
use candle_core::Device;
use l0_data::{Augment, Benchmark, Feed, Normalise, Split};
use l0_experiments::{Recipe, recipes};
use l0_rng::{Purpose, Stream};
use l0_train::Trainer;
use serde_json::{Value, json};

const STEPS: usize = 6;
const IMAGES: usize = 128;

pub(crate) fn rows(device: &Device) -> Vec<Value> {
    let names =
        ["mlp-l0", "lenet5-l0-sep", "wrn-16-1-dense", "wrn-16-1-dropout", "wrn-16-1-l0-0.001", "wrn-16-1-con-0.5"];
    let begun = names.iter().flat_map(|name| compared(name, false, device));
    // Channels that are closed where others read them, as on a residual stream with padded shortcuts.
    begun.chain(compared("resnet20-con-macs-0.5", true, device)).collect()
}

/// The losses of a row, begun as it is or with two of five gates closed.
fn compared(name: &str, pruned: bool, device: &Device) -> Vec<Value> {
    let both = || -> Result<Vec<Value>> {
        let recipe = recipes::all().into_iter().find(|recipe| recipe.name == name).context("no such recipe")?;
        let split = drawn(&recipe)?;
        let (there, here) = (losses(&recipe, pruned, &split, device)?, losses(&recipe, pruned, &split, &Device::Cpu)?);
        let worst = there.iter().zip(&here).map(|(a, b)| (a - b).abs() / b.abs()).fold(0.0, f64::max);
        let shown = there.iter().zip(&here).map(|(a, b)| json!([a, b])).collect::<Vec<_>>();
        Ok(vec![json!({ "network": name, "pruned": pruned, "worst_relative": worst, "gpu_and_cpu": shown })])
    };
    both().unwrap_or_else(|error| vec![json!({ "network": name, "pruned": pruned, "failed": format!("{error:#}") })])
}

/// The data of the rows that are checked is known by name.
fn known(recipe: &Recipe) -> Result<Benchmark> {
    recipe.data.known().context("a data set that is known by name")
}

/// Images of noise with a mark that tells their class.
fn drawn(recipe: &Recipe) -> Result<Split> {
    let (c, h, w) = known(recipe)?.shape();
    let mut stream = Stream::new(1, Purpose::Other, 0, 0, "images");
    let n = IMAGES * 2;
    let labels: Vec<u32> = (0..n as u32).map(|i| i % 10).collect();
    let pixel = |i: usize, stream: &mut Stream| {
        let (image, at) = (i / (c * h * w), i % (h * w));
        let mark = at / w == 2 * labels[image] as usize;
        if mark { 255 } else { (stream.bits() >> 57) as u8 }
    };
    let bytes = (0..n * c * h * w).map(|i| pixel(i, &mut stream)).collect();
    Ok(Split::new(bytes, labels.clone(), (c, h, w), 10)?)
}

/// The loss of each step.
fn losses(recipe: &Recipe, pruned: bool, split: &Split, device: &Device) -> Result<Vec<f64>> {
    let network = recipe.architecture.network()?;
    let objective = recipe.objective.clone().unwrap_or_default();
    let mut trainer = Trainer::new(&network, &objective, &recipe.training, split.len(), 1, device)?;
    if pruned {
        crate::steps::set_gates(&trainer, |i, _| i % 5 < 3)?;
    }
    let normalise: Normalise = known(recipe)?.normalise();
    let augment: Option<Augment> = known(recipe)?.augment();
    let feed = Feed::new(split, normalise, IMAGES, device)?.augment(augment)?;
    let mut losses = Vec::new();
    for epoch in 0.. {
        for batch in feed.epoch(1, epoch) {
            losses.push(trainer.step(&batch?)?.loss);
            if losses.len() == STEPS {
                return Ok(losses);
            }
        }
    }
    Ok(losses)
}
