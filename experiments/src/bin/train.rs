//! Trains networks that somebody described in files, on data of their own.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use l0_experiments::cli;
use l0_experiments::rows::RowArgs;

/// Train the network that a file describes, layer by layer, on any data; what the file does not say is usual.
///
/// examples/networks holds some, and docs/guide/own-data.md says how they are written. Each run leaves a folder, as
/// those of the recipes do: it can be resumed, exported, verified, reported on and asked for predictions.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    rows: RowArgs,
}

fn main() -> ExitCode {
    let files = "Files of networks, as examples/networks/resnet.toml";
    let command =
        cli::with_negative_numbers(Args::command()).mut_arg("rows", |arg| arg.value_name("NETWORK").help(files));
    let args = Args::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    cli::main(|| args.rows.train_described())
}
