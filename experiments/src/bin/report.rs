//! Tables, figures and the page of all recorded runs, from their files alone.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use l0_experiments::{cli, published};
use l0_record::{Collection, Report, splice};

/// Rebuild REPORT.md, report.html and the figures from the runs under a folder, and the README's table.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Folder with the runs; the report is written into it.
    #[arg(default_value = "results")]
    results: PathBuf,
    /// Document whose part between the markers `results:start` and `results:end` is replaced, and that between `speed:start` and `speed:end` if there are recorded times; none if empty.
    #[arg(long, value_name = "FILE", default_value = "README.md")]
    readme: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    cli::main(|| report(&args))
}

fn report(args: &Args) -> Result<()> {
    let collection = Collection::read(&args.results)?;
    for warning in collection.warnings() {
        tracing::warn!("{warning}");
    }
    let report = Report {
        title: "Learning sparse neural networks by L0 regularisation".into(),
        introduction: published::INTRODUCTION.into(),
        command: "just report".into(),
        references: published::rows(),
        gates: Some(published::gate_curves()?),
    };
    for path in report.write(&collection, &args.results)? {
        println!("{}", path.display());
    }
    if !args.readme.is_empty() {
        splice(&args.readme, "results", &report.tables(&collection))?;
        let speed = report.speed(args.results.join("bench"))?;
        if !speed.is_empty() {
            splice(&args.readme, "speed", &speed)?;
        }
        println!("{}", args.readme);
    }
    Ok(())
}
