//! Runs that begin with what a finished one left, and say so wherever they are shown.
//!
//! Trained further: with the averages of all values, and no more. Moments, multipliers and the schedule begin anew, and
//! the images come in another order than in any epoch before, so it is not the training that more epochs at once would
//! have been. Gates that were frozen stay frozen: the pruned network is fine-tuned.
//!
//! From scratch: with the units that it kept and new values for them, as many epochs as the first run had. It tells
//! what the values were worth that pruning found beside the widths.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use l0::gate::LOG_ALPHA_RANGE;
use l0::{Estimator, GatedNet};
use l0_files::sha256;
use l0_net::{Card, Existing, GatedModel, Net, Param, Role, Weights};
use l0_record::{RunHeader, START, StartedFrom, Status, read_run};
use l0_rng::{Purpose, Stream};
use l0_train::Training;

use crate::artifact::{digest_of_values, gated_path, load_gated};
use crate::{Recipe, config};

/// The values that a run begins with, and whose they were.
#[derive(Debug)]
pub struct Start {
    /// Whose they were.
    pub from: StartedFrom,
    /// The values.
    pub weights: Weights,
    file: Vec<u8>,
}

impl Start {
    /// What a finished run left.
    ///
    /// # Errors
    /// If the run in the folder, which has this header, is not finished, or its file is gone or damaged.
    pub fn after(run: &Path, header: &RunHeader, recipe: &Recipe) -> Result<Self> {
        let shown = run.display();
        ensure!(
            header.status == Status::Finished,
            "the run in {shown} is not finished: --resume {shown} goes on with it"
        );
        let file = read(&gated_path(run))?;
        // From scratch the epochs of the run before are what these values lack.
        let before = header.started_from.as_ref().filter(|from| !from.from_scratch).map_or(0, |from| from.epochs);
        let from = StartedFrom {
            run: format!("{}/{}", header.recipe, last(run)?),
            epochs: before + recipe.training.epochs,
            sha256: sha256(&file),
            ..StartedFrom::default()
        };
        Self::new(run, from, file)
    }

    /// What a finished run left, as the recipe says of the run that begins with it.
    ///
    /// # Errors
    /// As [`Start::after`].
    pub fn by_recipe(run: &Path, header: &RunHeader, recipe: &Recipe) -> Result<Self> {
        let after = Self::after(run, header, recipe)?;
        Ok(Self { from: StartedFrom { by_recipe: true, ..after.from }, ..after })
    }

    /// The units that a finished run kept, and new values for them.
    ///
    /// # Errors
    /// As [`Start::after`], or if its network has no gates.
    pub fn from_scratch(run: &Path, header: &RunHeader, recipe: &Recipe) -> Result<Self> {
        ensure!(
            header.started_from.as_ref().is_none_or(|from| from.by_recipe),
            "the run in {} began with what another one left; a run from scratch of as many epochs cannot be compared with it",
            run.display()
        );
        let first = Self::after(run, header, recipe)?;
        let (network, weights, _) = load_gated(run)?;
        ensure!(
            !network.is_plain(),
            "the network of {} has no gates: it is trained from scratch itself",
            run.display()
        );
        let before = header.started_from.as_ref().map_or(0, |from| from.epochs);
        let from = StartedFrom { epochs: before, from_scratch: true, by_recipe: false, ..first.from };
        let address = Stream::new(header.seed, Purpose::Other, 0, 0, "from scratch").bits();
        let weights = afresh(&network, &weights, recipe, address)?;
        let gates = serde_json::to_value(network.gates())?;
        let file = GatedModel { net: network.net().clone(), weights, gates }.to_bytes(&Card::default())?;
        Self::new(run, StartedFrom { sha256: sha256(&file), ..from }, file)
    }

    /// What the run in a folder began with.
    ///
    /// # Errors
    /// If the file is gone, or does not hold the values that the run began with.
    pub fn of(run: &Path, from: &StartedFrom) -> Result<Self> {
        let file = read(&run.join(START))
            .context("if it was stopped as it began, the command that began it goes on with it")?;
        let (found, expected, path) = (sha256(&file), &from.sha256, run.join(START));
        let start = Self::new(run, from.clone(), file);
        let is_own = found == *expected || start.as_ref().is_ok_and(|start| start.from.values == from.values);
        ensure!(is_own, "{} has sha256 {found}, the run began with {expected}", path.display());
        start
    }

    /// Whether the values that a run begins with are in its folder.
    pub fn is_in(run: &Path) -> bool {
        run.join(START).exists()
    }

    fn new(run: &Path, from: StartedFrom, file: Vec<u8>) -> Result<Self> {
        let (gated, _) = GatedModel::from_bytes(&file, &Device::Cpu).with_context(|| run.display().to_string())?;
        let from = StartedFrom { values: Some(digest_of_values(&gated.weights)?), ..from };
        Ok(Self { from, weights: gated.weights, file })
    }

    /// Puts the values into the folder of the run that begins with them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep_in(&self, run: &Path) -> Result<()> {
        let path = run.join(START);
        if !path.exists() {
            l0_net::write_file(&path, &self.file, Existing::Keep)?;
        }
        Ok(())
    }

    /// The address of the random numbers of a run with this seed: its own, so that its first epoch is no repetition of
    /// the other run's.
    pub fn address(&self, seed: u64) -> u64 {
        Stream::new(seed, Purpose::Other, self.from.epochs, 0, "onward").bits()
    }
}

/// New values for the units that gates leave, which are open, and nothing else is: as large as first values are where a
/// layer has that many inputs.
fn afresh(network: &GatedNet, weights: &Weights, recipe: &Recipe, address: u64) -> Result<Weights> {
    let pruned = network.pruned(weights, recipe.training.estimator)?;
    let small = network.net().compact(weights, &pruned.masks)?.net;
    let params = network.init(address, &Device::Cpu)?;
    let mut gates = pruned.values.iter().map(|(_, z)| opened(z));
    let value = |param: &Param| match param.role {
        Role::Mask => gates.next().context("a set of gates has no values")?,
        _ => Ok((param.var.as_detached_tensor() * growth(network.net(), &small, &param.name))?),
    };
    let values = params.iter().map(value).collect::<Result<Vec<Tensor>>>()?;
    Ok(params.detached().with(values)?)
}

/// By how much larger first values of a weight are where its layer has fewer inputs.
fn growth(whole: &Net, small: &Net, name: &str) -> f64 {
    let inputs = |net: &Net| {
        let shape = net.parameters().into_iter().find(|(found, ..)| found == name).map(|(.., shape)| shape)?;
        (shape.len() > 1).then(|| shape[1..].iter().product::<usize>() as f64)
    };
    inputs(whole).zip(inputs(small)).map_or(1.0, |(whole, small)| (whole / small.max(1.0)).sqrt())
}

/// Gates that are wholly open or wholly closed, as their values are.
fn opened(z: &[f32]) -> Result<Tensor> {
    let (low, high) = LOG_ALPHA_RANGE;
    let log_alpha: Vec<f32> = z.iter().map(|&z| if z > 0.0 { high } else { low } as f32).collect();
    Ok(Tensor::new(log_alpha, &Device::Cpu)?)
}

/// The recipe of a run from scratch with what the run of `before` kept: its gates stand as they are from the first step
/// on, each read by itself. Top-k would open more of them: of some twenty closed gates it expects one to be open.
#[must_use]
pub fn recipe_from_scratch(before: &Recipe) -> Recipe {
    let estimator = match before.training.estimator {
        Estimator::TopK => Estimator::Mean,
        by_itself => by_itself,
    };
    let training = Training { frozen_epochs: before.training.epochs, estimator, ..before.training.clone() };
    Recipe {
        name: format!("{}-scratch", before.name),
        title: format!("{}, from scratch", before.title),
        curve: None,
        reference: None,
        training,
        start: None,
        ..before.clone()
    }
}

/// The recipe of a run that trains for `epochs` more after the one with this header, which was made by `before`: the
/// same settings under a name of its own, as `mlp-l0-200-then-50`, beside no published row. Gates that `before` froze
/// learn no more.
#[must_use]
pub fn recipe(header: &RunHeader, before: &Recipe, epochs: u64) -> Recipe {
    let Recipe { name, title, training, .. } = before;
    let (name, title) = match &header.started_from {
        Some(from) if !from.by_recipe && !from.from_scratch => {
            (name.clone(), title.trim_end_matches(" epochs").to_string())
        }
        _ => (format!("{name}-{}", training.epochs), format!("{title}, {}", training.epochs)),
    };
    let further = before.clone().with_epochs(epochs);
    let frozen_epochs = if training.frozen_epochs > 0 { epochs } else { 0 };
    Recipe {
        name: format!("{name}-then-{epochs}"),
        title: format!("{title} + {epochs} epochs"),
        curve: None,
        reference: None,
        scaled_down: before.scaled_down.clone(),
        start: None,
        teacher: before.teacher.clone(),
        training: Training { frozen_epochs, ..further.training },
        ..further
    }
}

/// The run in a folder, with the recipe that made it.
///
/// # Errors
/// If there is none, or its settings are none that this program knows.
pub fn made(run: &Path) -> Result<(RunHeader, Recipe)> {
    let header = read_run(run)?.header;
    let recipe = config::of_run(&header).with_context(|| format!("the run in {}", run.display()))?;
    Ok((header, recipe))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| {
        format!("cannot read {}, the values to begin with (a copy of a run may lack them)", path.display())
    })
}

/// The last part of a path: `seed-1`.
fn last(path: &Path) -> Result<String> {
    let whole = path.canonicalize().with_context(|| path.display().to_string())?;
    Ok(whole.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes;

    #[test]
    fn values_are_those_that_a_run_began_with_whatever_else_their_file_says() {
        let network = recipes::named("quickstart").unwrap().architecture.network().unwrap();
        let file = |seed: u64, seconds: u64| {
            let weights = network.init(seed, &Device::Cpu).unwrap().detached();
            let gates = serde_json::to_value(network.gates()).unwrap();
            let mut card = Card::default();
            card.extra.insert("seconds".into(), seconds.into());
            GatedModel { net: network.net().clone(), weights, gates }.to_bytes(&card).unwrap()
        };
        let temp = tempfile::tempdir().unwrap();
        let (first, again) = (file(1, 10), file(1, 20));
        let from = StartedFrom { sha256: sha256(&first), ..StartedFrom::default() };
        let begun = Start::new(temp.path(), from.clone(), first).unwrap().from;
        let found = |from: &StartedFrom| Start::of(temp.path(), from).map_err(|error| error.to_string());
        std::fs::write(temp.path().join(START), &again).unwrap();
        assert_eq!(found(&begun).unwrap().from, begun);
        assert!(
            found(&from).unwrap_err().contains("start.safetensors has sha256"),
            "a run of before knows the file alone"
        );
        std::fs::write(temp.path().join(START), file(2, 10)).unwrap();
        assert!(found(&begun).unwrap_err().contains("start.safetensors has sha256"));
    }
}
