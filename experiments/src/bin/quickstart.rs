//! Everything in a minute, without a connection: trains a gated LeNet-5 on digits it draws, and shows what is left.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use clap::Parser;
use l0_data::Dataset;
use l0_experiments::artifact::{self, Verification};
use l0_experiments::cli::{self, RunArgs};
use l0_experiments::convert::checked_onnx;
use l0_experiments::device::ComputeArgs;
use l0_experiments::latency::{BATCHES, BEFORE, COMPACT, Candidate, alternate};
use l0_experiments::session::ToTrain;
use l0_experiments::{Recipe, lineage, recipes, rows, say, session};
use l0_net::{Existing, write_file};
use l0_record::run_path;
use l0_train::{Finished, MOST_EPOCHS};

/// Train a LeNet-5 with L0 gates on digits drawn by the program, prune it, verify the compact network, and compare
/// both.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Seed of all randomness.
    #[arg(long, default_value_t = 1, value_parser = cli::whole(0_u64, None))]
    seed: u64,
    /// Epochs.
    #[arg(long, value_name = "N", value_parser = cli::whole(1_u64, Some(MOST_EPOCHS)))]
    epochs: Option<u64>,
    /// Folder for the run.
    #[arg(long, value_name = "DIR", default_value = "results/scratch")]
    out: PathBuf,
    #[command(flatten)]
    compute: ComputeArgs,
    #[command(flatten)]
    run: RunArgs,
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| args.run.inside(|threads| quickstart(&args, threads)))
}

fn quickstart(args: &Args, threads: usize) -> Result<()> {
    let compute = args.compute.open(threads)?;
    let stop = cli::stop_on_signals()?;
    let recipe = recipes::quickstart();
    let recipe = match args.epochs {
        Some(epochs) => recipe.with_epochs(epochs),
        None => recipe,
    };
    let data = l0_data::load(recipe.data.clone(), &l0_data::Source::default(), &l0_data::Silent)?;
    let path = run_path(&args.out, &recipe.name, args.seed)?;
    let path = rows::place_beside(&path, &recipe, compute.precision);
    let run = ToTrain { recipe: &recipe, seed: args.seed, data: &data, path: &path, compute: &compute, stop };
    let Some(done) = lineage::train(&run, None)? else { return Ok(()) };
    show(&recipe, &done, &data, &path, threads)
}

/// Compacts, verifies, writes, measures, and prints a table.
fn show(recipe: &Recipe, done: &Finished, data: &Dataset, path: &Path, threads: usize) -> Result<()> {
    let network = recipe.architecture.network()?;
    let verification = Verification { test: &data.test, normalise: data.normalise.clone(), device: Device::Cpu };
    let compact = artifact::compact(&network, &done.weights, recipe.training.estimator, &verification)?;
    say!("{}", network.net().summary(&done.pruned.plan))?;
    say!("gated against compact: {}", compact.agreement)?;
    ensure!(compact.agreement.passes(), "the compact network is not equal to the gated one");
    let card = l0_train::card(&session::data_id(data)?, session::REVISION, &done.outcome)?;
    let card = artifact::compact_card(&card, &network, recipe.training.estimator, &compact)?;
    let (file, onnx) = (path.join("compact.safetensors"), path.join("compact.onnx"));
    let onnx_bytes = checked_onnx(&compact.model, &card)?.0;
    compact.model.save(&file, &card, Existing::Replace)?;
    write_file(&onnx, &onnx_bytes, Existing::Replace)?;

    let mut candidates = vec![
        Candidate::new(network.net(), &done.weights, threads)?,
        Candidate::new(&compact.model.net, &compact.model.weights, threads)?,
    ];
    alternate(&mut candidates, 9)?;
    let (full, kept) = (network.net().cost(), compact.model.net.cost());
    let whole_bytes = 4 * full.params() as u64;
    let kept_bytes = std::fs::metadata(&file).with_context(|| file.display().to_string())?.len();
    say!("{:<28}{BEFORE:>16}{COMPACT:>12}", "")?;
    let row = |what: &str, whole: f64, pruned: f64, digits: usize| {
        say!("{what:<28}{whole:>16.digits$}{pruned:>12.digits$}{:>9.1}x", whole / pruned)
    };
    row("parameters", full.params() as f64, kept.params() as f64, 0)?;
    row("multiply-accumulates", full.macs() as f64, kept.macs() as f64, 0)?;
    row("bytes", whole_bytes as f64, kept_bytes as f64, 0)?;
    for (i, batch) in BATCHES.into_iter().enumerate() {
        let name = format!("ms for {batch}, 1 thread");
        row(&name, candidates[0].median(i, false), candidates[1].median(i, false), 4)?;
    }
    say!("\ntest {} of the compact network, on digits drawn by the program", compact.score)?;
    say!("run      {}\nnetwork  {}\nONNX     {}", path.display(), file.display(), onnx.display())?;
    Ok(())
}
