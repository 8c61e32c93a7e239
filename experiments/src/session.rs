//! From a recipe and a seed to a finished run folder.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail, ensure};
use l0_data::{Benchmark, DataRecord, DataSpec, Dataset, Normalise, Standing};
use l0_record::{DataId, Error as RecordError, Outcome, Run, RunFolder, RunHeader, StartedFrom, Status, read_run};
use l0_train::{Checkpoints, Finished, Job, Score, Teacher};
use serde::Serialize;
use serde_json::Value;

use crate::device::Compute;
use crate::onward::Start;
use crate::progress::Bar;
use crate::{Recipe, asked, old, reach};

/// Revision of the code that the program was built from, with a mark if it was changed since; empty outside of a
/// checkout.
pub const REVISION: &str = env!("L0_REVISION");

/// The header of a run. One on other data than that of its recipe's name belongs into a table of its own, whose name
/// tells such data apart, and repeats no published row: errors on other images are not to be compared.
///
/// # Errors
/// If the driver does not tell the name of its GPU.
pub fn header(recipe: &Recipe, seed: u64, data: &Dataset, compute: &Compute) -> Result<RunHeader> {
    let data_id = data_id(data)?;
    let (network, reference) = match &data.standing {
        _ if data_id.record.is_some() => (recipe.network_on(data, &data_id.sha256), None),
        Standing::Other { contents, .. } => (recipe.network_on_other_data(contents), None),
        Standing::Itself | Standing::Unchecked => {
            (recipe.architecture.title(&recipe.data.title()), recipe.reference.clone())
        }
    };
    Ok(RunHeader {
        title: recipe.title.clone(),
        curve: recipe.curve.clone(),
        network,
        revision: REVISION.into(),
        data: data_id,
        machine: compute.machine()?,
        command: command(std::env::args_os()),
        reference,
        scaled_down: recipe.scaled_down.clone(),
        synthetic: (data.name == "digits").then(|| "digits drawn by the program".into()),
        ..RunHeader::new(&recipe.name, seed, recipe.config())
    })
}

/// A data set as a record names it.
///
/// # Errors
/// If its images cannot be read any longer.
pub fn data_id(data: &Dataset) -> l0_data::Result<DataId> {
    // Of known data the name says all but other numbers than its own: those that were asked for, or that a network which
    // was trained before learnt to read.
    let reads_as_known = |known: Benchmark| data.normalise == known.normalise();
    let is_own = |source: &&DataSpec| source.options.normalise.is_some() || !source.known().is_some_and(reads_as_known);
    let own = data.source.as_ref().filter(is_own);
    let record = own.map(|source| DataRecord::of(source, data)).transpose()?;
    let sha256 = record.as_ref().map_or_else(|| data.digest(), |record| Ok(record.sha256.clone()))?;
    let normalise = record.is_none().then(|| in_json(&data.normalise));
    let record = record.map(in_json);
    let augment = data.augment.map(in_json);
    Ok(DataId { name: data.name.clone(), sha256, caveat: data.caveat(), record, normalise, augment })
}

/// What is written down of data, as a header keeps it.
pub(crate) fn in_json(said: impl Serialize) -> Value {
    serde_json::to_value(said).expect("names and numbers have a form in JSON")
}

/// The normalisation that a run was trained with; `None` if nothing says it.
///
/// # Errors
/// If what was written down is none.
pub fn normalisation_of(data: &DataId) -> Result<Option<Normalise>> {
    let Some(written) = data.normalisation() else {
        // Of a run of earlier versions: other constants than those of the name would have been recorded.
        return Ok(data.name.parse::<Benchmark>().ok().filter(|_| data.record.is_none()).map(Benchmark::normalise));
    };
    let read = serde_json::from_value(written.clone()).context("what the run says of its normalisation")?;
    Ok(Some(read))
}

/// A record of data with the way from the folder of the run to it, if it is a file or folder.
fn seen_from(run: &Path, record: Value) -> Result<Value> {
    let record: DataRecord = serde_json::from_value(record)?;
    Ok(serde_json::to_value(record.seen_from(run))?)
}

/// A command line as a record has it. Words that are not UTF-8, as paths may be, are shown as far as they are.
pub(crate) fn command(words: impl Iterator<Item = OsString>) -> Vec<String> {
    words.map(|word| portable(&word.to_string_lossy())).collect()
}

/// Checks that a text of a file, or a file's name, can name a folder, and no other one than that in its place.
///
/// # Errors
/// If it cannot, with what it was to be: `what`, as "the name of the network".
pub(crate) fn check_folder_name(what: &str, text: &str) -> Result<()> {
    let is_plain = !text.is_empty() && !text.starts_with('.') && !text.contains(['/', '\\', '\0']);
    ensure!(
        is_plain,
        "{what} is {text:?}, which cannot name a folder of runs: it is empty, begins with a dot or has a slash"
    );
    Ok(())
}

/// A word of a command line, an absolute path by its last part alone: the rest means nothing on another machine.
fn portable(arg: &str) -> String {
    match (Path::new(arg).is_absolute(), Path::new(arg).file_name()) {
        (true, Some(name)) => name.to_string_lossy().into_owned(),
        _ => arg.to_string(),
    }
}

/// A run that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct ToTrain<'a> {
    /// What is trained, and how.
    pub recipe: &'a Recipe,
    /// Address of all random numbers.
    pub seed: u64,
    /// What it learns from and is tested on.
    pub data: &'a Dataset,
    /// Its folder, OUT/ROW/seed-N.
    pub path: &'a Path,
    /// What computes it.
    pub compute: &'a Compute,
    /// Set where it is to stop.
    pub stop: &'a AtomicBool,
}

/// What a run has beside its recipe and seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Began<'a> {
    /// The values of another run to begin with.
    pub start: Option<&'a Start>,
    /// What it learns from beside the labels.
    pub lessons: Option<&'a Lessons>,
}

/// Teachers of a run, and what is recorded of them.
#[derive(Debug)]
pub struct Lessons {
    /// The networks.
    pub teacher: Teacher,
    /// The runs that they are from.
    pub from: Vec<StartedFrom>,
}

/// The folder of a run, for it to begin there or to go on; `None` where it is finished.
///
/// # Errors
/// If it cannot be made, or holds another run.
pub(crate) fn begun_or_new(path: &Path, header: &RunHeader) -> Result<Option<RunFolder>> {
    if !path.join("run.json").exists() {
        return Ok(Some(RunFolder::create(path, header)?));
    }
    match RunFolder::resume(path, header) {
        // And it is this very run: others are refused first. It may have been killed between its last two steps.
        Err(RecordError::Finished { .. }) => {
            Checkpoints::of(path).clear()?;
            Ok(None)
        }
        folder => Ok(Some(folder?)),
    }
}

/// Trains in the run's folder: from the start in a new one, from its newest checkpoint in that of an unfinished run. A
/// finished run is left as it is, and `None` returned. What the training cannot reach is said before it begins.
///
/// # Errors
/// If the folder holds another run, the run fails or is interrupted, or the values or teachers do not fit the network.
pub fn train_on(run: &ToTrain, began: Began) -> Result<Option<Finished>> {
    let (&ToTrain { recipe, seed, data, path, compute, stop }, Began { start, lessons }) = (run, began);
    recipe.check_data(data)?;
    let (network, objective) = (recipe.architecture.network()?, recipe.objective.clone().unwrap_or_default());
    let started_from = start.map(|start| start.from.clone());
    let mut header = RunHeader { started_from, ..header(recipe, seed, data, compute)? };
    header.data.record = header.data.record.map(|record| seen_from(path, record)).transpose()?;
    match finished(path) {
        // Of a run that is over nobody asks for the runs that its recipe wants before it.
        Some(done) => {
            header.taught_by = done.taught_by;
            header.started_from = header.started_from.or(done.started_from.filter(|from| from.by_recipe));
        }
        None => header.taught_by = lessons.map_or(Vec::new(), |lessons| lessons.from.clone()),
    }
    let Some(folder) = begun_or_new(path, &old::as_begun(path, header)?)? else { return Ok(None) };
    start.map_or(Ok(()), |start| start.keep_in(path))?;
    if start.is_none_or(|start| start.from.by_recipe) {
        warn_of_what_is_out_of_reach(recipe, seed, data)?;
    }
    let job = Job {
        network: &network,
        objective: &objective,
        training: &recipe.training,
        data,
        normalise: data.normalise.clone(),
        augment: data.augment,
        seed: start.map_or(seed, |start| start.address(seed)),
        start: start.map(|start| &start.weights),
        freeze: None,
        teacher: lessons.map(|lessons| &lessons.teacher),
        device: compute.device.clone(),
        precision: compute.precision,
    };
    let mut bar = Bar::new(&format!("{} seed {seed}", recipe.name), recipe.training.epochs);
    Ok(Some(l0_train::run(&job, folder, &mut bar, stop)?))
}

/// Whether the run in a folder is finished.
pub(crate) fn is_finished(path: &Path) -> bool {
    finished(path).is_some()
}

/// The header of the run in a folder, if there is one and it is finished.
fn finished(path: &Path) -> Option<RunHeader> {
    let run = path.join("run.json").exists().then(|| read_run(path).ok()).flatten()?;
    Some(run.header).filter(|header| header.status == Status::Finished)
}

/// Says what a training will not come to.
///
/// # Errors
/// If the network cannot be made.
pub fn warn_of_what_is_out_of_reach(recipe: &Recipe, seed: u64, data: &Dataset) -> Result<()> {
    if let Some(doubt) = reach::doubt(recipe, data.train.len())? {
        tracing::warn!("{} seed {seed}: {doubt}", recipe.name);
    }
    Ok(())
}

/// The recipes with the names in `wanted`, or all if none is given.
///
/// # Errors
/// If a name is unknown.
pub fn choose(all: Vec<Recipe>, wanted: &[String]) -> Result<Vec<Recipe>> {
    let known: Vec<&str> = all.iter().map(|recipe| recipe.name.as_str()).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("no row is called {unknown:?}; there are {}", known.join(", "));
    }
    Ok(all.into_iter().filter(|recipe| wanted.is_empty() || wanted.contains(&recipe.name)).collect())
}

/// The seeds of a command line: those listed, or the first `count` from 1.
///
/// # Errors
/// If there is none.
pub fn seeds(count: u64, listed: &[u64]) -> Result<Vec<u64>> {
    let seeds: Vec<u64> = if listed.is_empty() { (1..=count).collect() } else { listed.to_vec() };
    seeds.first().context("--seeds is 0, expected 1 or more")?;
    Ok(seeds)
}

/// A finished run in a line, with what was asked of it and what must be said of its result and of its data.
pub fn line(run: &Run) -> String {
    let RunHeader { recipe, seed, outcome, data, scaled_down, .. } = &run.header;
    let architecture: Vec<String> = outcome.architecture.iter().map(ToString::to_string).collect();
    let percent = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2} %"));
    format!(
        "{recipe} seed {seed}: {}, {} weights {}, MACs {}, {:.0} s{}{}{}",
        worth(outcome),
        if architecture.is_empty() { "all units,".into() } else { format!("{},", architecture.join("-")) },
        percent(outcome.weights_kept_percent()),
        percent(outcome.macs_kept_percent()),
        outcome.train_seconds.unwrap_or(f64::NAN),
        asked::of_run(run).map_or(String::new(), |verdict| format!("; {verdict}")),
        scaled_down.as_ref().map_or(String::new(), |caveat| format!("; {caveat}")),
        data.caveat.as_ref().map_or(String::new(), |caveat| format!("; data {caveat}"))
    )
}

/// "error 1.40 %", or "RMSE 53.20, R² 0.451" where numbers are predicted.
pub(crate) fn worth(outcome: &Outcome) -> String {
    match (outcome.test_error_percent, outcome.test_rmse, outcome.test_r2) {
        (None, Some(rmse), r2) => Score::Numbers { rmse, r2: r2.unwrap_or(f64::NAN) }.to_string(),
        (error, ..) => format!("error {}", error.map_or("-".into(), |error| format!("{error:.2} %"))),
    }
}

#[cfg(test)]
mod tests {
    use l0_data::Digits;
    use l0_report::{Collection, Report};

    use super::*;
    use crate::{published, recipes};

    #[test]
    #[cfg(unix)]
    fn a_command_line_is_recorded_whatever_its_bytes() {
        use std::os::unix::ffi::OsStringExt;
        let words = [b"/usr/bin/train".to_vec(), b"--out".to_vec(), b"runs-\xff".to_vec()];
        assert_eq!(command(words.into_iter().map(OsString::from_vec)), ["train", "--out", "runs-\u{fffd}"]);
    }

    #[test]
    fn what_would_lead_out_of_a_folder_names_none() {
        for text in ["", "..", ".hidden", "/home/u/x", "../../x", "a\\b", "a\0"] {
            let error = check_folder_name("the name", text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the name is {text:?}, which cannot name a folder")), "{error}");
        }
        check_folder_name("the name", "my network (2)").unwrap();
    }

    fn row(name: &str) -> Recipe {
        recipes::all().into_iter().find(|row| row.name == name).unwrap()
    }

    /// The tables of a report on a single run with this header.
    fn tables(header: &RunHeader) -> String {
        let temp = tempfile::tempdir().unwrap();
        let outcome = Outcome { test_error_percent: Some(1.4), ..Outcome::default() };
        RunFolder::create(temp.path().join("run"), header).unwrap().finish(outcome).unwrap();
        let report = Report { references: published::rows(), ..Report::default() };
        report.tables(&Collection::read(temp.path()).unwrap())
    }

    #[test]
    fn data_that_is_not_the_benchmark_stands_beside_no_published_row() {
        let digits = Digits { train: 20, test: 10, seed: 1 }.draw().unwrap();
        let mut data = Dataset::new("mnist", digits.train, digits.test, vec![]).unwrap();
        let row = row("mlp-l0");
        let other = tables(&header(&row, 1, &data, &Compute::cpu(1)).unwrap());
        assert!(other.contains("### MLP 784-300-100 on other data than MNIST ("), "{other}");
        let note = "\n\\* data not MNIST: 20 training images in place of 60000, 10 test images in place of 10000\n";
        assert!(other.contains("| L0, lambda = 0.1/N * |") && other.contains(note), "{other}");
        assert!(!other.contains("published") && !other.contains("Louizos"), "{other}");

        data.standing = Standing::Itself;
        let own = tables(&header(&row, 1, &data, &Compute::cpu(1)).unwrap());
        assert!(own.contains("### MLP 784-300-100\n") && own.contains("published: error %"), "{own}");
        assert!(!own.contains('*'), "{own}");

        data.standing = Standing::Unchecked;
        let unchecked = tables(&header(&row, 1, &data, &Compute::cpu(1)).unwrap());
        assert!(
            unchecked.contains("data not checked to be MNIST") && unchecked.contains("published: error %"),
            "{unchecked}"
        );
    }

    #[test]
    fn a_run_on_a_known_name_says_how_its_images_were_normalised_and_varied() {
        let images = |n: usize| l0_data::Split::new(vec![7; n * 3072], vec![0; n], (3, 32, 32), 10).unwrap();
        let data = Dataset::new("cifar10", images(2), images(1), vec![]).unwrap();
        let id = data_id(&data).unwrap();
        assert_eq!((&id.record, id.augment.as_ref().unwrap()), (&None, &serde_json::json!({ "pad": 4, "flip": true })));
        assert_eq!(normalisation_of(&id).unwrap(), Some(Normalise::cifar10()));
        let before = DataId { normalise: None, ..id.clone() };
        assert_eq!(normalisation_of(&before).unwrap(), Some(Normalise::cifar10()));
        let source = DataSpec::from(Benchmark::Cifar10);
        let otherwise = Dataset { normalise: Normalise::imagenet(), source: Some(source), ..data };
        let otherwise = data_id(&otherwise).unwrap();
        assert!(otherwise.normalise.is_none() && otherwise.record.is_some());
        assert_eq!(normalisation_of(&otherwise).unwrap(), Some(Normalise::imagenet()));
        let own = DataId { name: "photos".into(), ..before };
        assert_eq!(normalisation_of(&own).unwrap(), None);
    }

    #[test]
    fn the_name_of_a_table_of_other_data_names_no_benchmark_as_its_own() {
        let name = row("wrn-16-1-dense").network_on_other_data("0123456789");
        assert_eq!(name, "WRN-16-1 on other data than CIFAR-10 (01234567)");
    }
}
