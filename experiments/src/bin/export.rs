//! Compacts the network of a finished run into a self-describing file, verified to be equal.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use l0::Estimator;
use l0_data::{Benchmark, DataRecord};
use l0_experiments::artifact::{self, Verification};
use l0_experiments::asked::{self, Left};
use l0_experiments::cli::{self, DataArgs};
use l0_experiments::device::VerificationArgs;
use l0_experiments::say;
use l0_net::Existing;
use l0_record::read_run;

/// Compact the network of a run, verify on all test images that the compact network is equal, and write it.
///
/// Nothing is written if a logit differs by more than 1e-4, or a prediction beyond that difference, unless forced.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Folder of a finished run.
    run: PathBuf,
    /// Estimator of the gates at test time: mean (eq. 13 of the paper), median, or top-k. If not given, that of the run.
    #[arg(long)]
    estimator: Option<Estimator>,
    /// File to write; RUN/compact.safetensors if not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write an ONNX file beside it, too.
    #[arg(long)]
    onnx: bool,
    /// Write although the networks differ; the file will say so.
    #[arg(long)]
    force: bool,
    /// Replace files that exist.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    verification: VerificationArgs,
}

fn main() -> ExitCode {
    let args = Args::parse();
    cli::main(|| export(&args))
}

fn export(args: &Args) -> Result<()> {
    let header = read_run(&args.run)?.header;
    let (out, onnx) = files(args)?;
    let device = args.verification.device.open()?;
    let source = match header.data.record.clone() {
        Some(record) => {
            let record: DataRecord = serde_json::from_value(record).context("what the run says of its data")?;
            args.data.recorded(&record, &args.run)?
        }
        None => args.data.spec(&header.data.name.parse::<Benchmark>()?.into())?,
    };
    let estimator = match args.estimator {
        Some(estimator) => estimator,
        None => serde_json::from_value(header.config["training"]["estimator"].clone())
            .with_context(|| format!("{}: its config names no estimator; name one", args.run.display()))?,
    };
    let (network, weights, card) = artifact::load_gated(&args.run)?;
    let data = args.data.load(&source)?;
    let (found, expected) = (data.digest()?, &header.data.sha256);
    ensure!(
        found == *expected,
        "{}: it was made with {source} of sha256 {expected}, this is {found}: verification and error would not be about its \
         data; name its folder with --data (images held out by --validation make it another, too)",
        args.run.display()
    );
    let verification = Verification { test: &data.test, normalise: data.normalise.clone(), device };
    let compact = artifact::compact(&network, &weights, estimator, &verification)?;
    say!("{}", compact.agreement)?;
    if !compact.agreement.passes() && !args.force {
        bail!("the compact network is not equal to the gated one; nothing was written (--force writes it)");
    }
    if compact.model.is_constant()? {
        tracing::warn!("the network is pruned to nothing: its output is the same for every image");
    }
    let card = artifact::compact_card(&card, &network, estimator, &compact)?;
    let existing = if args.replace { Existing::Replace } else { Existing::Keep };
    compact.model.save(&out, &card, existing)?;
    say!("{}", compact.model.net.summary(&l0_net::Plan::full(&compact.model.net)))?;
    if let Some(verdict) = asked::verdict(&header.config, &Left::of_network(&network, &weights, estimator)?) {
        say!("{verdict}")?;
    }
    let bytes = std::fs::metadata(&out).with_context(|| out.display().to_string())?.len();
    say!("{}: {bytes} bytes, test {}", out.display(), compact.score)?;
    if let Some(onnx) = onnx {
        let bytes = artifact::onnx(&compact.model, &card)?;
        l0_net::write_file(&onnx, &bytes, existing)?;
        say!("{}: {} bytes", onnx.display(), bytes.len())?;
    }
    Ok(())
}

/// The files to write, safetensors and perhaps ONNX, neither of which may lose anything.
fn files(args: &Args) -> Result<(PathBuf, Option<PathBuf>)> {
    let out = args.out.clone().unwrap_or_else(|| args.run.join("compact.safetensors"));
    let is = |extension: &str| out.extension().is_some_and(|found| found == extension);
    ensure!(!is("onnx"), "{} is to be a safetensors file; --onnx writes the ONNX file beside it", out.display());
    let beside = || if is("safetensors") { out.with_extension("onnx") } else { out.with_added_extension("onnx") };
    let onnx = args.onnx.then(beside);
    if let (false, Some(path)) = (args.replace, [Some(&out), onnx.as_ref()].into_iter().flatten().find(|p| p.exists()))
    {
        bail!("{} exists already; nothing was written (--replace replaces it)", path.display());
    }
    Ok((out, onnx))
}
