//! `prune`: from a network that someone brings and data to a smaller, checked file, by way of a run folder.

pub mod files;
mod latency;
mod opening;
mod options;
mod page;
pub mod reading;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use l0_data::Dataset;
use l0_files::Existing;
use l0_net::{Agreement, Card, Model, OnnxReader, Prunable, Shape};
use l0_prune::{Plan, Prune, ResidualStream, Target};
use l0_record::{DataId, Error as RecordError, Run, RunFolder, RunHeader, Status, read_run};
use l0_train::Score;
use serde_json::json;

use self::files::{BROUGHT, BROUGHT_ONNX, COMPACT, ONNX, PAGE};
pub use self::opening::opening;
pub use self::page::Page;
use crate::artifact::{self, Verification};
use crate::device::Compute;
use crate::inspect::Inspection;
use crate::network_file::{self, Format, NetworkFile};
use crate::progress::Bar;
use crate::{int8, say, session};

/// Fewer steps than these tell channels apart by chance.
const FEW_STEPS: u64 = 100;

/// A network that someone brought, and the file it came in.
#[derive(Debug)]
pub struct Brought {
    /// Its name: that of the file, without what follows the last dot, or that of the row if the file lies in a run
    /// folder.
    pub name: String,
    /// The digest of the file.
    pub sha256: String,
    /// What it holds.
    pub read: NetworkFile,
}

impl Brought {
    /// Reads a network. `size` is the height and width of its input, where an ONNX file leaves them open.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: &Path, size: Option<(usize, usize)>) -> Result<Self> {
        let path = &network_file::found(path)?;
        let read = NetworkFile::plain(path, size)?;
        int8::ensure_float(&read.model).with_context(|| path.display().to_string())?;
        let of_run = path.parent().and_then(|folder| Some((folder, read_run(folder).ok()?.header.recipe)));
        let name = match of_run {
            Some((folder, recipe)) => {
                session::check_folder_name(&format!("the recipe of the run in {}", folder.display()), &recipe)?;
                recipe
            }
            None => {
                let stem = path.file_stem().context("the file has no name")?.to_string_lossy().into_owned();
                session::check_folder_name(&format!("the name of {} without its ending", path.display()), &stem)?;
                stem
            }
        };
        Ok(Self { name, sha256: network_file::digest(path)?, read })
    }

    /// The network itself.
    pub fn model(&self) -> &Model {
        &self.read.model
    }
}

/// The network in a file that one which is brought learns from, as large an image as that reads where the file leaves
/// it open.
///
/// # Errors
/// If it cannot be read, or its file says that it reads or tells apart the data otherwise.
pub fn teacher(path: &Path, brought: &Brought, data: &Dataset) -> Result<Model> {
    let path = network_file::found(path)?;
    let size = match brought.model().net.shape(0) {
        Shape::Image(_, h, w) if network_file::is_onnx(&path)? => Some((h, w)),
        _ => None,
    };
    let NetworkFile { model, card, .. } = NetworkFile::plain(&path, size)?;
    check_teacher(&card, data).with_context(|| path.display().to_string())?;
    Ok(model)
}

/// Refuses a teacher whose card says that it numbers classes, or reads examples, otherwise than its pupil.
fn check_teacher(card: &Card, data: &Dataset) -> Result<()> {
    let record = artifact::record_of(card)?;
    if let Some(record) = &record {
        let alike = |found: &[String], here: &[String]| found.is_empty() || here.is_empty() || found == here;
        ensure!(
            alike(&record.class_names, data.train.class_names()),
            "it tells apart {}, in this order, the data has {}: a teacher has to number classes as its pupil does",
            first(&record.class_names),
            first(data.train.class_names())
        );
        ensure!(
            alike(&record.columns, &data.columns),
            "it reads the columns {}, in this order, the network here {}: a teacher has to read the same",
            first(&record.columns),
            first(&data.columns)
        );
    }
    let advice = match data.train.is_table() {
        true => " (--normalise computed or none)",
        false => " (--normalise, or --mean and --std, say which)",
    };
    ensure!(
        artifact::normalise_of(card)?.is_none_or(|normalise| normalise.is_near(&data.normalise)),
        "it was trained on numbers normalised otherwise than those that the network reads here; a teacher has to read the \
         same{advice}"
    );
    Ok(())
}

/// The first of some names.
fn first(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// Where, from which random numbers and by what a pruning runs.
#[derive(Debug)]
pub struct Place<'a> {
    /// The run folder.
    pub folder: PathBuf,
    /// Address of all random numbers.
    pub seed: u64,
    /// What it runs on.
    pub compute: &'a Compute,
    /// The digest of the file of the teacher, where that is not the network itself.
    pub teacher: Option<String>,
    /// What must be said of what it is tested on.
    pub caveat: Option<String>,
}

/// What a run folder is called: "macs-0.5-seed1".
pub fn run_name(target: Target, seed: u64) -> String {
    format!("{}-seed{seed}", slug(target))
}

/// "macs-0.5", "weights-0.3", "latency-2.5".
fn slug(target: Target) -> String {
    let of = match target {
        Target::Weights(_) => "weights",
        Target::Macs(_) => "macs",
        Target::Latency(_) => "latency",
        Target::Inputs(_) => "inputs",
        Target::Price(_) => "lambda",
    };
    format!("{of}-{}", target.asked())
}

/// The settings of a run that goes on: the same, but that a target in milliseconds became a share when the run began,
/// and that its measure decided what becomes of the residual stream, unless that `is_said`.
///
/// # Errors
/// If the folder holds what cannot be read.
pub fn as_begun(prune: Prune, target: Target, is_said: bool, folder: &Path) -> Result<Prune> {
    let is_begun = folder.join("run.json").exists() && !RunFolder::makes_way(folder);
    if !matches!(target, Target::Latency(_)) || !is_begun {
        return Ok(prune);
    }
    let begun = read_run(folder)?.header.config;
    let aim = begun["objective"]["constraint"]["targets"]["model"].as_f64();
    let Some(aim) = aim.filter(|_| begun["target"] == target.to_string()) else { return Ok(prune) };
    let decided = serde_json::from_value(begun["residual_stream"].clone()).ok().filter(|_| !is_said);
    Ok(decided.map_or(prune.clone(), |stream| prune.residual_stream(stream)).aim(aim))
}

/// What speaks against a pruning before it begins: a network that does no better than a constant, or gates that learn
/// for a few steps only. `before` is what the network that was brought does on the test examples.
pub fn doubts(plan: &Plan, before: Option<Score>, data: &Dataset) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Some(score) = before.filter(|score| is_no_better_than_a_constant(score, data)) {
        let ask = match score.rmse() {
            Some(_) => {
                "are the columns, and the numbers that it predicts, standardised as in training (mean 0, standard \
                 deviation 1; --normalise none leaves them as they are)?"
            }
            None if data.train.is_table() => {
                "are its columns standardised as in training (mean 0, standard deviation 1; --normalise none leaves them \
                 as they are), and are classes in its order?"
            }
            None => {
                "is its input normalised as in training (--normalise, or --mean and --std), and are classes in its order?"
            }
        };
        doubts.push(format!(
            "the network as it was brought has {score} on the test examples, no better than always the same answer: {ask}"
        ));
    }
    let training = &plan.training;
    let steps = (training.epochs - training.frozen_epochs) * training.steps_an_epoch(data.train.len());
    if steps < FEW_STEPS {
        doubts.push(format!(
            "gates learn for {steps} steps, fewer than {FEW_STEPS}: chance has a say in what stays; more --epochs or \
             --learning-epochs, or a smaller --batch-size, give them more"
        ));
    }
    doubts
}

/// What is to be said where the residual stream is pruned without anyone's having asked for it.
pub fn said_of_stream(plan: &Plan, target: Target) -> Option<&'static str> {
    let all = Prunable::of(plan.network.net());
    let has_stream = all.clone().without_sums().map_or(true, |rest| rest.spaces().len() < all.spaces().len());
    let is_decided = !matches!(target, Target::Price(_) | Target::Inputs(_));
    (has_stream && is_decided && plan.residual_stream == ResidualStream::Pruned).then_some(
        "the residual stream is pruned, too: beside a whole one less than a quarter of the other channels would be left \
         (--residual-stream whole keeps it)",
    )
}

/// Whether always the same answer, the commonest class or the mean, would do as well.
fn is_no_better_than_a_constant(score: &Score, data: &Dataset) -> bool {
    match *score {
        Score::Numbers { r2, .. } => r2 <= 0.0,
        Score::Classes { wrong, of } => {
            let mut counts = vec![0; data.test.classes()];
            data.test.labels().iter().for_each(|&label| counts[label as usize] += 1);
            wrong > 0 && wrong + counts.into_iter().max().unwrap_or(0) >= of
        }
    }
}

/// Trains in the folder, or goes on there; whether there was anything to train: a finished run is left as it is.
///
/// # Errors
/// If the folder holds another run, or the training fails or is interrupted.
pub fn train(
    brought: &Brought,
    plan: &Plan,
    target: Target,
    data: &Dataset,
    place: &Place,
    stop: &AtomicBool,
) -> Result<bool> {
    let header = header(brought, plan, target, data, place)?;
    let path = &place.folder;
    let folder = session::begun_or_new(path, &header).map_err(|error| match error.downcast_ref() {
        Some(RecordError::Differs { .. }) => options::another(path, &header).unwrap_or(error),
        _ => error,
    })?;
    let Some(folder) = folder else {
        tracing::info!("{}: this run was finished before; nothing is trained", path.display());
        return Ok(false);
    };
    let job = plan.job(data, place.seed, place.compute.device.clone(), place.compute.precision);
    let mut bar = Bar::new(&format!("{} to {target}", brought.name), plan.training.epochs);
    l0_train::run(&job, folder, &mut bar, stop)?;
    Ok(true)
}

fn header(brought: &Brought, plan: &Plan, target: Target, data: &Dataset, place: &Place) -> Result<RunHeader> {
    let config = json!({
        "brought": { "file": brought.name, "sha256": brought.sha256 },
        "target": target.to_string(),
        "teacher": place.teacher,
        "distillation": plan.teacher.as_ref().map(l0_train::Teacher::distillation),
        "gates": plan.network.gates(),
        "residual_stream": plan.residual_stream,
        "objective": plan.objective,
        "training": plan.training,
        "augment": plan.augment,
        "normalise": data.normalise,
        "tested_on": place.caveat,
    });
    let epochs = plan.training.epochs;
    let augment = plan.augment.map(session::in_json); // it may shift images less than the data says
    Ok(RunHeader {
        title: format!("to {target} in {epochs} epochs"),
        network: format!("{} ({}), pruned", brought.name, &brought.sha256[..8]),
        revision: session::REVISION.into(),
        data: DataId { augment, ..session::data_id(data)? },
        machine: place.compute.machine()?,
        command: session::command(std::env::args_os()),
        scaled_down: place.caveat.clone(),
        synthetic: (data.name == "digits").then(|| "digits drawn by the program".into()),
        ..RunHeader::new(format!("{}-{}", brought.name, slug(target)), place.seed, config)
    })
}

/// Compacts what a finished run left, verifies it over the test images, and writes its files and the page; of a run that
/// was finished before those that are not there.
///
/// # Errors
/// If the run is not finished, the compact network differs from what was trained, or a file cannot be written.
pub fn finish(
    brought: &Brought,
    (plan, before): (&Plan, Option<Score>),
    target: Target,
    data: &Dataset,
    place: &Place,
    is_new: bool,
) -> Result<Page> {
    let folder = &place.folder;
    let is_due = |file: &str| is_new || !folder.join(file).exists();
    let run = read_run(folder)?;
    ensure!(run.header.status == Status::Finished, "{}: the run is not finished", folder.display());
    let (network, weights, card) = artifact::load_gated(folder)?;
    let estimator = serde_json::from_value(run.header.config["training"]["estimator"].clone())?;
    let device = candle_core::Device::Cpu;
    let verification = Verification { test: &data.test, normalise: data.normalise.clone(), device };
    let compact = artifact::compact(&network, &weights, estimator, &verification)?;
    equal("the compact network", &compact.agreement)?;
    let mut card = artifact::compact_card(&card, &network, estimator, &compact)?;
    artifact::add_caveat(&mut card, place.caveat.clone());
    card.extra.extend(artifact::of_onnx(&brought.read.card));
    let (masks, onnx) = (network.test_masks(&weights, estimator)?, artifact::onnx(&compact.model, &card)?);
    let read = OnnxReader::new().from_bytes(&onnx)?;
    equal("its ONNX file", &artifact::verify((network.net(), &weights, &masks), &read, &verification)?.0)?;
    let brought_onnx = artifact::onnx(brought.model(), &brought.read.card)?;
    let brought_bytes = match brought.read.format {
        Format::Onnx => brought.read.bytes,
        _ => brought_onnx.len() as u64, // so that like is compared with like
    };
    let compact_bytes = onnx.len() as u64;
    let files = [
        (BROUGHT, brought.model().to_bytes(&brought.read.card)?),
        (BROUGHT_ONNX, brought_onnx),
        (COMPACT, compact.model.to_bytes(&card)?),
        (ONNX, onnx),
    ];
    for (name, bytes) in files.iter().filter(|(name, _)| is_due(name)) {
        l0_net::write_file(folder.join(name), bytes, Existing::Replace)?;
    }
    let is_constant = |score: &Score| is_no_better_than_a_constant(score, data);
    let file = NetworkFile::read(&folder.join(COMPACT), None)?;
    let inspection = Inspection::of(&brought.name, &file)?;
    let page = Page {
        name: brought.name.clone(),
        format: brought.read.format,
        target,
        data: place.caveat.as_ref().map_or(data.name.clone(), |caveat| format!("{}, {caveat}", data.name)),
        test_images: data.test.len(),
        said_of_data: reading::said_of(data),
        score: (before, compact.score),
        cost: (brought.model().net.cost(), compact.model.net.cost()),
        bytes: (brought_bytes, compact_bytes),
        infer: latency::infer(brought.model(), &compact.model)?,
        rounding: rounding(plan)?,
        is_constant: (before.is_some_and(|score| is_constant(&score)), is_constant(&compact.score)),
        onnxruntime: latency::onnxruntime(&folder.join(BROUGHT_ONNX), &folder.join(ONNX)),
        agreement: compact.agreement,
        training: run.header.outcome.train_seconds,
        learning: learning_epochs(&run),
        rows: run.rows,
        read: l0_prune::read_of(&compact.model).len(),
        inputs: columns_read(&compact.model, data),
        drawing: inspection.svg(),
        seed: place.seed,
    };
    if is_due(PAGE) {
        l0_files::write(&folder.join(PAGE), page.html().as_bytes(), Existing::Replace)?;
    }
    say!("{page}")?;
    Ok(page)
}

/// What channels in multiples gain or lose.
fn rounding(plan: &Plan) -> Result<Option<page::Rounding>> {
    let multiple = plan.multiple();
    if multiple == 1 {
        return Ok(None);
    }
    let (free, rounded) = (plan.untrained(1)?, plan.untrained(multiple)?);
    let whole = plan.network.net().cost().macs() as f64;
    let share = |model: &Model| model.net.cost().macs() as f64 / whole;
    let macs = (share(&free), share(&rounded));
    let (free, rounded) = latency::infer(&free, &rounded)?;
    Ok(Some(page::Rounding { multiple, rounded, free, macs }))
}

/// Refuses what does not compute what was trained.
fn equal(what: &str, agreement: &Agreement) -> Result<()> {
    ensure!(agreement.passes(), "{what} differs from what was trained ({agreement}); no file was written");
    Ok(())
}

/// The columns of a table that the network still reads, by name, or by number where they have none; none of images, or
/// where all are read.
fn columns_read(model: &Model, data: &Dataset) -> Vec<String> {
    let read = l0_prune::read_of(model);
    if !data.train.is_table() || data.train.dims() == [read.len()] {
        return Vec::new();
    }
    let name = |column: u32| data.columns.get(column as usize).cloned().unwrap_or_else(|| (column + 1).to_string());
    read.into_iter().map(name).collect()
}

/// In how many epochs gates learned.
fn learning_epochs(run: &Run) -> u64 {
    let training = &run.header.config["training"];
    let of = |name: &str| training[name].as_u64().unwrap_or(0);
    of("epochs").saturating_sub(of("frozen_epochs"))
}
