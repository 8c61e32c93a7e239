//! Compacts the network of a finished run into a self-describing file, verified to be equal; with --int8 quantises it,
//! too.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use l0::Estimator;
use l0_data::{Benchmark, DataRecord, Dataset};
use l0_experiments::artifact::{self, Verification};
use l0_experiments::asked::{self, Left};
use l0_experiments::cli::{self, DataArgs, Validation};
use l0_experiments::convert::checked_onnx;
use l0_experiments::device::{DeviceName, VerificationArgs};
use l0_experiments::int8::{self, Int8};
use l0_experiments::network_file::{InputSize, NetworkFile};
use l0_experiments::prune::files::BROUGHT;
use l0_experiments::{say, session};
use l0_net::{Card, Model};
use l0_record::read_run;

/// Compact the network of a run, verify on all test images that the compact network is equal, and write it.
///
/// Nothing is written if a logit differs by more than 1e-4 (or a hundred-thousandth of the largest, where
/// logits are above 10), or a prediction beyond that difference, unless forced.
///
/// With --int8 an ONNX file of 8-bit integers is written, too, or, of a network that is in a file already, alone.
/// It is calibrated on training images and compared with the float network on all test images.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Folder of a finished run; with --int8 also the file of a network: ONNX, or a .safetensors file written by this
    /// program or `just convert`.
    run: PathBuf,
    /// Estimator of the gates at test time: mean (eq. 13 of the paper), median, or top-k. If not given, that of the
    /// run.
    #[arg(long)]
    estimator: Option<Estimator>,
    /// File to write; RUN/compact.safetensors if not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write an ONNX file beside it, too.
    #[arg(long)]
    onnx: bool,
    /// Write an ONNX file of 8-bit integers beside it, too, ending in .int8.onnx.
    #[arg(long)]
    int8: bool,
    /// By how many points the error may grow with --int8 (of numbers: by how many percent the RMSE).
    #[arg(long, value_name = "POINTS", default_value_t = 0.5, requires = "int8", value_parser = points, allow_negative_numbers = true)]
    int8_bound: f64,
    /// Write although the networks differ; the file will say so.
    #[arg(long)]
    force: bool,
    /// Replace files that exist.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    size: InputSize,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    verification: VerificationArgs,
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| export(&args))
}

fn export(args: &Args) -> Result<()> {
    if args.run.is_file() {
        ensure!(args.int8, "{} is a file, expected the folder of a run; --int8 quantises files", args.run.display());
        return quantise_file(args);
    }
    ensure!(args.size.input_size.is_none(), "a run says the size of its input; leave --input-size out");
    let header = read_run(&args.run)?.header;
    let Files { out, onnx, int8 } = files(args)?;
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
    // What it was tested on is part of its data.
    let validation = Validation::of_run(&header);
    let data = validation.applied(args.data.load(&source)?)?;
    let recorded = session::normalisation_of(&header.data)?.unwrap_or_else(|| data.normalise.clone());
    ensure!(
        !args.data.says_numbers() || data.normalise == recorded,
        "{}: it was trained with {recorded}, and --normalise (or --mean and --std) asks for {}; leave that out",
        args.run.display(),
        data.normalise
    );
    let data = Dataset { normalise: recorded, ..data };
    let (found, expected) = (data.digest()?, &header.data.sha256);
    ensure!(
        found == *expected,
        "{}: it was made with {source} of sha256 {expected}, this is {found}: verification and error would not be about its \
         data; name its folder with --data",
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
    let mut card = artifact::compact_card(&card, &network, estimator, &compact)?;
    artifact::add_caveat(&mut card, validation.caveat());
    let brought = args.run.join(BROUGHT);
    if brought.is_file() {
        // Of a pruning: what is written has the names, the end and the texts of the file that was brought.
        card.extra.extend(artifact::of_onnx(&l0_net::read_card(&brought)?.2));
    }
    let quantised = int8.is_some().then(|| quantised(args, &compact.model, &card, &data)).transpose()?;
    // All that may fail comes before the first file: one of several would be in the way of the next try.
    let onnx = onnx.map(|path| Ok::<_, anyhow::Error>((path, checked_onnx(&compact.model, &card)?.0))).transpose()?;
    let existing = cli::existing(args.replace);
    compact.model.save(&out, &card, existing)?;
    say!("{}", compact.model.net.summary(&l0_net::Plan::full(&compact.model.net)))?;
    if let Some(verdict) = asked::verdict(&header.config, &Left::of_network(&network, &weights, estimator)?) {
        say!("{verdict}")?;
    }
    let bytes = std::fs::metadata(&out).with_context(|| out.display().to_string())?.len();
    let caveat = validation.caveat().map_or(String::new(), |caveat| format!("; {caveat}"));
    say!("{}: {bytes} bytes, test {}{caveat}", out.display(), compact.score)?;
    if let Some((path, bytes)) = onnx {
        l0_net::write_file(&path, &bytes, existing)?;
        say!("{}: {} bytes", path.display(), bytes.len())?;
    }
    if let (Some(path), Some(quantised)) = (int8, quantised) {
        write_int8(args, &path, &quantised)?;
    }
    Ok(())
}

/// Quantises the network of a file that is there.
fn quantise_file(args: &Args) -> Result<()> {
    let file = &args.run;
    ensure!(args.estimator.is_none() && !args.onnx, "{} is no run: of a file --int8 alone is written", file.display());
    ensure!(
        args.verification.device == DeviceName::Cpu,
        "{} is no run: of a file --int8 alone is written, which the CPU computes; leave --device and L0_DEVICE out",
        file.display()
    );
    let out = args.out.clone().unwrap_or_else(|| file.with_extension(INT8));
    ensure!(
        out.extension().is_some_and(|found| found == "onnx"),
        "{} is to be an ONNX file; end its name in .onnx",
        out.display()
    );
    free(args, [&out])?;
    let NetworkFile { model, card, .. } = NetworkFile::plain(file, args.size.input_size)?;
    int8::ensure_float(&model).with_context(|| file.display().to_string())?;
    let data = args.data.load(&args.data.for_network(None, &model.net, &card, file)?)?;
    let data = args.data.known_to(file, &card, data)?;
    if let Some(trained) = &card.data
        && *trained != data.digest()?
    {
        tracing::warn!("{} was trained on other data than {}, on which it is calibrated", file.display(), data.name);
    }
    write_int8(args, &out, &quantised(args, &model, &card, &data)?)
}

/// The network in 8-bit integers, if it is worth what it should be.
fn quantised(args: &Args, model: &Model, card: &Card, data: &Dataset) -> Result<Int8> {
    let quantised = int8::int8(model, card, data, &data.normalise)?;
    match quantised.problem(args.int8_bound) {
        Some(problem) if !args.force => {
            say!("{quantised}")?;
            bail!("{problem}; nothing was written (--force writes it)")
        }
        _ => Ok(quantised),
    }
}

fn write_int8(args: &Args, path: &Path, quantised: &Int8) -> Result<()> {
    l0_net::write_file(path, &quantised.bytes, cli::existing(args.replace))?;
    Ok(say!("{}: {quantised}", path.display())?)
}

/// Reads a number of points.
fn points(text: &str) -> std::result::Result<f64, String> {
    let points = text.parse().ok().filter(|points: &f64| points.is_finite() && *points >= 0.0);
    points.ok_or_else(|| format!("{text:?} is no number of points, 0 or more"))
}

/// How the names of quantised networks end.
const INT8: &str = "int8.onnx";

/// The files to write.
struct Files {
    out: PathBuf,
    onnx: Option<PathBuf>,
    int8: Option<PathBuf>,
}

/// Fails if one of `files` is there and not to be replaced, or has no folder to be written into.
fn free<'a>(args: &Args, files: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
    files.into_iter().try_for_each(|path| cli::writable(path, cli::existing(args.replace)))
}

/// The files to write, safetensors and perhaps ONNX, none of which may lose anything.
fn files(args: &Args) -> Result<Files> {
    let out = args.out.clone().unwrap_or_else(|| args.run.join("compact.safetensors"));
    ensure!(
        out.extension().is_some_and(|found| found == "safetensors"),
        "{} is to be a safetensors file; end its name in .safetensors{}",
        out.display(),
        if args.onnx { "" } else { " (--onnx writes an ONNX file beside it)" }
    );
    let (onnx, int8) = (args.onnx.then(|| out.with_extension("onnx")), args.int8.then(|| out.with_extension(INT8)));
    free(args, [Some(&out), onnx.as_ref(), int8.as_ref()].into_iter().flatten())?;
    Ok(Files { out, onnx, int8 })
}
