//! Is the GPU path right, and how fast is it? `just gpu-check` runs this beside PyTorch.

mod convolutions;
mod networks;
mod operations;
mod steps;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::Device;
use clap::Parser;
use l0_experiments::{cli, say};
use serde_json::{Map, Value, json};

/// Compare each operation on a GPU with the CPU, and time the convolutions and training steps of WRN-28-10.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// File for the results, written anew after each part.
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
    /// Which GPU.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = cli::whole(0_usize, None))]
    gpu: usize,
    /// Parts to run, in this order.
    #[arg(value_name = "PART", default_values = ["operations", "networks", "steps", "convolutions"])]
    parts: Vec<String>,
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    let begin = Instant::now();
    let device = l0_ops::device::cuda(args.gpu)?;
    let mut found = Map::new();
    found.insert("device".into(), json!(l0_ops::device::name(&device)?));
    for part in &args.parts {
        let rows = part_of(part, &device).unwrap_or_else(|error| vec![json!({ "failed": format!("{error:#}") })]);
        rows.iter().try_for_each(|row| say!("{part} {row}"))?;
        found.insert(part.clone(), Value::Array(rows));
        found.insert("seconds".into(), json!(begin.elapsed().as_secs_f64()));
        let text = serde_json::to_string_pretty(&found)?;
        std::fs::write(&args.json, text).with_context(|| args.json.display().to_string())?;
    }
    Ok(())
}

fn part_of(part: &str, device: &Device) -> Result<Vec<Value>> {
    match part {
        "operations" => Ok(operations::rows(device)),
        "networks" => Ok(networks::rows(device)),
        "convolutions" => convolutions::rows(device),
        "steps" => Ok(steps::rows(device)),
        other => anyhow::bail!("there is no part {other:?}: operations, networks, steps, convolutions"),
    }
}

/// Median, least and largest of some times, in milliseconds.
fn times(mut seconds: Vec<f64>) -> [f64; 3] {
    seconds.sort_unstable_by(f64::total_cmp);
    let at = |i: usize| seconds.get(i).map_or(f64::NAN, |seconds| 1e3 * seconds);
    [at(seconds.len() / 2), at(0), at(seconds.len().saturating_sub(1))]
}
