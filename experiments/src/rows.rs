//! The command line of a table: which of its rows, with what changed, how often, and where to.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use l0::{Estimator, Quantity, Targets};
use l0_data::{Benchmark, DataRecord, DataSpec, Dataset};
use l0_record::{Error as RecordError, Run, RunFolder, RunHeader, Status, free_path, read_run, run_path};
use l0_train::{Finished, MOST_EPOCHS, Precision};

use crate::cli::{self, DataArgs, HELD_OUT, RunArgs, Validation};
use crate::device::{Compute, ComputeArgs};
use crate::estimate::Estimate;
use crate::failures::Failures;
use crate::onward::{self, Start};
use crate::session::ToTrain;
use crate::{Architecture, Recipe, config, described, lineage, old, recipes, say, session, sweep};

/// More seeds than anyone has time for.
pub const MOST_SEEDS: u64 = 10_000;

/// What a command line changes in a row.
#[derive(Debug, Clone, Default, Args)]
pub struct Changes {
    /// Epochs, in place of the row's.
    #[arg(long, value_name = "N", value_parser = cli::whole(1_u64, Some(MOST_EPOCHS)))]
    pub epochs: Option<u64>,
    /// Lambdas of the gated layers, in the unit of the paper, in place of the row's: one for all, or one for each.
    #[arg(long, value_name = "L", value_delimiter = ',', conflicts_with_all = ["target", "target_macs", "targets"], allow_hyphen_values = true)]
    pub lambdas: Vec<f64>,
    /// Target density of the weights, in place of a lambda: 0.2. Weights are those of all linear layers and
    /// convolutions, those without gates too; biases and normalisation are not counted.
    #[arg(long, value_name = "SHARE", conflicts_with_all = ["target_macs", "targets"], allow_negative_numbers = true)]
    pub target: Option<f64>,
    /// Target density of the multiply-accumulates of all linear layers and convolutions.
    #[arg(long, value_name = "SHARE", conflicts_with = "targets", allow_negative_numbers = true)]
    pub target_macs: Option<f64>,
    /// Target densities of the gates of each gated layer: .5,.3,.7,.1.
    #[arg(long, value_name = "SHARES", value_delimiter = ',', allow_hyphen_values = true)]
    pub targets: Vec<f64>,
    /// Estimator of the gates at test time, in place of the row's: mean, median or top-k.
    #[arg(long, value_name = "NAME")]
    pub estimator: Option<Estimator>,
}

impl Changes {
    /// The row with the changes. One that someone wrote, that comes after another row or learns from images that the
    /// program draws keeps its name and title in theirs, and stands beside no published row.
    ///
    /// # Errors
    /// If the row has no gates to hold or to price, a number is out of range or one of the wrong count, or the changed
    /// row would have the name of a published one.
    pub fn apply(&self, row: &Recipe) -> Result<Recipe> {
        let all = recipes::all();
        let is_known = |name: &str| all.iter().any(|known| known.name == name);
        // What a changed row is called by its network alone begins with random values, has no teacher, and learns from
        // the images of the published rows.
        let is_drawn = row.data.known() == Some(Benchmark::Digits);
        let keeps_name = !is_known(&row.name) || row.start.is_some() || row.teacher.is_some() || is_drawn;
        let mut changed = row.clone();
        if !self.lambdas.is_empty() {
            changed = gated(changed, "a lambda")?;
            let held = changed.objective.as_ref().is_some_and(|objective| objective.constraint().is_some());
            ensure!(
                !held,
                "{} is held to a density, so lambdas mean nothing for it; hold it to another one, or name a row with lambdas, as mlp-l0",
                row.name
            );
            changed = changed.with_lambdas(&self.lambdas);
        }
        if let Some((targets, quantity)) = self.held_to() {
            let base = if keeps_name { row.name.clone() } else { row.architecture.short() };
            changed = gated(changed, "a target density")?.held_as(&base, targets, quantity);
        }
        if keeps_name && changed.name != row.name {
            changed.title = format!("{}, {}", row.title, changed.title);
            changed.reference = None;
            let (origin, name) = (&row.name, &changed.name);
            ensure!(!is_known(name), "{origin} would be called {name} now, the name of another row; call it otherwise");
        }
        if let Some(estimator) = self.estimator {
            changed = gated(changed, "an estimator")?.read_by(estimator);
        }
        if let Some(epochs) = self.epochs {
            changed = changed.with_epochs(epochs);
        }
        changed.check()?;
        Ok(changed)
    }

    /// Whether they hold a row to a target.
    pub(crate) fn is_held(&self) -> bool {
        self.held_to().is_some()
    }

    /// What the row is to be held to.
    fn held_to(&self) -> Option<(Targets, Quantity)> {
        let params = self.target.map(|share| (Targets::Model(share), Quantity::Weights));
        let macs = self.target_macs.map(|share| (Targets::Model(share), Quantity::Macs));
        let layers = Some(&self.targets).filter(|each| !each.is_empty());
        params.or(macs).or(layers.map(|each| (Targets::Layers(each.clone()), Quantity::Weights)))
    }
}

/// The row, if it has gates that `what` can mean something for.
fn gated(row: Recipe, what: &str) -> Result<Recipe> {
    let next = match row.architecture {
        Architecture::Layers { .. } => "the file of a network says gates = \"prunable\", a recipe gating = \"l0\"",
        _ => "name a row with gates, as mlp-l0",
    };
    ensure!(row.is_gated(), "{} has no gates, so {what} means nothing for it; {next}", row.name);
    Ok(row)
}

/// The rows that a command line may name, as its help says it.
pub fn listed(rows: &[Recipe]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let lines = rows.iter().map(|row| format!("  {:width$}  {}", row.name, row.title));
    lines.collect::<Vec<String>>().join("\n")
}

/// Which rows to train, and how.
#[derive(Debug, Clone, Args)]
pub struct RowArgs {
    /// Rows to train; all if none is named.
    pub rows: Vec<String>,
    /// Train the recipe in this file, as --print-config writes one, in place of a row.
    #[arg(long, value_name = "FILE", conflicts_with = "rows")]
    pub config: Option<PathBuf>,
    /// Write the chosen recipe, with all its settings, and train nothing.
    #[arg(long, conflicts_with_all = ["estimate", "seeds", "seed", "out"])]
    pub print_config: bool,
    /// Go on with the run in this folder; recipe, seed and all that is said of its data but the place are its own.
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "rows", "config", "print_config", "estimate", "seeds", "seed", "out", "epochs", "lambdas", "target", "target_macs", "targets",
        "estimator", "image_size", "normalise", "mean", "std", "label", "task",
    ])]
    pub resume: Option<PathBuf>,
    /// Train the finished run in this folder for --epochs N more, as a run of its own: it begins with the averages that
    /// the other left, and with new moments; gates that it froze stay frozen. Its folder is ROW-E-then-N/seed-S, beside
    /// the other's or below --out.
    #[arg(long, value_name = "DIR", requires = "epochs", conflicts_with_all = [
        "rows", "config", "print_config", "resume", "estimate", "seeds", "seed", "lambdas", "target", "target_macs", "targets", "estimator",
        "image_size", "normalise", "mean", "std", "label", "task",
    ])]
    pub continue_from: Option<PathBuf>,
    /// Train the units that the finished run in this folder kept from new values, with the settings of its row: is it
    /// the values or the widths that pruning finds? Its folder is ROW-scratch/seed-S, beside the other's or below
    /// --out.
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "rows", "config", "print_config", "resume", "continue_from", "estimate", "seeds", "seed", "epochs", "lambdas", "target",
        "target_macs", "targets", "estimator", "image_size", "normalise", "mean", "std", "label", "task",
    ])]
    pub scratch: Option<PathBuf>,
    /// Train each row with the seeds 1 to N.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = cli::whole(1_u64, Some(MOST_SEEDS)))]
    pub seeds: u64,
    /// Train each row with these seeds instead.
    #[arg(long, value_name = "SEED", value_delimiter = ',', conflicts_with = "seeds", value_parser = cli::whole(0_u64, None))]
    pub seed: Vec<u64>,
    /// What to change.
    #[command(flatten)]
    pub changes: Changes,
    /// What to test on.
    #[command(flatten)]
    pub validation: Validation,
    /// Say how long each row will take on this machine, and train nothing.
    #[arg(long)]
    pub estimate: bool,
    /// Folder for the runs: OUT/ROW/seed-N. If not given, results/DATA/DATE: the date of the latest folder where one of
    /// them was left unfinished, or else today's.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where data comes from.
    #[command(flatten)]
    pub data: DataArgs,
    /// With what the program trains.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// How the program runs.
    #[command(flatten)]
    pub run: RunArgs,
}

impl RowArgs {
    /// Trains the chosen ones of `all`; below results/, the data's name and today's date if the command line names no
    /// folder.
    ///
    /// # Errors
    /// If the command line does not fit the rows, or a run fails.
    pub fn train(&self, all: Vec<Recipe>) -> Result<()> {
        self.run.inside(|threads| self.train_with(all, threads))
    }

    /// Trains what `rows` names the files of: networks ([`described`]) and recipes ([`config`]).
    ///
    /// # Errors
    /// As [`train`](Self::train), or if a file is neither of both, or describes no network for the data.
    pub fn train_files(&self) -> Result<()> {
        self.run.inside(|threads| match self.rows.is_empty() {
            true if [&self.config, &self.resume, &self.continue_from, &self.scratch]
                .iter()
                .all(|path| path.is_none()) =>
            {
                bail!("name the file of a network, as examples/networks/mlp.toml, or of a recipe")
            }
            true => self.train_with(vec![], threads),
            false => {
                let compute = self.opened(threads)?;
                let (rows, loaded) = self.of_files()?;
                self.train_each(&rows, loaded, compute)
            }
        })
    }

    /// What `rows` names the files of, with every setting, and the data of the last network.
    fn of_files(&self) -> Result<(Vec<Recipe>, Option<Dataset>)> {
        let (mut rows, mut loaded) = (Vec::new(), None::<Dataset>);
        for file in &self.rows {
            if config::is_recipe_file(Path::new(file)) {
                rows.push(self.adapted(&config::read(Path::new(file))?).with_context(|| file.clone())?);
                continue;
            }
            let described = described::read(Path::new(file))?;
            let data = described.load(&self.data, &self.validation, loaded.take())?;
            let row = described.changed(&data, &self.changes).with_context(|| file.clone())?;
            rows.push(self.validation.marked(row));
            loaded = Some(data);
        }
        Ok((rows, loaded))
    }

    fn train_with(&self, all: Vec<Recipe>, threads: usize) -> Result<()> {
        if let Some(run) = &self.resume {
            return self.go_on(run, threads);
        }
        if let (Some(run), Some(epochs)) = (&self.continue_from, self.changes.epochs) {
            let (header, before) = self.made(run)?;
            let start = Start::after(run, &header, &before)?;
            return self.begin_with(run, &header, (&start, &onward::recipe(&header, &before, epochs)), threads);
        }
        if let Some(run) = &self.scratch {
            let (header, before) = self.made(run)?;
            let start = Start::from_scratch(run, &header, &before)?;
            return self.begin_with(run, &header, (&start, &onward::recipe_from_scratch(&before)), threads);
        }
        let rows = match &self.config {
            Some(file) => vec![config::read(file)?],
            None => session::choose(all, &self.rows)?,
        };
        let rows = rows.iter().map(|row| self.adapted(row)).collect::<Result<Vec<Recipe>>>()?;
        self.train_each(&rows, None, self.opened(threads)?)
    }

    /// What trains, opened before any data is read; nothing where a recipe is written and nothing is trained.
    fn opened(&self, threads: usize) -> Result<Option<Compute>> {
        (!self.print_config).then(|| self.compute.open(threads)).transpose()
    }

    /// Trains each of the rows with each seed; `loaded` is data that is at hand.
    fn train_each(&self, rows: &[Recipe], mut loaded: Option<Dataset>, compute: Option<Compute>) -> Result<()> {
        let Some(compute) = compute else {
            let [row] = rows else { bail!("--print-config writes one recipe, not {}; name a row", rows.len()) };
            return Ok(say!("{}", config::print(row)?.trim_end())?);
        };
        sweep::check_distinct(rows)?;
        let seeds = session::seeds(self.seeds, &self.seed)?;
        let stop = cli::stop_on_signals()?;
        let folders = rows.iter().map(|row| self.folder(row, rows, &seeds)).collect::<Result<Vec<PathBuf>>>()?;
        let mut failures = Failures::of(rows.len() * seeds.len());
        for (row, folder) in rows.iter().zip(&folders) {
            let data = match loaded.take() {
                Some(data) if data.source.as_ref() == Some(&row.data) => data,
                _ => self.load(&row.data)?,
            };
            for &seed in &seeds {
                if self.estimate {
                    say!("{} seed {seed}: {}", row.name, Estimate::of(row, &data, &compute)?)?;
                    for (earlier, seed) in still_before(row, seed, folder)? {
                        say!("  before it {} seed {seed}: {}", earlier.name, Estimate::of(&earlier, &data, &compute)?)?;
                    }
                    session::warn_of_what_is_out_of_reach(row, seed, &data)?;
                    continue;
                }
                let path = run_path(folder, &row.name, seed)?;
                // Steps that fail are for the run to tell.
                if let (false, Ok(estimate)) = (path.join("run.json").exists(), Estimate::of(row, &data, &compute)) {
                    tracing::info!("{} seed {seed}: {estimate}", row.name);
                }
                let run = ToTrain { recipe: row, seed, data: &data, path: &path, compute: &compute, stop };
                match lineage::train(&run, None) {
                    Ok(done) => say_done(row, seed, &path, done)?,
                    Err(error) => failures.add(format!("{} seed {seed}", row.name), more_epochs(error, row, &path))?,
                }
            }
            loaded = Some(data);
        }
        failures.end()
    }

    /// The folder for the runs of a row, one for all rows of its data.
    fn folder(&self, row: &Recipe, rows: &[Recipe], seeds: &[u64]) -> Result<PathBuf> {
        if let Some(out) = &self.out {
            return Ok(out.clone());
        }
        let root = Path::new("results").join(row.data.short());
        let rows = rows.iter().filter(|other| other.data == row.data);
        let runs: Vec<(Recipe, u64)> = rows.flat_map(|row| seeds.iter().map(|&seed| (row.clone(), seed))).collect();
        let before = runs.iter().map(|(row, seed)| lineage::before(row, *seed)).collect::<Result<Vec<_>>>()?;
        let runs: Vec<(Recipe, u64)> = before.into_iter().flatten().chain(runs).collect();
        let precision = self.compute.precision.unwrap_or_default();
        Ok(unfinished(&root, &runs, precision)?.unwrap_or_else(|| root.join(l0_record::today())))
    }

    /// Trains on where the run in a folder stopped.
    fn go_on(&self, run: &Path, threads: usize) -> Result<()> {
        let (header, recipe) = self.made(run)?;
        if header.status == Status::Finished {
            return say_done(&recipe, header.seed, run, None);
        }
        let said = header.started_from.as_ref().filter(|from| !from.by_recipe); // else the recipe says it again
        let start = said.map(|from| Start::of(run, from)).transpose()?;
        let compute = self.compute.open_for(&header, threads)?;
        let stop = cli::stop_on_signals()?;
        let data = self.load_of(run, &header, &recipe)?;
        let to_train = ToTrain { recipe: &recipe, seed: header.seed, data: &data, path: run, compute: &compute, stop };
        let done = lineage::train(&to_train, start.as_ref())?;
        say_done(&recipe, header.seed, run, done)
    }

    /// Trains a run of its own that begins with what the finished one in a folder left.
    fn begin_with(&self, run: &Path, header: &RunHeader, begun: (&Start, &Recipe), threads: usize) -> Result<()> {
        let ((start, recipe), seed) = (begun, header.seed);
        let whole = run.canonicalize().with_context(|| run.display().to_string())?;
        let beside = whole.ancestors().nth(2).unwrap_or(&whole);
        let path = run_path(self.out.as_deref().unwrap_or(beside), &recipe.name, seed)?;
        let compute = self.compute.open_for(header, threads)?;
        let stop = cli::stop_on_signals()?;
        let data = self.load_of(run, header, recipe)?;
        let (found, expected) = (data.digest()?, &header.data.sha256);
        ensure!(
            found == *expected,
            "{}: its data has sha256 {expected}, this is {found}; name its folder",
            run.display()
        );
        let to_train = ToTrain { recipe, seed, data: &data, path: &path, compute: &compute, stop };
        say_done(recipe, seed, &path, lineage::train(&to_train, Some(start))?)
    }

    /// The run in a folder and its recipe. One that was tested on held-out images wants the same ones.
    fn made(&self, run: &Path) -> Result<(RunHeader, Recipe)> {
        let (header, recipe) = onward::made(run)?;
        let held_out = recipe.scaled_down.as_ref().filter(|what| what.contains(HELD_OUT));
        if let (Some(what), None) = (held_out, self.validation.caveat()) {
            bail!("the run in {} was {what}: give --validation with the same number", run.display());
        }
        Ok((header, recipe))
    }

    /// The data of the run in a folder, by the name that the run has for it, wherever it is found, and with the
    /// normalisation that the run was trained with.
    fn load_of(&self, run: &Path, header: &RunHeader, recipe: &Recipe) -> Result<Dataset> {
        let data = match header.data.record.clone() {
            None => self.load(&recipe.data)?,
            Some(record) => {
                let record: DataRecord = serde_json::from_value(record).context("what the run says of its data")?;
                let data = self.load(&self.data.recorded(&record, run)?)?;
                Dataset { source: Some(recipe.data.clone()), ..data }
            }
        };
        let normalise = session::normalisation_of(&header.data)?.unwrap_or_else(|| data.normalise.clone());
        Ok(Dataset { normalise, ..data })
    }

    fn load(&self, spec: &DataSpec) -> Result<Dataset> {
        self.validation.applied(self.data.load(spec)?)
    }

    /// The row as the command line changes it; what then differs from the published one is said wherever a run is
    /// shown.
    fn adapted(&self, row: &Recipe) -> Result<Recipe> {
        let mut changed = self.changes.apply(row)?;
        let data = self.data.spec(&changed.data)?;
        changed = changed.on(data);
        Ok(self.validation.marked(changed))
    }
}

/// The last folder below `root`, so that of the latest date, where one of the runs was begun and not finished.
fn unfinished(root: &Path, runs: &[(Recipe, u64)], precision: Precision) -> Result<Option<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(root) else { return Ok(None) }; // nothing was trained yet
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    for folder in folders.into_iter().rev() {
        for (row, seed) in runs {
            if is_unfinished(&run_path(&folder, &row.name, *seed)?, row, precision) {
                return Ok(Some(folder));
            }
        }
    }
    Ok(None)
}

/// Whether `path` holds a run of just this row that can be resumed.
fn is_unfinished(path: &Path, row: &Recipe, precision: Precision) -> bool {
    let Ok(Run { header, .. }) = read_run(path) else { return false };
    let same = old::check_config(path, &header, &row.config()).is_ok() && header.scaled_down == row.scaled_down;
    same && header.machine.precision() == precision.name() && header.status != Status::Finished
}

/// The folder of a run that goes beside others of its name: `path` or the first of `path.2`, `path.3`, … that is free,
/// or that holds this run, begun and not finished, while no other process is at it.
pub fn place_beside(path: &Path, row: &Recipe, precision: Precision) -> PathBuf {
    free_path(path, |path| is_unfinished(path, row, precision) && !RunFolder::is_locked(path))
}

/// The runs that a run begins with or learns from, and that are still to be trained.
fn still_before(row: &Recipe, seed: u64, folder: &Path) -> Result<Vec<(Recipe, u64)>> {
    let mut runs = Vec::new();
    for (earlier, seed) in lineage::before(row, seed)? {
        if !session::is_finished(&run_path(folder, &earlier.name, seed)?) {
            runs.push((earlier, seed));
        }
    }
    Ok(runs)
}

/// Where a finished run is asked for more epochs than it had: how to train it further.
fn more_epochs(error: anyhow::Error, row: &Recipe, path: &Path) -> anyhow::Error {
    let is_setting =
        |found: &RecordError| matches!(found, RecordError::Differs { field, .. } if field.starts_with("config."));
    if !error.downcast_ref().is_some_and(is_setting) {
        return error;
    }
    let Ok((RunHeader { status: Status::Finished, .. }, before)) = onward::made(path) else { return error };
    match row.training.epochs.checked_sub(before.training.epochs) {
        Some(more @ 1..) => {
            let path = path.display();
            anyhow::anyhow!("{error}; --continue-from {path} --epochs {more} trains it further, as a run of its own")
        }
        _ => error,
    }
}

fn say_done(row: &Recipe, seed: u64, path: &Path, done: Option<Finished>) -> Result<()> {
    match done {
        Some(_) => say!("{}\n{}", session::line(&read_run(path)?), path.display())?,
        None => say!("{} seed {seed}: finished before, in {}", row.name, path.display())?,
    }
    Ok(())
}

#[cfg(test)]
mod tests;
