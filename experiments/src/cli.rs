//! What the programs' command lines share: where data comes from, threads, logs, and how an error ends a program.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Termination};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use clap::builder::{OsStr, PossibleValuesParser, Resettable, TypedValueParser};
use clap::{Arg, Args, Command, CommandFactory, Parser};
use l0_data::{DataRecord, DataSpec, Dataset, ImageFolder, NormaliseBy, NormaliseName, Source, Task};
use l0_net::{Card, Existing, Net};
use l0_record::{RunHeader, without_backtrace};
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
    /// data of one's own is if nothing is said. Columns of a table, and the numbers to predict: computed, or none, as
    /// they are.
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
    /// Standard deviation of each channel, of pixels from 0 to 1.
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

/// How a program's command line is read. A variable that is set to nothing, as `L0_DATA=`, is not set. A negative number
/// is a value of the option before it, which then says what it takes: clap would take it for an option, and advise what
/// is no help.
pub fn command<T: CommandFactory>() -> Command {
    T::command().mut_args(|arg: Arg| {
        let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        let arg = if is_empty { arg.env(Resettable::<OsStr>::Reset) } else { arg };
        if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg }
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

    /// Data as the network in `file` knows it, which has this card ([`artifact::as_trained`]), read by the numbers that
    /// the command line says, if it says some. Where neither says any, the numbers are guessed, and that is said.
    ///
    /// # Errors
    /// As there.
    pub fn known_to(&self, file: &Path, card: &Card, data: Dataset) -> Result<Dataset> {
        if self.says_numbers() {
            return Ok(match artifact::record_of(card)? {
                Some(record) => record.as_named(data)?,
                None => data,
            });
        }
        let is_known = data.source.as_ref().is_some_and(|source| source.known().is_some());
        if artifact::normalise_of(card)?.is_none() && !is_known {
            let other = if data.train.is_table() {
                "--normalise none leaves columns as they are"
            } else {
                "--normalise says another"
            };
            tracing::warn!(
                "{} does not record its normalisation; using the mean and standard deviation of the training examples ({other})",
                file.display()
            );
        }
        artifact::as_trained(card, data)
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
    pub fn applied(&self, data: Dataset) -> Result<Dataset> {
        Ok(match self.validation {
            Some(n) => data.hold_out(n)?,
            None => data,
        })
    }

    /// The row with what must be said of its test images.
    pub fn marked(&self, row: Recipe) -> Recipe {
        match self.caveat() {
            Some(caveat) => row.with_caveat(&caveat),
            None => row,
        }
    }

    /// What the run with this header was tested on, which it says in its caveat.
    pub fn of_run(header: &RunHeader) -> Self {
        let said = header.scaled_down.iter().flat_map(|said| said.split("; "));
        let count = |said: &str| said.strip_prefix("tested on ")?.strip_suffix(HELD_OUT)?.trim().parse().ok();
        Self { validation: said.filter_map(count).next() }
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

/// More threads than any machine has cores: as many as these start in a moment, more may not start at all.
const MOST_THREADS: usize = 1024;

/// How a program runs.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Threads to use, 1024 at most; the results do not depend on it. All cores if not given.
    #[arg(long, value_name = "N", value_parser = whole(1_usize, Some(MOST_THREADS)))]
    pub threads: Option<usize>,
}

impl RunArgs {
    /// Runs `body` on one of the threads that do the work, and hands it their number: work that starts on a thread of
    /// the pool need not wake another one first.
    ///
    /// # Errors
    /// If the threads cannot be started, or as `body`.
    pub fn inside<T: Send>(&self, body: impl FnOnce(usize) -> Result<T> + Send) -> Result<T> {
        let mut builder = rayon::ThreadPoolBuilder::new();
        if let Some(threads) = self.threads {
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

/// Reads a whole number of `least` or more, and of `most` at most where there is such a bound.
pub fn whole<T>(
    least: T,
    most: Option<T>,
) -> impl Fn(&str) -> std::result::Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Copy + Send + Sync + 'static,
{
    move |text: &str| {
        let is_in_range = |n: &T| *n >= least && most.is_none_or(|most| *n <= most);
        let is_too_long =
            text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<T>().is_err();
        let range = || match most {
            Some(most) => format!("{least} to {most}"),
            None if is_too_long => format!("{least} or more that {} bits hold", 8 * size_of::<T>()),
            None => format!("{least} or more"),
        };
        text.parse().ok().filter(is_in_range).ok_or_else(|| format!("{text:?} is not a whole number of {}", range()))
    }
}

/// Reads a count of at least 1.
///
/// # Errors
/// If it is none.
pub fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    whole(1, None)(text)
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
    use clap::FromArgMatches;

    use super::*;

    #[test]
    fn an_error_shows_its_backtrace_only_where_that_is_asked_for() {
        let trace = std::backtrace::Backtrace::force_capture();
        let error = anyhow::anyhow!("found 2 densities\n{trace}").context("the run in x");
        assert_eq!(said(&error, false), "the run in x: found 2 densities");
        assert!(said(&error, true).lines().count() > 5);
    }

    #[test]
    fn an_option_names_the_range_of_its_whole_numbers() {
        let said = |text| whole(1_u64, Some(1000))(text).unwrap_err();
        assert_eq!((whole(1_u64, Some(1000))("1000"), whole(0_u64, None)("0")), (Ok(1000), Ok(0)));
        assert_eq!(
            (said("0"), said("1001")),
            ("\"0\" is not a whole number of 1 to 1000".into(), "\"1001\" is not a whole number of 1 to 1000".into())
        );
        let said = "\"18446744073709551616\" is not a whole number of 0 or more that 64 bits hold";
        assert_eq!(whole(0_u64, None)("18446744073709551616").unwrap_err(), said);
        assert_eq!(whole(0_u64, None)("-1").unwrap_err(), "\"-1\" is not a whole number of 0 or more");
        assert_eq!(at_least_one("1.5").unwrap_err(), "\"1.5\" is not a whole number of 1 or more");
    }

    #[test]
    fn a_negative_number_is_a_value_and_no_option() {
        #[derive(Debug, Parser)]
        struct Numbers {
            #[arg(long, value_parser = whole(0_u64, None))]
            seed: u64,
            #[arg(long)]
            flag: bool,
        }
        let parsed = |args: &[&str]| command::<Numbers>().try_get_matches_from(args);
        let error = parsed(&["program", "--seed", "-1"]).unwrap_err().to_string();
        assert!(error.contains("\"-1\" is not a whole number of 0 or more"), "{error}");
        let numbers = Numbers::from_arg_matches(&parsed(&["program", "--flag", "--seed", "1"]).unwrap()).unwrap();
        assert!(numbers.flag && numbers.seed == 1);
    }

    #[test]
    fn a_run_says_how_many_images_were_held_out_for_it() {
        let said = |caveat: Option<&str>| {
            let header = RunHeader::new("mlp", 1, serde_json::Value::Null);
            Validation::of_run(&RunHeader { scaled_down: caveat.map(String::from), ..header }).caveat()
        };
        let own = Validation { validation: Some(100) }.caveat().unwrap();
        assert_eq!(said(Some(&own)), Some(own.clone()));
        assert_eq!(said(Some(&format!("1 of 200 epochs; {own}"))), Some(own));
        assert_eq!((said(Some("1 of 200 epochs")), said(None)), (None, None));
    }

    #[test]
    fn a_variable_is_on_in_the_words_of_the_hub() {
        assert!(["1", "True", "YES", "on"].into_iter().all(is_on));
        assert!(!["", "0", "False", "no", "off"].into_iter().any(is_on));
    }
}
