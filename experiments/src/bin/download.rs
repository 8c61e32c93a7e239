//! Fetches data sets through the Hub into its cache, checked.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use l0_data::{Benchmark, DataSpec};
use l0_experiments::cli;
use l0_experiments::progress::Downloads;
use l0_experiments::say;

/// Download data sets into the Hub's cache and check every file.
///
/// HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN and HF_HUB_OFFLINE are honoured. What is in the cache is not fetched
/// again.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// mnist, cifar10, cifar100 or hub:owner/name.
    #[arg(default_value = "mnist", value_parser = |name: &str| name.parse::<DataSpec>())]
    names: Vec<DataSpec>,
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| download(&args))
}

fn download(args: &Args) -> Result<()> {
    let source = cli::DataArgs::default().source();
    for name in &args.names {
        if let Some(path) = name.path() {
            bail!(
                "{}: a file or folder is read where it is; name mnist, cifar10, cifar100 or hub:owner/name",
                path.display()
            );
        }
        if name.known() == Some(Benchmark::Digits) {
            say!("digits are drawn by the program: there is nothing to download")?;
        }
        for file in l0_data::download(name.clone(), &source, &Downloads::default()).map_err(cli::advised)? {
            say!("{}  {}", file.sha256, file.path.display())?;
        }
    }
    Ok(())
}
