//! Tables, figures and the page of all recorded runs, from their files alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[cfg(feature = "png")]
use anyhow::Context;
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
    let args: Args = cli::parse();
    cli::main(|| report(&args))
}

/// Draws a figure of error against size as PNG, too, beside its file: a README shows no SVG of a repository.
#[cfg(feature = "png")]
fn draw(figure: &Path) -> Result<()> {
    let is_pareto = figure.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pareto-"));
    if !is_pareto || figure.extension().is_none_or(|end| end != "svg") {
        return Ok(());
    }
    let text = std::fs::read_to_string(figure).with_context(|| figure.display().to_string())?;
    let path = figure.with_extension("png");
    l0_files::write(&path, &l0_report::plot::png(&text, &path)?, l0_files::Existing::Replace)?;
    Ok(say!("{}", path.display())?)
}

/// What it takes to draw letters has no place in programs that train: this one was built without.
#[cfg(not(feature = "png"))]
fn draw(_figure: &Path) -> Result<()> {
    Ok(())
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
    let figures = report.write(&collection, &args.results)?;
    figures.iter().try_for_each(|path| say!("{}", path.display()))?;
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
    figures.iter().try_for_each(|path| draw(path)) // last: a machine without fonts draws no letters
}
