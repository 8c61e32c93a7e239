//! Table 2 and Figure 4 of the paper: trains the CIFAR rows and records them under `results/cifar10/` and
//! `results/cifar100/`.

use std::process::ExitCode;

use clap::Parser;
use l0_experiments::device::DeviceName;
use l0_experiments::recipes::{self, Profile};
use l0_experiments::{cli, rows, rows::RowArgs};

/// Train the rows of Table 2 of the paper on CIFAR, or ResNets of the tables of structured pruning.
///
/// A run that was interrupted goes on where it stopped when the same command is given again; finished ones are kept.
#[derive(Debug, Parser)]
#[command(version, after_help = help())]
struct Args {
    /// How large the experiments are; if not given, gpu on a GPU and cpu on a CPU.
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    #[command(flatten)]
    rows: RowArgs,
}

fn help() -> String {
    let rows = |profile| rows::listed(&recipes::cifar(profile));
    format!(
        "--profile cpu, WRN-16-1 and WRN-16-2 for 20 epochs:\n\n{}\n\n--profile tables, ResNet-20 and ResNet-56 for 60 epochs:\n\n{}\n\n\
         --profile gpu, WRN-28-10 for 50 epochs:\n\n{}\n\n--profile paper, WRN-28-10 for 200 epochs:\n\n{}",
        rows(Profile::Cpu),
        rows(Profile::Tables),
        rows(Profile::Gpu),
        rows(Profile::Paper)
    )
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    let usual = || match args.rows.compute.device.name() {
        DeviceName::Cpu => Profile::Cpu,
        DeviceName::Cuda(_) | DeviceName::Metal => Profile::Gpu,
    };
    cli::main(|| args.rows.train(recipes::cifar(args.profile.unwrap_or_else(usual))))
}
