//! One recipe at several targets or lambdas and seeds: error against size, as a curve.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use l0_data::{DataSpec, Dataset};
use l0_experiments::cli::{self, DataArgs, RunArgs, Validation};
use l0_experiments::device::{Compute, ComputeArgs};
use l0_experiments::failures::Failures;
use l0_experiments::rows::{self, Changes, MOST_SEEDS};
use l0_experiments::session::ToTrain;
use l0_experiments::sweep::{self, Chosen, ELSEWHERE, Point, side_by_side};
use l0_experiments::{Recipe, config, described, lineage, recipes, say, session};
use l0_record::{Status, read_run};
use l0_train::MOST_EPOCHS;

/// Train one recipe, or the network that a file describes, at several settings and seeds.
///
/// The list of runs follows from the command line alone, and from the file and its data where one is named. Finished
/// runs are skipped, unfinished ones go on, runs locked by another process are skipped, and one that fails does not stop
/// the others: give the same command again, on one machine or on many that share a folder, until all are done. In a job
/// array (SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX, or --index) a process makes one run of the list, and --jobs is
/// refused. When every run has ended, tables and figures are written beside them. The exit code is 0 if what was asked
/// for is finished, 75 if another process is still at some of it, and else 1.
#[derive(Debug, Parser)]
#[command(version, args_override_self = true, after_help = format!("Recipes:\n{}", rows::listed(&recipes::all())))]
struct Args {
    /// The recipe, as mlp-l0 or as its file, or the file of a network with gates, as my-network.toml.
    recipe: String,
    /// Target densities of the weights of all linear layers and convolutions: .1,.2,.35.
    #[arg(long, value_name = "SHARES", value_delimiter = ',', allow_hyphen_values = true)]
    targets: Vec<f64>,
    /// Target densities of the multiply-accumulates.
    #[arg(long, value_name = "SHARES", value_delimiter = ',', allow_hyphen_values = true)]
    targets_macs: Vec<f64>,
    /// Lambdas for all gated layers, in the paper's unit: 0.01,0.1,1.
    #[arg(long, value_name = "L", value_delimiter = ',', allow_hyphen_values = true)]
    lambdas: Vec<f64>,
    /// Train each setting with the seeds 1 to N.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = cli::whole(1_u64, Some(MOST_SEEDS)))]
    seeds: u64,
    /// Epochs, in place of the recipe's.
    #[arg(long, value_name = "N", value_parser = cli::whole(1_u64, Some(MOST_EPOCHS)))]
    epochs: Option<u64>,
    /// Folder for the runs: OUT/SETTING/seed-N. If not given, results/sweeps/RECIPE, or results/sweeps/NETWORK-on-DATA.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Make this run of the list alone, counted from 0.
    #[arg(long, value_name = "I", value_parser = cli::whole(0_usize, None))]
    index: Option<usize>,
    /// Make so many runs side by side, each in a process of its own with its share of the threads.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = cli::at_least_one, conflicts_with = "index")]
    jobs: usize,
    /// What a process that --jobs starts has in place of --index.
    #[arg(long, hide = true)]
    side_job: Option<usize>,
    /// Show the list of runs and how far each has come.
    #[arg(long, conflicts_with = "index")]
    list: bool,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    validation: Validation,
    #[command(flatten)]
    compute: ComputeArgs,
    #[command(flatten)]
    run: RunArgs,
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| run(&args))
}

fn run(args: &Args) -> Result<ExitCode> {
    // Before data is read: a list needs none.
    let open = || args.run.inside(|threads| args.compute.open(threads));
    let compute = (!args.list).then(open).transpose()?;
    let Swept { name, rows, loaded } = swept(args)?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("results/sweeps").join(&name));
    let points = sweep::points(&rows, &session::seeds(args.seeds, &[])?, &out)?;
    let Some(compute) = compute else {
        list(&points)?;
        return Ok(ExitCode::SUCCESS);
    };
    let stop = cli::stop_on_signals()?;
    let chosen = sweep::chosen(args.side_job.or(args.index), in_words, points.len())?;
    let asked = chosen.map_or(&points[..], |chosen| &points[chosen.index..=chosen.index]);
    if let Some(Chosen { index, variable: Some(name) }) = chosen {
        ensure!(args.jobs == 1, "--jobs is for several runs, and {name} asks for one; {}", sweep::way_out(name));
        let (run, runs) = (points[index].name(), points.len());
        say!("run {index} of {runs}, {run}, as {name} says; {}", sweep::way_out(name))?;
    }
    let data = match loaded {
        Some(data) => data,
        None => args.validation.applied(args.data.load(&points[0].recipe.data)?)?, // of all: a sweep is of one recipe
    };
    sweep::check_begun(&points, &session::data_id(&data)?, args.compute.precision.unwrap_or_default())?;
    // Processes side by side open the device themselves: here it was to be seen that it can be had.
    let compute = Some(compute).filter(|_| chosen.is_some() || args.jobs == 1);
    let failures = match compute {
        None => side_by_side(asked, args.jobs, args.run.threads, stop)?,
        Some(compute) => one_by_one(args, asked, &data, &compute, stop)?,
    };
    finish(&name, &points, &out)?;
    failures.end()?;
    let left = asked.iter().map(Point::status).collect::<Result<Vec<_>>>()?;
    let is_done = left.iter().all(|status| *status == Some(Status::Finished));
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(ELSEWHERE) })
}

/// What a variable of the environment says.
fn in_words(name: &str) -> Option<String> {
    cli::variable(name).map(|value| value.to_string_lossy().into_owned())
}

/// What a sweep is of.
struct Swept {
    /// What its folder is called if nothing else is said.
    name: String,
    /// The settings.
    rows: Vec<Recipe>,
    /// Their data, where they depend on it.
    loaded: Option<Dataset>,
}

/// The recipe, or the network that a file describes, at every setting that the command line names; as it is if there is
/// none.
fn swept(args: &Args) -> Result<Swept> {
    let (each, file) = (changes(args), Path::new(&args.recipe));
    let is_file = file.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    if is_file && !config::is_recipe_file(file) {
        let described = described::read(file)?;
        let data = described.load(&args.data, &args.validation, None)?;
        let rows = each.iter().map(|changes| described.changed(&data, changes)).collect::<Result<Vec<_>>>();
        let rows = marked(args, rows.with_context(|| args.recipe.clone())?);
        sweep::check_distinct(&rows)?;
        let on = data.source.as_ref().map_or(data.name.clone(), DataSpec::short);
        return Ok(Swept { name: format!("{}-on-{on}", described.name()), rows, loaded: Some(data) });
    }
    let recipe = match is_file {
        true => config::read(file)?,
        false => session::choose(recipes::all(), std::slice::from_ref(&args.recipe))?.remove(0),
    };
    let name = recipe.name.clone();
    let data = args.data.spec(&recipe.data)?;
    Ok(Swept { name, rows: marked(args, sweep::settings(&recipe.on(data), &each)?), loaded: None })
}

/// What the command line changes, one after another.
fn changes(args: &Args) -> Vec<Changes> {
    let changes = Changes { epochs: args.epochs, ..Changes::default() };
    let targets = args.targets.iter().map(|&share| Changes { target: Some(share), ..changes.clone() });
    let macs = args.targets_macs.iter().map(|&share| Changes { target_macs: Some(share), ..changes.clone() });
    let lambdas = args.lambdas.iter().map(|&lambda| Changes { lambdas: vec![lambda], ..changes.clone() });
    let each: Vec<Changes> = targets.chain(macs).chain(lambdas).collect();
    if each.is_empty() { vec![changes] } else { each }
}

/// The same, with what they are tested on where that is not the test images.
fn marked(args: &Args, rows: Vec<Recipe>) -> Vec<Recipe> {
    rows.into_iter().map(|row| args.validation.marked(row)).collect()
}

fn list(points: &[Point]) -> Result<()> {
    for (index, point) in points.iter().enumerate() {
        say!("{index:>4}  {:<40} {}", point.name(), point.state()?)?;
    }
    Ok(())
}

/// Makes the runs that are not finished; one that fails does not stop the others.
fn one_by_one(args: &Args, points: &[Point], data: &Dataset, compute: &Compute, stop: &AtomicBool) -> Result<Failures> {
    let mut failures = Failures::of(points.len());
    for point in points {
        if point.status()? == Some(Status::Finished) {
            say!("{}: finished before, in {}", point.name(), point.path.display())?;
            continue;
        }
        if let Err(error) = one(args, point, data, compute, stop) {
            failures.add(point.name(), error)?;
        }
    }
    Ok(failures)
}

/// Makes one run, unless another process is at it.
fn one(args: &Args, point: &Point, data: &Dataset, compute: &Compute, stop: &AtomicBool) -> Result<()> {
    let (recipe, seed, path) = (&point.recipe, point.seed, point.path.as_path());
    let run = ToTrain { recipe, seed, data, path, compute, stop };
    let done = args.run.inside(|_| lineage::train(&run, None));
    match done {
        Ok(Some(_)) => say!("{}", session::line(&read_run(&point.path)?))?,
        Ok(None) => say!("{}: finished before, in {}", point.name(), point.path.display())?,
        Err(error) if sweep::is_taken(&error) => say!("{}: another process is at it", point.name())?,
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Tables and figures, once no run is left to be made. One that failed is a row that says so.
fn finish(name: &str, points: &[Point], out: &Path) -> Result<()> {
    let states = points.iter().map(Point::status).collect::<Result<Vec<Option<Status>>>>()?;
    let count = |status| states.iter().filter(|state| **state == Some(status)).count();
    let (finished, failed) = (count(Status::Finished), count(Status::Failed));
    if finished < points.len() {
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        say!("{finished} of {} runs are finished{failed}", points.len())?;
    }
    if finished + failed < points.len() {
        return Ok(());
    }
    for picture in sweep::report(&format!("Sweep of {name}"), out)? {
        say!("{}", picture.display())?;
    }
    say!("{}", out.join("REPORT.md").display())?;
    Ok(())
}
