//! Table 1 and Figure 3 of the paper: trains the MNIST rows and records them under `results/mnist/`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use l0_experiments::cli::{self, DataArgs, RunArgs};
use l0_experiments::{Recipe, recipes, session};
use l0_record::run_path;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train the rows of Table 1 of the paper on MNIST.
///
/// Rows: mlp-dense, mlp-dropout, mlp-l0, mlp-l0-sep, lenet5-dense, lenet5-dropout, lenet5-l0, lenet5-l0-sep.
/// A run that was interrupted goes on where it stopped when the same command is given again; finished ones are kept.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Rows to train; all if none is named.
    rows: Vec<String>,
    /// Train each row with the seeds 1 to N.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u64,
    /// Train with these seeds instead.
    #[arg(long, value_name = "SEED", value_delimiter = ',', conflicts_with = "seeds")]
    seed: Vec<u64>,
    /// Epochs, in place of the paper's 200.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    /// Hold out N training images and test on them instead: for choosing settings, never for a result.
    #[arg(long, value_name = "N")]
    validation: Option<usize>,
    /// Lambdas of the gated layers, in the paper's unit, in place of the row's.
    #[arg(long, value_name = "L", value_delimiter = ',')]
    lambdas: Vec<f64>,
    /// Folder for the runs: OUT/ROW/seed-N. If not given, a folder under results/mnist/ with today's date.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    run: RunArgs,
}

fn main() -> ExitCode {
    let args = Args::parse();
    cli::main(|| args.run.inside(|threads| reproduce(&args, threads)))
}

fn reproduce(args: &Args, threads: usize) -> Result<()> {
    let rows = session::choose(recipes::mnist(), &args.rows)?;
    let seeds = session::seeds(args.seeds, &args.seed)?;
    let stop = cli::stop_on_signals()?;
    let mut data = args.data.load(rows[0].data)?;
    if let Some(n) = args.validation {
        (data.train, data.test) = data.train.split_off(n, 0)?;
    }
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("results/mnist").join(l0_record::today()));
    for row in rows {
        let row = adapted(row, args);
        for &seed in &seeds {
            let path = run_path(&out, row.name, seed)?;
            match session::train(&row, seed, &data, &path, threads, stop)? {
                Some(done) => println!("{}", line(row.name, seed, &done.outcome)),
                None => println!("{} seed {seed}: finished before, in {}", row.name, path.display()),
            }
        }
    }
    Ok(())
}

/// The row as the command line changes it; what then differs from the published one is said wherever a run is shown.
fn adapted(row: Recipe, args: &Args) -> Recipe {
    let mut row = match args.epochs {
        Some(epochs) => row.with_epochs(epochs),
        None => row,
    };
    if !args.lambdas.is_empty() {
        row.model.set_lambdas(&args.lambdas);
    }
    if let Some(n) = args.validation {
        row.scaled_down = Some(format!("tested on {n} training images that were held out"));
    }
    row
}

fn line(row: &str, seed: u64, outcome: &l0_record::Outcome) -> String {
    let architecture: Vec<String> = outcome.architecture.iter().map(ToString::to_string).collect();
    let percent = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2} %"));
    format!(
        "{row} seed {seed}: error {}, {} weights {}, MACs {}, {:.0} s",
        percent(outcome.test_error_percent),
        if architecture.is_empty() { "all units,".into() } else { format!("{},", architecture.join("-")) },
        percent(outcome.weights_kept_percent()),
        percent(outcome.macs_kept_percent()),
        outcome.train_seconds.unwrap_or(f64::NAN)
    )
}
