//! Tables, figures and the page of all recorded runs, from their files alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use l0_experiments::{asked, cli, published, say};
use l0_report::{Growth, Report, splice};

/// Where runs lie unless one says otherwise.
const RESULTS: &str = "results";

/// Rebuild REPORT.md, report.html and the figures from the runs under a folder, and the README's short tables.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Folder with the runs; the report is written into it.
    #[arg(default_value = RESULTS)]
    results: PathBuf,
    /// Document whose part between the markers `results:start` and `results:end` is replaced, and that between
    /// `speed:start` and `speed:end` if there are recorded times. If not given, README.md for the folder results/, if it
    /// has the markers, and none for others.
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args: Args = cli::parsed();
    cli::main(|| report(&args))
}

fn report(args: &Args) -> Result<()> {
    let collection = asked::collection(&args.results)?;
    for warning in collection.warnings() {
        tracing::warn!("{warning}");
    }
    ensure!(
        !collection.groups().is_empty(),
        "there is no run below {}; name the folder that has them",
        args.results.display()
    );
    let report = Report {
        title: "Learning sparse neural networks by L0 regularisation".into(),
        introduction: published::INTRODUCTION.into(),
        command: "just report".into(),
        references: published::rows(),
        gates: Some(published::gate_curves()?),
        growth: Growth::latest(args.results.join("bench/growth"))?,
    };
    for path in report.write(&collection, &args.results)? {
        say!("{}", path.display())?;
    }
    let is_usual = Path::new(RESULTS)
        .canonicalize()
        .is_ok_and(|usual| args.results.canonicalize().is_ok_and(|found| found == usual));
    let is_marked = |file: &PathBuf| std::fs::read_to_string(file).is_ok_and(|text| text.contains("<!-- results:"));
    let usual = || {
        let found = is_usual.then(|| PathBuf::from("README.md"))?;
        let is_ours = is_marked(&found);
        if !is_ours {
            tracing::info!("{} is not there or has no markers, and stays as it is", found.display());
        }
        is_ours.then_some(found)
    };
    if let Some(readme) = args.readme.clone().or_else(usual) {
        splice(&readme, "results", &report.tables(&collection))?;
        let speed = report.speed(args.results.join("bench"))?;
        if !speed.is_empty() {
            splice(&readme, "speed", &speed)?;
        }
        say!("{}", readme.display())?;
    }
    Ok(())
}
