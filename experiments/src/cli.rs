//! What the programs' command lines share: where data comes from, threads, logs, and how an error ends a program.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Termination};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use clap::builder::{OsStr, PossibleValuesParser, Resettable, TypedValueParser};
use clap::{Arg, Args, Command, CommandFactory, Parser};
use l0_data::{DataRecord, DataSpec, Dataset, ImageFolder, NormaliseBy, NormaliseName, Source, Task};
use l0_net::{Card, Existing, Net};
use l0_record::without_backtrace;
use tracing_subscriber::EnvFilter;

use crate::progress::Downloads;
use crate::{Recipe, artifact};

/// Which data, and where it comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct DataArgs {
    /// The data: a known name, a folder of pictures with one folder for each class, an .npz, .safetensors, .csv or
    /// .parquet file, or hub:owner/name. A folder with the files of a known data set (MNIST's IDX files, CIFAR's binary
    /// files, or the Hub's parquet files) is where that is read from. If not given, known data comes from the Hub's
    /// cache, then the Hub.
    #[arg(long, env = "L0_DATA", value_name = "DATA")]
    pub data: Option<String>,
    /// Rows and columns of the images that are made of pictures: the shorter side is made as long, and the centre cut
    /// out.
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub image_size: Option<usize>,
    /// How pixels become numbers: imagenet, cifar10, cifar100, mnist, unit, or computed, from the training images, as
    /// data of one's own is if nothing is said.
    #[arg(long, value_name = "NAME")]
    pub normalise: Option<NormaliseName>,
    /// Mean of each channel, of pixels from 0 to 1.
    #[arg(
        long,
        value_name = "M",
        value_delimiter = ',',
        requires = "std",
        conflicts_with = "normalise",
        allow_negative_numbers = true
    )]
    pub mean: Vec<f64>,
    /// Deviation of each channel, of pixels from 0 to 1.
    #[arg(long, value_name = "S", value_delimiter = ',', requires = "mean", allow_hyphen_values = true)]
    pub std: Vec<f64>,
    /// Column of labels, of a table or of a data set of the Hub.
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// What the labels of a table are: classes, or numbers to be predicted. If not given, text is classes, and so are
    /// whole numbers of which there are few different ones.
    #[arg(long, value_name = "TASK", value_parser = tasks())]
    pub task: Option<Task>,
}

/// Reads the name of a task.
fn tasks() -> impl TypedValueParser<Value = Task> {
    let names = PossibleValuesParser::new(["classes", "regression"]);
    names.map(|name| if name == "classes" { Task::Classes } else { Task::Regression })
}

/// A program's command line, and what the environment adds to it.
pub fn parse<T: Parser>() -> T {
    T::from_arg_matches(&command::<T>().get_matches()).unwrap_or_else(|error| error.exit())
}

/// How a program's command line is read. A variable that is set to nothing, as `L0_DATA=`, is not set.
pub fn command<T: CommandFactory>() -> Command {
    T::command().mut_args(|arg: Arg| {
        let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { arg.env(Resettable::<OsStr>::Reset) } else { arg }
    })
}

/// What a variable of the environment is set to; `None` if that is nothing.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// What becomes of a file that is there already.
pub fn existing(replace: bool) -> Existing {
    if replace { Existing::Replace } else { Existing::Keep }
}

/// Checks before any work that a file can be written.
///
/// # Errors
/// If it exists and is to be kept, or its folder does not exist.
pub fn writable(file: &Path, existing: Existing) -> Result<()> {
    let shown = file.display();
    ensure!(
        existing == Existing::Replace || !file.exists(),
        "{shown} exists already; nothing was written (--replace replaces it)"
    );
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(folder.is_dir(), "{shown}: the folder {} does not exist; make it, or name another", folder.display());
    Ok(())
}

impl DataArgs {
    /// The data that the command line asks for, in the place of `own`.
    ///
    /// # Errors
    /// If there is none of that name, or something is to be changed of a data set that is known by name.
    pub fn spec(&self, own: &DataSpec) -> Result<DataSpec> {
        let mut spec = match &self.data {
            Some(text) => self.in_place_of(own, text)?,
            None => own.clone(),
        };
        let options = &mut spec.options;
        options.size = self.image_size.or(options.size);
        options.label = self.label.clone().or(options.label.take());
        options.task = self.task.or(options.task);
        if let Some(name) = self.normalise {
            options.normalise = Some(NormaliseBy::Name(name));
        }
        if !self.mean.is_empty() {
            options.normalise = Some(NormaliseBy::Constants { mean: self.mean.clone(), std: self.std.clone() });
        }
        Ok(spec.check()?)
    }

    /// The data that a network is tried on: `dataset`, or what its file says, or else a known data set of its shape; in
    /// its place, what the command line asks for.
    ///
    /// # Errors
    /// As [`DataArgs::spec`], or if nothing names any.
    pub fn for_network(&self, dataset: Option<&DataSpec>, net: &Net, card: &Card, file: &Path) -> Result<DataSpec> {
        let own = dataset.map_or_else(|| artifact::dataset_of(net, card, file), |named| Ok(named.clone()));
        let spec = match (own, &self.data) {
            (Ok(own), _) => self.spec(&own)?,
            (Err(_), Some(text)) => self.spec(&text.parse()?)?,
            (Err(none), None) => return Err(none.context("name the data with --data")),
        };
        let is_named = dataset.is_some() || artifact::says_its_data(card) || self.data.is_some();
        if let (Some(known), false) = (spec.known(), is_named) {
            let shown = file.display();
            tracing::warn!(
                "{shown} does not say what it was trained on; using {known}, which has its image shape and number of classes \
                 (--data names other data)"
            );
        }
        Ok(spec)
    }

    /// A folder is another place of what is asked for, unless it holds pictures.
    fn in_place_of(&self, own: &DataSpec, text: &str) -> Result<DataSpec> {
        let is_dir = Path::new(text).is_dir();
        if own.known().is_some_and(|known| text != known.as_str()) && is_dir && !holds_pictures(text) {
            return Ok(own.clone());
        }
        let spec: DataSpec = text.parse()?;
        let is_alike = match own.known() {
            Some(known) => spec.known() == Some(known),
            None => std::mem::discriminant(&spec.origin) == std::mem::discriminant(&own.origin),
        };
        Ok(if is_alike { DataSpec { options: own.options.clone(), ..spec } } else { spec })
    }

    /// Whether the command line says by which numbers inputs are normalised.
    pub fn says_numbers(&self) -> bool {
        self.normalise.is_some() || !self.mean.is_empty()
    }

    /// Data as the network of a file knows it that has this card ([`artifact::as_trained`]), read by the numbers that the
    /// command line says, if it says some.
    ///
    /// # Errors
    /// As there.
    pub fn known_to(&self, card: &Card, data: Dataset) -> Result<Dataset> {
        let said = self.says_numbers().then(|| data.normalise.clone());
        let data = artifact::as_trained(card, data)?;
        Ok(Dataset { normalise: said.unwrap_or(data.normalise), ..data })
    }

    /// The Hub's cache and the Hub, as the environment has it.
    pub fn source(&self) -> Source {
        hub_source()
    }

    /// The data that a run recorded, or what the command line asks for in its place. A file or folder that is not where
    /// it was when it was recorded is looked for where it was as seen from `beside`, the folder of the run.
    ///
    /// # Errors
    /// As [`spec`](Self::spec).
    pub fn recorded(&self, record: &DataRecord, beside: &Path) -> Result<DataSpec> {
        self.spec(&record.found_from(beside))
    }

    /// Loads a data set with a progress bar. What must be said of it is said at once.
    ///
    /// # Errors
    /// As [`l0_data::load`].
    pub fn load(&self, spec: &DataSpec) -> Result<Dataset> {
        let place = self.data.as_ref().filter(|text| spec.known().is_some_and(|known| **text != known.as_str()));
        if let Some(path) = spec.path().filter(|path| !path.exists()) {
            bail!("{} is not there; --data names the folder or file of the data", path.display());
        }
        let source = Source { dir: place.map(PathBuf::from), ..self.source() };
        let data = l0_data::load(spec.clone(), &source, &Downloads::default()).map_err(advised)?;
        if let Some(caveat) = data.caveat() {
            tracing::warn!("{spec} is {caveat}");
        }
        data.choices.iter().for_each(|choice| tracing::info!("{spec}: {choice}"));
        data.notes.iter().for_each(|note| tracing::warn!("{spec}: {note}"));
        Ok(data)
    }
}

/// How a caveat calls what `--validation` tests on. The words are those of recorded runs, which go on only where they
/// are said again.
pub const HELD_OUT: &str = "training images that were held out";

/// What a run is tested on.
#[derive(Debug, Clone, Default, Args)]
pub struct Validation {
    /// Hold out N training examples and test on them instead: for choosing settings, never for a result. A run of this
    /// kind is resumed with the same N.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    validation: Option<usize>,
}

impl Validation {
    /// The data with what is tested on.
    ///
    /// # Errors
    /// If there are not so many training examples.
    pub fn applied(&self, mut data: Dataset) -> Result<Dataset> {
        if let Some(n) = self.validation {
            (data.train, data.test) = data.train.split_off(n, 0)?;
        }
        Ok(data)
    }

    /// The row with what must be said of its test images.
    pub fn marked(&self, row: Recipe) -> Recipe {
        match self.caveat() {
            Some(caveat) => row.with_caveat(&caveat),
            None => row,
        }
    }

    /// What must be said of results; nothing if the test images are those of the data.
    pub fn caveat(&self) -> Option<String> {
        self.validation.map(|n| format!("tested on {n} {HELD_OUT}"))
    }
}

/// The Hub's cache and the Hub, as the environment (HF_HUB_OFFLINE) has it.
pub fn hub_source() -> Source {
    let offline = std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| is_on(&value));
    Source { offline, ..Source::default() }
}

/// Whether a folder holds pictures in folders, one for each class.
pub fn holds_pictures(dir: impl AsRef<Path>) -> bool {
    let is_whole = |dir: &Path| ImageFolder::open(dir).is_ok_and(|folder| folder.holds_pictures());
    // A part of it does where the whole is laid out wrongly: what is wrong is said by who reads it.
    let parts = || std::fs::read_dir(dir.as_ref()).into_iter().flatten().flatten();
    is_whole(dir.as_ref()) || parts().any(|part| is_whole(&part.path()))
}

/// An error of the data, with what helps in a program: the library knows of no command line.
pub fn advised(error: l0_data::Error) -> anyhow::Error {
    let helps = match &error {
        l0_data::Error::NeedsHub { .. } => "build this program with --features hub, or use --data DIR or L0_DATA",
        l0_data::Error::NeedsSize { .. } => "--image-size 64",
        l0_data::Error::Offline { .. } => "unset HF_HUB_OFFLINE, or use --data DIR or L0_DATA",
        _ if error.wants_folder() => "--data DIR or L0_DATA names a folder",
        _ => return error.into(),
    };
    anyhow::anyhow!("{error} ({helps})")
}

/// What is logged: all that the crates of this workspace which a program is made of have to say, the program's own lines
/// among them, and warnings of others.
fn usual_filter() -> String {
    let program = std::env::current_exe().ok().and_then(|path| Some(path.file_stem()?.to_str()?.replace('-', "_")));
    let own = program.map_or(String::new(), |name| format!(",{name}=info"));
    format!("warn,l0_train=info,l0_experiments=info{own}")
}

/// Whether a variable of the Hub's says yes, in the words that the Hub's own tools take for it.
fn is_on(value: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// How a program runs.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Threads to use; the results do not depend on it. All cores if not given.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

impl RunArgs {
    /// Runs `body` on one of the threads that do the work, and hands it their number: work that starts on a thread of
    /// the pool need not wake another one first.
    ///
    /// # Errors
    /// If the number of threads is 0, or as `body`.
    pub fn inside<T: Send>(&self, body: impl FnOnce(usize) -> Result<T> + Send) -> Result<T> {
        let mut builder = rayon::ThreadPoolBuilder::new();
        if let Some(threads) = self.threads {
            anyhow::ensure!(threads > 0, "--threads is 0, expected 1 or more");
            builder = builder.num_threads(threads);
        }
        let pool = builder.build().context("cannot start the threads")?;
        pool.install(|| body(rayon::current_num_threads()))
    }
}

/// Writes a line to standard output. Where nobody reads any longer (`| head`), it goes nowhere and the work goes on.
///
/// # Errors
/// If it cannot be written for another reason, as on a full disk.
pub fn say(line: std::fmt::Arguments) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_fmt(format_args!("{line}\n")) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => {
            done.map_err(|error| std::io::Error::new(error.kind(), format!("cannot write to standard output: {error}")))
        }
    }
}

/// As `println!`, by way of [`cli::say`](say), with its `Result`.
#[macro_export]
macro_rules! say {
    ($($line:tt)*) => { $crate::cli::say(format_args!($($line)*)) };
}

/// Reads a count of at least 1.
///
/// # Errors
/// If it is none.
pub fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| format!("{text:?} is not a whole number of 1 or more"))
}

static STOP: AtomicBool = AtomicBool::new(false);

/// A flag that the first SIGINT or SIGTERM sets; the second ends the program at once.
///
/// # Errors
/// If the signals cannot be caught.
pub fn stop_on_signals() -> Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .context("cannot catch interrupts")?;
    Ok(&STOP)
}

/// Runs a program's `main`: logs on standard error (RUST_LOG sets what), an error as its message and exit code 1. The
/// exit code is 0 otherwise, or that which `body` chose.
///
/// RUST_BACKTRACE shows where a program panicked, which is a fault of the program. An error is mostly one of what it
/// was given: its message comes with a backtrace only where RUST_LIB_BACKTRACE asks for that of errors.
pub fn main<T: Termination>(body: impl FnOnce() -> Result<T>) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual_filter()));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
    match body() {
        Ok(done) => done.report(),
        Err(error) => {
            let asked = std::env::var("RUST_LIB_BACKTRACE").is_ok_and(|value| value != "0");
            eprintln!("error: {}", said(&error, asked));
            ExitCode::FAILURE
        }
    }
}

/// What an error and its causes say.
fn said(error: &anyhow::Error, with_backtrace: bool) -> String {
    let all = format!("{error:#}");
    if with_backtrace { all } else { without_backtrace(&all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_its_backtrace_only_where_that_is_asked_for() {
        let trace = std::backtrace::Backtrace::force_capture();
        let error = anyhow::anyhow!("found 2 densities\n{trace}").context("the run in x");
        assert_eq!(said(&error, false), "the run in x: found 2 densities");
        assert!(said(&error, true).lines().count() > 5);
    }

    #[test]
    fn a_variable_is_on_in_the_words_of_the_hub() {
        assert!(["1", "True", "YES", "on"].into_iter().all(is_on));
        assert!(!["", "0", "False", "no", "off"].into_iter().any(is_on));
    }
}
