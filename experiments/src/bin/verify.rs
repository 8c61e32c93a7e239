//! Checks a compact file: its digest, its error, and its equality with the gated network it was made of.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use l0::Estimator;
use l0_data::DataSpec;
use l0_experiments::artifact::{self, Verification};
use l0_experiments::cli::{self, DataArgs};
use l0_experiments::device::VerificationArgs;
use l0_experiments::network_file::of_ours;
use l0_experiments::say;
use l0_net::Masks;

/// Check a compact file against its digest, its own claims, and the gated network it was made of.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The file.
    file: PathBuf,
    /// The gated network, or the folder of its run; gated.safetensors beside the file if that exists.
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// The data set whose test images are used; if not given, the one that the network was made for.
    #[arg(long)]
    dataset: Option<DataSpec>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    verification: VerificationArgs,
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| verify(&args))
}

fn verify(args: &Args) -> Result<()> {
    let device = args.verification.device.open()?;
    let (model, card) = of_ours(&args.file)?;
    say!("digest, description and tensors agree")?;
    let spec = args.data.for_network(args.dataset.as_ref(), &model.net, &card, &args.file)?;
    let data = args.data.known_to(&args.file, &card, args.data.load(&spec)?)?;
    let digest = data.digest()?;
    match &card.data {
        Some(trained) if *trained == digest => say!("trained on this data ({})", &digest[..12])?,
        Some(trained) => {
            let caveat = card.extra.get(l0_train::DATA_CAVEAT).and_then(serde_json::Value::as_str);
            let caveat = caveat.map_or(String::new(), |caveat| format!(" ({caveat})"));
            tracing::warn!("trained on data {trained}{caveat}, this is {digest}");
        }
        None => tracing::warn!("the file does not say what it was trained on"),
    }
    let beside = args.file.parent().map(artifact::gated_path).filter(|path| path.exists());
    let gated = match args.against.clone().or(beside) {
        Some(path) => Some(artifact::load_gated(&path)?),
        None => None,
    };
    let verification = Verification { test: &data.test, normalise: data.normalise.clone(), device };
    let compared = match &gated {
        Some((network, weights, _)) => {
            let estimator: Estimator = card.estimator.as_deref().unwrap_or("mean").parse()?;
            let masks = network.test_masks(weights, estimator)?;
            artifact::verify((network.net(), weights, &masks), &model, &verification)
        }
        None => artifact::verify((&model.net, &model.weights, &Masks::none(&model.net)), &model, &verification),
    };
    let (agreement, score) = compared.with_context(|| args.file.display().to_string())?;
    say!("test {score}")?;
    if let Some(said) = artifact::refuted(&card, score).filter(|_| card.data.as_deref() == Some(&digest)) {
        let name = args.file.display();
        ensure!(!verification.device.is_cpu(), "{name}: {said}");
        tracing::warn!("{name}: {said} on {}; --device cpu decides", args.verification.device);
    }
    match &gated {
        Some(_) if agreement.passes() => say!("equal to the gated network: {agreement}")?,
        Some(_) => bail!("not equal to the gated network: {agreement}"),
        None => match &card.agreement {
            Some(agreement) if agreement.passes() => {
                say!("the gated network is not here; when the file was written: {agreement}")?;
            }
            Some(agreement) => bail!("written with --force, not equal to the gated network: {agreement}"),
            None => tracing::warn!("the gated network is not here, and the file records no verification"),
        },
    }
    Ok(())
}
