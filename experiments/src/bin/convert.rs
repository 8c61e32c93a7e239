//! An ONNX file becomes a .safetensors file, or one of those an ONNX file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use l0_experiments::convert::{NewValues, convert};
use l0_experiments::network_file::InputSize;
use l0_experiments::{cli, say};
use l0_net::Rename;

/// Write an ONNX file as a .safetensors file, as `just export` writes them, or one of those as ONNX.
///
/// What is written is read back before, and must give what the first file's network gives.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The file to read: .onnx or .safetensors, or one on the Hub, hub:owner/name/file.onnx.
    from: PathBuf,
    /// The file to write, of the other kind; with --values of either.
    to: PathBuf,
    #[command(flatten)]
    size: InputSize,
    /// Take the values of this safetensors file, as PyTorch writes a state_dict, in the place of the network's own.
    #[arg(long, value_name = "FILE")]
    values: Option<PathBuf>,
    /// How names of --values become those of the network, where they differ: 'module.*=*'. A star stands for any part
    /// of a name. Of several rules the first that fits is followed.
    #[arg(long, value_name = "FROM=TO", requires = "values")]
    rename: Vec<Rename>,
    /// Replace files that exist.
    #[arg(long)]
    replace: bool,
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| run(&args))
}

fn run(args: &Args) -> Result<()> {
    let existing = cli::existing(args.replace);
    let values = args.values.as_deref().map(|file| NewValues { file, rules: &args.rename });
    let done = convert(&args.from, &args.to, args.size.input_size, values, existing)?;
    if let (Some(file), false) = (&args.values, done.left_over.is_empty()) {
        say!("{}: no layer asked for {}", file.display(), few(&done.left_over))?;
    }
    let net = &done.model.net;
    let (layers, params) = (net.nodes().len() - 1, net.cost().params());
    let (input, output) = (net.shape(0), net.shape(net.output()));
    say!("{}: {layers} layers, {params} parameters, reads {input}, gives {output}", args.from.display())?;
    say!("{}: {} bytes; read back, outputs differ by {:.1e} at most", args.to.display(), done.bytes, done.difference)
        .map_err(Into::into)
}

/// The first of some names, and how many more there are.
fn few(names: &[String]) -> String {
    let shown = names.len().min(5);
    let more = if names.len() > shown { format!(" and {} more", names.len() - shown) } else { String::new() };
    names[..shown].join(", ") + &more
}
