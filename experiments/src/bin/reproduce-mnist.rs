//! Table 1 and Figure 3 of the paper: trains the MNIST rows and records them under `results/mnist/`.

use std::process::ExitCode;

use clap::Parser;
use l0_experiments::rows::RowArgs;
use l0_experiments::{cli, recipes, rows};

/// Train the rows of Table 1 of the paper on MNIST, dense, dropout and constrained ones beside them, and smaller ones
/// of our own.
///
/// A run that was interrupted goes on where it stopped when the same command is given again; finished ones are kept.
#[derive(Debug, Parser)]
#[command(version, after_help = format!("Rows:\n{}", rows::listed(&recipes::mnist())))]
struct Args {
    #[command(flatten)]
    rows: RowArgs,
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| args.rows.train(recipes::mnist()))
}
