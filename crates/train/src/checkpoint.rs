//! Checkpoints: everything a step depends on, so that a resumed run goes on bit for bit.
//!
//! A checkpoint is a safetensors file: the values ("param."), their averages ("average."), the optimisers' moments
//! ("moment1.", "moment2."), and in its metadata the seed, the position, the sums of the epoch so far, the multipliers,
//! and what the training was configured with. None of that may change: also more epochs would make another training,
//! whose rates fall later and whose frozen gates would learn again. It is written under a temporary name, synced and
//! renamed; the last two are kept. A digest of all of it tells a damaged one, which is set aside, so that it neither
//! stands for a good one nor is lost. A whole one of another training is refused and left where it is.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use l0::Multipliers;
use l0_files::{At, Existing, Sha256};
use l0_record::compare::{Difference, differences, settled, shown};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Progress, Result, Trainer};

/// Version of the format. In version 2 each multiplier came with the whole of its constraint, in an entry of its own.
const FORMAT: u32 = 3;

/// How many checkpoints are kept.
const KEPT: usize = 2;

/// What a checkpoint holds beside tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    format: u32,
    seed: u64,
    #[serde(flatten)]
    progress: Progress,
    optimiser_steps: u64,
    average_steps: u64,
    /// Their values are what counts: all else that is said of them follows from the settings.
    multipliers: Option<Multipliers>,
    /// [`Trainer::settings`]; files of earlier versions lack them, and are believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<Value>,
}

impl State {
    fn of(trainer: &Trainer) -> serde_json::Result<Self> {
        Ok(Self {
            format: FORMAT,
            seed: trainer.seed,
            progress: trainer.progress,
            optimiser_steps: trainer.optimiser.steps(),
            average_steps: trainer.average.steps(),
            multipliers: trainer.multipliers.clone(),
            settings: Some(trainer.settings()?),
        })
    }
}

/// The part of every format that says which one it is.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The checkpoints of one run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// Those in the folder of a run.
    pub fn of(run: &Path) -> Self {
        Self { folder: run.join("checkpoints") }
    }

    /// Writes the trainer, then drops all checkpoints but the newest two.
    ///
    /// # Errors
    /// If the file cannot be written; older checkpoints stay.
    pub fn save(&self, trainer: &Trainer) -> Result<PathBuf> {
        let state = State::of(trainer).map_err(|error| problem(&self.folder, error))?;
        let path = self.write(trainer, &state)?;
        self.prune()?;
        Ok(path)
    }

    fn write(&self, trainer: &Trainer, state: &State) -> Result<PathBuf> {
        let Progress { epoch, step, .. } = state.progress;
        fs::create_dir_all(&self.folder).at("create the folder", &self.folder)?;
        let path = self.folder.join(format!("epoch-{epoch:05}-step-{step:07}.safetensors"));
        let tensors = bytes(trainer)?;
        let state = serde_json::to_string(state).map_err(|error| problem(&path, error))?;
        let parts = tensors.iter().map(|(name, _, bytes)| (name.as_str(), bytes.as_slice()));
        let sha256 = digest(parts.chain([("state", state.as_bytes())]));
        let metadata = [("state", state), ("sha256", sha256)];
        let metadata = HashMap::from(metadata.map(|(key, value)| (key.to_string(), value)));
        let views = tensors.iter().map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views: Vec<(&str, TensorView)> =
            views.collect::<std::result::Result<_, _>>().map_err(|error| problem(&path, error))?;
        let file = safetensors::serialize(views, Some(metadata)).map_err(|error| problem(&path, error))?;
        l0_files::write(&path, &file, Existing::Replace)?;
        Ok(path)
    }

    fn prune(&self) -> Result<()> {
        for old in self.newest_first()?.into_iter().skip(KEPT) {
            fs::remove_file(&old).at("remove", &old)?;
        }
        Ok(l0_files::remove_unfinished(&self.folder)?) // of a process that was killed: this one has none
    }

    fn newest_first(&self) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.at("list the folder", &self.folder)?,
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut paths: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|found| found == "safetensors")).collect();
        paths.sort_by_cached_key(|path| std::cmp::Reverse(position(path)));
        Ok(paths)
    }

    /// Restores the newest checkpoint that is whole into `trainer`. A damaged one is set aside as `.damaged`, with a
    /// warning that says where the run goes on instead: under its own name it would count as newer than all that are to
    /// come.
    ///
    /// # Errors
    /// If the folder or a file cannot be read, or not be renamed, or a checkpoint is of another version or another
    /// training (of another seed, network, objective, [`Training`](crate::Training) or number of examples), which is left
    /// as it is; the message names what differs. Damaged checkpoints are no error; without any the trainer stays as it
    /// is.
    pub fn restore(&self, trainer: &mut Trainer) -> Result<()> {
        let paths = self.newest_first()?;
        for (i, path) in paths.iter().enumerate() {
            let before = paths.get(i + 1).map_or("the start".into(), |path| path.display().to_string());
            let file = fs::read(path).at("read", path)?;
            match decode(path, &file, trainer) {
                Ok(()) => {
                    let Progress { epoch, step, .. } = trainer.progress;
                    tracing::info!("going on after {epoch} epochs and {step} steps: {}", path.display());
                    return Ok(());
                }
                Err(error @ Error::Checkpoint { .. }) => {
                    fs::rename(path, path.with_extension("damaged")).at("set aside", path)?;
                    tracing::warn!("{error}; falling back to {before}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes all checkpoints: the run is finished.
    ///
    /// # Errors
    /// If the folder cannot be removed.
    pub fn clear(&self) -> Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => Ok(done.at("remove", &self.folder)?),
        }
    }
}

type Named = (String, Vec<usize>, Vec<u8>);

fn bytes(trainer: &Trainer) -> Result<Vec<Named>> {
    let mut all = Vec::new();
    for (name, tensor) in trainer.named() {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        all.push((name, tensor.dims().to_vec(), values.iter().flat_map(|v| v.to_le_bytes()).collect()));
    }
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

fn digest<'a>(parts: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut sha = Sha256::new();
    for (name, bytes) in parts {
        sha.update(name.as_bytes());
        sha.update(bytes);
    }
    sha.hex()
}

/// Epoch and step in the name of a checkpoint; as text, 100000 would come before 99999.
fn position(path: &Path) -> Option<(u64, u64)> {
    let mut parts = path.file_stem()?.to_str()?.split('-');
    let mut number = || parts.nth(1)?.parse().ok();
    Some((number()?, number()?))
}

fn decode(path: &Path, file: &[u8], trainer: &mut Trainer) -> Result<()> {
    let tensors = SafeTensors::deserialize(file).map_err(|error| problem(path, error))?;
    let (_, header) = SafeTensors::read_metadata(file).map_err(|error| problem(path, error))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let entry = |key: &str| metadata.get(key).ok_or_else(|| problem(path, format!("its metadata has no {key:?}")));
    let Version { format } = serde_json::from_str(entry("state")?).map_err(|error| problem(path, error))?;
    if format != FORMAT {
        return Err(Error::OtherFormat { path: path.into(), found: format, expected: FORMAT });
    }
    let state: State = serde_json::from_str(entry("state")?).map_err(|error| problem(path, error))?;
    let mut names: Vec<&str> = tensors.names();
    names.sort_unstable();
    let mut views = Vec::new();
    for name in names {
        views.push((name, tensors.tensor(name).map_err(|error| problem(path, error))?));
    }
    let covered = [("state", entry("state")?.as_bytes())];
    let found = digest(views.iter().map(|(name, view)| (*name, view.data())).chain(covered));
    if entry("sha256")? != &found {
        return Err(problem(path, format!("its contents have digest {found}, expected {}", entry("sha256")?)));
    }
    let values: HashMap<&str, &TensorView> = views.iter().map(|(name, view)| (*name, view)).collect();
    let mismatch = |problem| Error::OtherTraining { path: path.into(), problem };
    check_state(&state, trainer).map_err(mismatch)?;
    check_tensors(&values, trainer).map_err(mismatch)?;
    if let (Some(own), Some(saved)) = (&mut trainer.multipliers, &state.multipliers) {
        own.go_on_from(saved)?;
    }
    restore(&values, trainer)?;
    trainer.optimiser.set_steps(state.optimiser_steps);
    trainer.average.set_steps(state.average_steps);
    trainer.progress = state.progress;
    Ok(())
}

/// Checks that a state is of this training: says what is not.
fn check_state(state: &State, trainer: &Trainer) -> std::result::Result<(), String> {
    if state.seed != trainer.seed {
        return Err(format!("it is of seed {}, expected {}", state.seed, trainer.seed));
    }
    if let Some(settings) = &state.settings {
        check_settings(settings, trainer)?;
    }
    let targets = |of: &Option<Multipliers>| -> Vec<f64> {
        of.iter().flat_map(|multipliers| multipliers.each().iter().map(|each| each.target())).collect()
    };
    let (found, expected) = (targets(&state.multipliers), targets(&trainer.multipliers));
    if found != expected {
        return Err(format!("its gates are held to {found:?}, expected {expected:?}"));
    }
    check_place(&state.progress, trainer.steps)
}

/// Checks that a training was configured as the trainer is: names all that differs.
fn check_settings(found: &Value, trainer: &Trainer) -> std::result::Result<(), String> {
    let expected = settled(&trainer.settings().map_err(|error| error.to_string())?);
    let said = |difference: Difference| {
        let Difference { path, left, right } = difference;
        format!("its {path} is {}, expected {}", shown(left.as_ref()), shown(right.as_ref()))
    };
    let differ: Vec<String> = differences(found, &expected).into_iter().map(said).collect();
    if differ.is_empty() { Ok(()) } else { Err(differ.join(", ")) }
}

/// Checks that a place lies in epochs of `in_epoch` steps: in others, no step would ever end the epoch.
fn check_place(&Progress { epoch, step, steps, .. }: &Progress, in_epoch: u64) -> std::result::Result<(), String> {
    if step < in_epoch && epoch.checked_mul(in_epoch).and_then(|before| before.checked_add(step)) == Some(steps) {
        return Ok(());
    }
    let place = format!("{steps} steps in all, {epoch} epochs and {step} steps");
    let expected = format!("epochs of {in_epoch} steps; it is of another batch size or number of examples");
    Err(format!("it is after {place}, expected {expected}"))
}

/// Checks that the tensors are those of the trainer, no more and no fewer.
fn check_tensors(values: &HashMap<&str, &TensorView>, trainer: &Trainer) -> std::result::Result<(), String> {
    let named = trainer.named();
    for (name, tensor) in &named {
        let view = values.get(name.as_str()).ok_or_else(|| format!("it lacks {name:?}"))?;
        if view.shape() != tensor.dims() || view.dtype() != Dtype::F32 {
            let found = format!("{:?} {:?}", view.dtype(), view.shape());
            return Err(format!("{name:?} is {found}, expected F32 {:?}", tensor.dims()));
        }
    }
    match values.keys().find(|&&name| named.iter().all(|(known, _)| known != name)) {
        Some(more) => Err(format!("it holds {more:?}, which this network does not have")),
        None => Ok(()),
    }
}

/// Copies every tensor into the trainer; all of them fit.
fn restore(values: &HashMap<&str, &TensorView>, trainer: &Trainer) -> Result<()> {
    let mut pairs = Vec::new();
    for (name, tensor) in trainer.named() {
        let view = values[name.as_str()];
        let floats = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        pairs.push((Tensor::from_vec(floats, tensor.dims(), &Device::Cpu)?.to_device(tensor.device())?, tensor));
    }
    for (value, tensor) in pairs {
        tensor.slice_set(&value, 0, 0)?;
    }
    Ok(())
}

fn problem(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::Checkpoint { path: path.into(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;
    use l0::{Constraint, Estimator, GatedNet, Objective, Placement, Quantity, Sampling, Side, Targets};
    use l0_data::Batch;
    use l0_net::Builder;

    use super::*;
    use crate::{Optimiser, Schedule, Training};

    fn training() -> Training {
        Training {
            epochs: 3,
            batch_size: 2,
            optimiser: Optimiser::adam(0.01),
            gate_optimiser: Optimiser::adam(0.01),
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            average: 0.0,
            sampling: Sampling::Minibatch,
            estimator: Estimator::Mean,
            frozen_epochs: 0,
        }
    }

    #[test]
    fn of_the_multipliers_of_a_checkpoint_without_settings_the_values_alone_are_taken() {
        let mut b = Builder::features("row", 4);
        b.linear("fc1", 4).relu().linear("fc2", 2);
        let network = GatedNet::new(b.build().unwrap(), &[Placement::new("fc2", Side::Input)]).unwrap();
        let held = |rate| Objective::constrained(Constraint::new(Targets::Model(0.7), Quantity::Weights, rate));
        let (slow, fast, training, device) = (held(0.1), held(0.2), training(), Device::Cpu);
        let of = |objective| Trainer::new(&network, objective, &training, 6, 1, &device).unwrap();
        let mut first = of(&slow);
        let rows = Tensor::ones((2, 4), DType::F32, &device).unwrap();
        first.step(&Batch::new(rows, Tensor::new(&[0u32, 1], &device).unwrap())).unwrap();
        assert!(first.multipliers().unwrap().each()[0].value() > 0.0);

        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of(folder.path());
        checkpoints.write(&first, &State { settings: None, ..State::of(&first).unwrap() }).unwrap();
        let mut second = of(&fast);
        checkpoints.restore(&mut second).unwrap();
        let mut expected = fast.multipliers(&network).unwrap().unwrap();
        expected.go_on_from(first.multipliers().unwrap()).unwrap();
        assert_eq!((second.progress().steps, second.multipliers()), (1, Some(&expected)));

        checkpoints.save(&first).unwrap();
        let error = checkpoints.restore(&mut of(&fast)).unwrap_err().to_string();
        assert!(error.contains("its objective.constraint.learning_rate is 0.1, expected 0.2; go on with"), "{error}");
    }

    #[test]
    fn a_checkpoint_is_where_its_name_says() {
        let at = |name: &str| position(Path::new(name));
        assert_eq!(at("checkpoints/epoch-00006-step-0000193.safetensors"), Some((6, 193)));
        assert!(at("epoch-100000-step-0000000.safetensors") > at("epoch-99999-step-0000500.safetensors"));
        assert_eq!(at("notes.safetensors"), None);
    }
}
