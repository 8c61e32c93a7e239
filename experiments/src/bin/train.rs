//! Trains networks that somebody described in files, and recipes in files, on data of their own.

use std::process::ExitCode;

use clap::{FromArgMatches, Parser};
use l0_experiments::cli;
use l0_experiments::rows::RowArgs;

/// Train the network that a file describes, layer by layer, on any data, or a recipe, which says every setting.
///
/// What the file of a network does not say is usual; examples/networks holds some, and docs/guide/own-data.md says how
/// they are written. A file stands for a row, which the options speak of. Each run leaves a folder: it can be resumed,
/// exported, verified, reported on and asked for predictions, whatever program began it.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    rows: RowArgs,
}

fn main() -> ExitCode {
    let files = "Files of networks, as examples/networks/resnet.toml, or of recipes, as --print-config writes them";
    let command = cli::command::<Args>().mut_arg("rows", |arg| arg.value_name("FILE").help(files));
    let args = Args::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    cli::main(|| args.rows.train_files())
}
