//! Table 1 and Figure 3 of the paper: trains the MNIST rows and records them under `results/mnist/`.

use std::process::ExitCode;

use clap::Parser;
use l0_experiments::rows::RowArgs;
use l0_experiments::{cli, recipes};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train the rows of Table 1 of the paper on MNIST.
///
/// Rows: mlp-dense, mlp-dropout, mlp-l0, mlp-l0-sep, mlp-con-0.2, mlp-con-0.35; lenet5-dense, lenet5-dropout, lenet5-l0,
/// lenet5-l0-sep, lenet5-con-0.1, lenet5-con-0.5-0.3-0.7-0.1.
/// A run that was interrupted goes on where it stopped when the same command is given again; finished ones are kept.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    rows: RowArgs,
}

fn main() -> ExitCode {
    let args = Args::parse();
    cli::main(|| args.rows.train(recipes::mnist()))
}
