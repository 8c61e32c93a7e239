//! What a network is made of: layers, costs, which units can be pruned and with which layers they are coupled.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use l0_experiments::choice::ChoiceArgs;
use l0_experiments::inspect::Inspection;
use l0_experiments::network_file::{NetworkFile, input_size};
use l0_experiments::{cli, say};
use l0_files::write;

/// Show the layers of a network, what they cost, which units can be pruned and which layers share them.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// An ONNX file, or a network file of ours; or hub:owner/name/file.onnx, one on the Hub.
    file: PathBuf,
    /// Height and width of the input, where an ONNX file leaves them open.
    #[arg(long, value_name = "HxW", value_parser = input_size)]
    input_size: Option<(usize, usize)>,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Draw the graph, too: layers as wide as they have units, coupled ones in one colour.
    #[arg(long, value_name = "OUT.svg")]
    svg: Option<PathBuf>,
    /// Draw it even where there is a file of that name.
    #[arg(long, requires = "svg")]
    replace: bool,
}

fn main() -> ExitCode {
    let args: Args = cli::parsed();
    cli::main(|| inspect(&args))
}

fn inspect(args: &Args) -> Result<()> {
    if let Some(svg) = &args.svg {
        let is_svg = svg.extension().is_some_and(|end| end.eq_ignore_ascii_case("svg"));
        ensure!(is_svg, "--svg {}: expected a name that ends in .svg, for that is what is written", svg.display());
        cli::writable(svg, cli::existing(args.replace))?;
    }
    let read = NetworkFile::read(&args.file, args.input_size)?;
    let name = args.file.file_name().unwrap_or(args.file.as_os_str()).to_string_lossy();
    let inspection = Inspection::of(&name, &read)?.chosen(&args.choice)?;
    match args.json {
        true => say!("{}", serde_json::to_string_pretty(&inspection)?)?,
        false => say!("{}", inspection.to_string().trim_end())?,
    }
    if let Some(svg) = &args.svg {
        write(svg, inspection.svg().as_bytes(), cli::existing(args.replace))?;
    }
    Ok(())
}
