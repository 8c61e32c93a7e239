//! The whole of it in a minute, without a network: trains a gated LeNet-5 on digits it draws, and shows what is left.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use l0_experiments::cli::{self, RunArgs};
use l0_experiments::{recipes, session};
use l0_record::{free_path, run_path};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train a LeNet-5 with L0 gates on digits drawn by the program, and compare what is left with the whole.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Epochs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    /// Folder for the run.
    #[arg(long, value_name = "DIR", default_value = "results/scratch")]
    out: PathBuf,
    #[command(flatten)]
    run: RunArgs,
}

fn main() -> ExitCode {
    let args = Args::parse();
    cli::main(|| quickstart(&args))
}

fn quickstart(args: &Args) -> Result<()> {
    let threads = args.run.apply()?;
    let stop = cli::stop_on_signals()?;
    let recipe = recipes::quickstart();
    let recipe = match args.epochs {
        Some(epochs) => recipe.with_epochs(epochs),
        None => recipe,
    };
    let data = l0_data::load(recipe.data, &l0_data::Source::default(), &l0_data::Silent)?;
    let path = free_path(run_path(&args.out, recipe.name, args.seed)?);
    if let Some(done) = session::train(&recipe, args.seed, &data, &path, threads, stop)? {
        println!("{}", recipe.model.network()?.net().summary(&done.pruned.plan));
        println!("test error {:.2} %", done.outcome.test_error_percent.unwrap_or(f64::NAN));
        println!("recorded in {}", path.display());
    }
    Ok(())
}
