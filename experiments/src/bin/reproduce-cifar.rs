//! Table 2 and Figure 4 of the paper: trains the CIFAR rows and records them under `results/cifar10/` and `results/cifar100/`.

use std::process::ExitCode;

use clap::Parser;
use l0_experiments::recipes::{self, Profile};
use l0_experiments::{cli, rows::RowArgs};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train the rows of Table 2 of the paper on CIFAR.
///
/// Rows of the profile cpu, WRN-16-1 for 20 epochs on CIFAR-10: wrn-16-1-dense, wrn-16-1-dropout, wrn-16-1-l0-0.001,
/// wrn-16-1-l0-0.002, wrn-16-1-l0-gates, wrn-16-1-con-0.5, wrn-16-1-con-0.25.
/// Rows of the profile paper, WRN-28-10 for 200 epochs: wrn-28-10-dense, wrn-28-10-dropout, wrn-28-10-l0-0.001,
/// wrn-28-10-l0-0.002, wrn-28-10-con-0.5, and the same on CIFAR-100 as wrn-28-10-c100-dense and so on.
/// A run that was interrupted goes on where it stopped when the same command is given again; finished ones are kept.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// How large the experiments are; paper if the program was built for a GPU.
    #[arg(long, value_enum, default_value_t = usual())]
    profile: Profile,
    #[command(flatten)]
    rows: RowArgs,
}

fn usual() -> Profile {
    if cfg!(any(feature = "cuda", feature = "metal")) { Profile::Paper } else { Profile::Cpu }
}

fn main() -> ExitCode {
    let args = Args::parse();
    cli::main(|| args.rows.train(recipes::cifar(args.profile)))
}
