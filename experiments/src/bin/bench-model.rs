//! What exported files are worth: size, multiply-accumulates, error and latency of each, beside those of the network
//! before pruning.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use candle_core::Device;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{FromArgMatches, Parser};
use l0_data::{DataSpec, Dataset};
use l0_experiments::artifact::{self, Verification};
use l0_experiments::cli::{self, DataArgs, RunArgs};
use l0_experiments::latency::{BATCHES, BEFORE, Candidate, alternate};
use l0_experiments::network_file::{InputSize, NetworkFile};
use l0_experiments::{int8, onnxruntime, say};
use l0_infer::Engine;
use l0_net::{Card, Masks, Model, Net, Params};
use l0_report::{Align, Table};
use l0_train::Score;

/// Compare exported files with the network before pruning: bytes, parameters, multiply-accumulates, test error,
/// latency at batch 1, 64 and 256 with one thread and with all, throughput and peak memory.
///
/// What is quantised is set beside the first float network among the files, in onnxruntime too, where a Python has
/// that.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Compact files: .safetensors as `just export` and `just convert` write them, or ONNX.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    size: InputSize,
    /// How often the networks take turns.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = cli::at_least_one)]
    rounds: usize,
    /// The data set whose test images are used; if not given, the one that the network was made for.
    #[arg(long)]
    dataset: Option<DataSpec>,
    /// A Python that has onnxruntime.
    #[arg(long, env = "L0_PYTHON", default_value = "python3")]
    python: String,
    /// Leave the error out: needs no data.
    #[arg(long, conflicts_with_all = ["dataset", "image_size", "normalise", "mean", "std", "label", "task"])]
    no_error: bool,
    /// Print the peak memory of running one file, in bytes; how this program measures it.
    #[arg(long, hide = true)]
    memory: bool,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// One line of the table.
struct Entry {
    name: String,
    model: Model,
    bytes: u64,
    score: Option<Score>,
    memory: Option<u64>,
}

fn main() -> ExitCode {
    let mut command = cli::command::<Args>();
    let matches = command.get_matches_mut();
    let is_typed = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    if is_typed("no_error") && is_typed("data") {
        // Clap would refuse L0_DATA, too, which is there for other programs.
        let said = "the argument '--no-error' cannot be used with '--data <DATA>'";
        command.error(ErrorKind::ArgumentConflict, said).exit();
    }
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli::main(|| args.run.inside(|threads| bench(&args, threads)))
}

fn bench(args: &Args, threads: usize) -> Result<()> {
    if args.memory {
        return memory(args, &args.files[0]);
    }
    let data = if args.no_error { None } else { Some(data(args)?) };
    let mut entries = Vec::new();
    for path in &args.files {
        let NetworkFile { model, card, bytes, .. } = read(args, path)?;
        let data = data.clone().map(|data| args.data.known_to(path, &card, data)).transpose()?;
        if entries.is_empty()
            && let Some(whole) = card.extra.get("whole")
        {
            let net: Net = serde_json::from_value(whole.clone()).context("the network before pruning, in the card")?;
            entries.push(whole_entry(args, net)?);
        }
        if let (Some(data), Some(trained)) = (&data, &card.data)
            && *trained != data.digest()?
        {
            tracing::warn!(
                "{} was trained on other data than {}: its error is on what it never saw",
                path.display(),
                data.name
            );
        }
        let score = data.as_ref().map(|data| score(&model, data)).transpose();
        let score = score.with_context(|| path.display().to_string())?;
        let name = path.display().to_string();
        entries.push(Entry { name, model, bytes, score, memory: memory_of(args, path) });
    }
    let candidates = entries.iter().map(|entry| Candidate::new(&entry.model.net, &entry.model.weights, threads));
    let mut candidates = candidates.collect::<Result<Vec<_>>>()?;
    alternate(&mut candidates, args.rounds)?;
    say!("{}", l0_record::machine(threads).describe())?;
    say!("{}", table(&entries, &candidates, threads).markdown())?;
    beside_float(args, &entries, &candidates)
}

/// A network without gates in a file.
fn read(args: &Args, path: &Path) -> Result<NetworkFile> {
    NetworkFile::plain(path, args.size.of(path)?)
}

/// What share of the float network's time a quantised one takes, here and in onnxruntime.
fn beside_float(args: &Args, entries: &[Entry], candidates: &[Candidate]) -> Result<()> {
    let quantised = entries.iter().map(|entry| int8::is_int8(&entry.model)).collect::<Result<Vec<bool>>>()?;
    let own = |i: &usize| entries[*i].name != BEFORE;
    let Some(float) = (0..entries.len()).filter(own).find(|&i| !quantised[i]) else { return Ok(()) };
    let found: Vec<usize> = (0..entries.len()).filter(|&i| quantised[i]).collect();
    for &i in &found {
        let shares =
            std::array::from_fn(|batch| candidates[i].median(batch, false) / candidates[float].median(batch, false));
        say!("{}", verdict(&entries[i].name, &entries[float].name, "here", shares))?;
    }
    if found.is_empty() {
        return Ok(());
    }
    let Some(times) = in_onnxruntime(args, entries, &[&[float], &found[..]].concat())? else {
        return Ok(say!("onnxruntime: {} does not have it; L0_PYTHON names a Python that does", args.python)?);
    };
    for &i in &found {
        let shares = std::array::from_fn(|batch| times[&i][batch] / times[&float][batch]);
        let [a, b] = [i, float].map(|i| times[&i].map(|ms| format!("{ms:.4}")).join(" / "));
        say!(
            "onnxruntime, ms at batch {}, 1 thr.: {} {a}, {} {b}",
            BATCHES.map(|b| b.to_string()).join(" / "),
            entries[i].name,
            entries[float].name
        )?;
        say!("{}", verdict(&entries[i].name, &entries[float].name, "in onnxruntime", shares))?;
    }
    Ok(())
}

/// Milliseconds of some networks in onnxruntime for each batch, with one thread: of what they are exported to. A file
/// that somebody else wrote may want another number of examples, or other numbers than float32.
fn in_onnxruntime(args: &Args, entries: &[Entry], wanted: &[usize]) -> Result<Option<HashMap<usize, [f64; 3]>>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut files = Vec::new();
    for i in wanted {
        let file = folder.path().join(format!("network-{i}.onnx"));
        let bytes = artifact::onnx(&entries[*i].model, &Card::default())?;
        std::fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        files.push(file);
    }
    let Some(times) = onnxruntime::times(&args.python, &files)? else { return Ok(None) };
    let mut found = HashMap::new();
    for (&i, times) in wanted.iter().zip(&times) {
        let [a, b, c] = BATCHES.map(|batch| onnxruntime::median(times, 1, batch));
        found.insert(i, [a?, b?, c?]);
    }
    Ok(Some(found))
}

/// The shares in words, and plainly where the quantised network is the slower one.
fn verdict(name: &str, float: &str, place: &str, shares: [f64; 3]) -> String {
    let each = BATCHES.iter().zip(shares).map(|(batch, share)| format!("{share:.2} at batch {batch}"));
    let slower: Vec<String> =
        BATCHES.iter().zip(shares).filter(|(_, share)| *share > 1.0).map(|(batch, _)| batch.to_string()).collect();
    let slower =
        if slower.is_empty() { String::new() } else { format!("; SLOWER than float at batch {}", slower.join(", ")) };
    format!("{name} takes {} of the time of {float} {place}{slower}", each.collect::<Vec<_>>().join(", "))
}

/// The network before pruning, with values that do not matter: it is here for its speed and size.
fn whole_entry(args: &Args, net: Net) -> Result<Entry> {
    let weights = Params::init(&net, 1, &Device::Cpu)?.detached();
    let model = Model::new(net, weights)?;
    let bytes = model.to_bytes(&Card::default())?;
    let file = tempfile::Builder::new().suffix(".safetensors").tempfile().context("cannot make a temporary file")?;
    std::fs::write(&file, &bytes).with_context(|| format!("cannot write {}", file.path().display()))?;
    let memory = memory_of(args, file.path());
    Ok(Entry { name: BEFORE.into(), model, bytes: bytes.len() as u64, score: None, memory })
}

/// The data set that all files are tested on.
fn data(args: &Args) -> Result<Dataset> {
    let NetworkFile { model, card, .. } = read(args, &args.files[0])?;
    let spec = args.data.for_network(args.dataset.as_ref(), &model.net, &card, &args.files[0])?;
    args.data.load(&spec)
}

fn score(model: &Model, data: &Dataset) -> Result<Score> {
    let itself = (&model.net, &model.weights, &Masks::none(&model.net));
    let verification = Verification { test: &data.test, normalise: data.normalise.clone(), device: Device::Cpu };
    Ok(artifact::verify(itself, model, &verification)?.1)
}

/// Peak memory of a program of its own that runs the file at batch 256.
fn memory_of(args: &Args, file: &Path) -> Option<u64> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.arg("--memory").arg(file);
    if let Some((h, w)) = args.size.input_size {
        command.args(["--input-size", &format!("{h}x{w}")]);
    }
    let output = command.output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn memory(args: &Args, file: &Path) -> Result<()> {
    let model = read(args, file)?.model;
    let mut engine = Engine::new(&model.net, &model.weights)?;
    engine.run(&vec![0.5; 256 * engine.input_len()], 256)?;
    say!("{}", l0_record::peak_memory_bytes().context("this system does not tell")?)?;
    Ok(())
}

fn table(entries: &[Entry], candidates: &[Candidate], threads: usize) -> Table {
    let mut columns = vec![("file".to_string(), Align::Left)];
    let is_number = entries.iter().any(|entry| entry.score.is_some_and(|score| score.rmse().is_some()));
    let worth = if is_number { "RMSE" } else { "error %" };
    let right = ["bytes", "parameters", "MACs", worth].map(|name| (name.to_string(), Align::Right));
    columns.extend(right);
    let turns = if threads > 1 { &[false, true][..] } else { &[false] };
    for all in turns {
        let threads = if *all { threads } else { 1 };
        columns.extend(BATCHES.map(|batch| (format!("ms, batch {batch}, {threads} thr."), Align::Right)));
    }
    columns.extend(["images/s", "peak MB"].map(|name| (name.to_string(), Align::Right)));
    let mut table = Table::new(columns);
    for (entry, candidate) in entries.iter().zip(candidates) {
        let cost = entry.model.net.cost();
        let mut cells =
            vec![entry.name.clone(), entry.bytes.to_string(), cost.params().to_string(), cost.macs().to_string()];
        let number = |score: Score| score.error_percent().map_or_else(|| score.shown(), |error| format!("{error:.2}"));
        cells.push(entry.score.map_or("-".into(), number));
        for &all in turns {
            cells.extend((0..BATCHES.len()).map(|i| format!("{:.4}", candidate.median(i, all))));
        }
        let last = BATCHES.len() - 1;
        cells.push(format!("{:.0}", 1e3 * BATCHES[last] as f64 / candidate.median(last, true)));
        cells.push(entry.memory.map_or("-".into(), |bytes| format!("{:.1}", bytes as f64 / 1e6)));
        table.push(cells);
    }
    table
}
