//! What a network is made of: layers, costs, which units can be pruned and with which layers they are coupled.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use l0_experiments::choice::ChoiceArgs;
use l0_experiments::inspect::Inspection;
use l0_experiments::network_file::{InputSize, NetworkFile};
use l0_experiments::{cli, say};
use l0_files::write;

/// Show the layers of a network, what they cost, which units can be pruned and which layers share them.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// An ONNX file, a .safetensors file written by `just export` or `just convert`, or one on the Hub,
    /// hub:owner/name/file.onnx.
    file: PathBuf,
    #[command(flatten)]
    size: InputSize,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Draw the graph, too: layers as wide as they have units, coupled ones in one colour.
    #[arg(long, value_name = "OUT.svg")]
    svg: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long, requires = "svg")]
    replace: bool,
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| inspect(&args))
}

fn inspect(args: &Args) -> Result<()> {
    if let Some(svg) = &args.svg {
        let is_svg = svg.extension().is_some_and(|end| end.eq_ignore_ascii_case("svg"));
        ensure!(is_svg, "--svg {}: expected a name that ends in .svg, for that is what is written", svg.display());
        cli::writable(svg, cli::existing(args.replace))?;
    }
    let read = NetworkFile::read(&args.file, args.size.input_size)?;
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
