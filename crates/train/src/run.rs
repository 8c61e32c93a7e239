//! The loop over epochs, from a run folder to its outcome.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Device;
use l0::{GatedNet, Objective, Pruned, Quantity};
use l0_data::{Augment, Dataset, Feed, Normalise, Split};
use l0_net::Weights;
use l0_record::{EpochRow, Named, Outcome, RunFolder, forget_peak_memory, gate_histogram, peak_memory_bytes};

use crate::expected::Expected;
use crate::pace::Pace;
use crate::{
    Checkpoints, Error, Evaluation, Freeze, Precision, Progress, Result, StepResult, Teacher, Trainer, Training,
};
use crate::{evaluate, evaluation_batch, gated};

/// What to train.
#[derive(Debug)]
pub struct Job<'a> {
    /// The network and its gates.
    pub network: &'a GatedNet,
    /// What is optimised beside the loss.
    pub objective: &'a Objective,
    /// How to train it.
    pub training: &'a Training,
    /// The images; those for testing are only ever evaluated.
    pub data: &'a Dataset,
    /// How pixels become numbers.
    pub normalise: Normalise,
    /// How training images are varied.
    pub augment: Option<Augment>,
    /// Address of all random numbers.
    pub seed: u64,
    /// Values to begin with, in the place of random ones.
    pub start: Option<&'a Weights>,
    /// Chooses the constraint that gates are fitted to when they freeze; the objective's own if `None`.
    pub freeze: Option<&'a dyn Freeze>,
    /// A network whose outputs it learns from beside the labels.
    pub teacher: Option<&'a Teacher>,
    /// Where it is trained.
    pub device: Device,
    /// In which numbers.
    pub precision: Precision,
}

impl<'a> Job<'a> {
    /// Batches of `size` images of a split, as they are and as the network reads them.
    fn feed(&self, split: &'a Split, size: usize) -> Result<Feed<'a>> {
        let feed = Feed::new(split, self.normalise.clone(), size, &self.device)?;
        Ok(feed.in_dtype(self.precision.dtype()))
    }
}

/// Observes a training.
pub trait Watch {
    /// A step was made: the `step`-th of `steps` of the epoch after `epoch` epochs.
    fn step(&mut self, epoch: u64, step: u64, steps: u64, result: &StepResult);
    /// An epoch was finished.
    fn epoch(&mut self, row: &EpochRow, evaluation: &Evaluation);
}

/// What is left of a run when it is done.
#[derive(Debug)]
pub struct Finished {
    /// What it came to.
    pub outcome: Outcome,
    /// The averages of all values, gates included, on the CPU.
    pub weights: Weights,
    /// What the gates leave of the network.
    pub pruned: Pruned,
}

/// Trains to the end and records every epoch. A folder that holds checkpoints goes on from the newest; they are gone
/// once the averages lie in [`GATED`](crate::GATED).
///
/// # Errors
/// If anything fails, which the folder then says; or if `stop` was set, after a checkpoint.
pub fn run(job: &Job, mut folder: RunFolder, watch: &mut dyn Watch, stop: &AtomicBool) -> Result<Finished> {
    forget_peak_memory();
    let checkpoints = Checkpoints::of(folder.path());
    match train(job, &checkpoints, &mut folder, watch, stop) {
        Ok(finished) => {
            // Only now: a run that calls itself finished has all its files, and no further need of a checkpoint.
            folder.finish(finished.outcome.clone())?;
            checkpoints.clear()?;
            Ok(finished)
        }
        Err(error) => {
            let said = match &error {
                Error::Interrupted { .. } => folder.interrupted(),
                _ => folder.fail(error.to_string()),
            };
            if let Err(second) = said {
                tracing::warn!("{second}"); // a full disk may refuse this, too; the first error is the one to act on
            }
            Err(error)
        }
    }
}

fn train(
    job: &Job,
    checkpoints: &Checkpoints,
    folder: &mut RunFolder,
    watch: &mut dyn Watch,
    stop: &AtomicBool,
) -> Result<Finished> {
    let mut trainer = start(job)?;
    checkpoints.restore(&mut trainer)?;
    folder.truncate_after(trainer.progress().epoch)?;
    let last = epochs(job, &mut trainer, checkpoints, folder, watch, stop)?;
    finish(job, &trainer, last, folder)
}

fn start<'a>(job: &Job<'a>) -> Result<Trainer<'a>> {
    let (found, expected) = (job.data.train.dims(), job.network.net().shape(0).dims());
    if found != expected {
        return Err(Error::Images { data: job.data.name.clone(), found, expected });
    }
    job.precision.apply(&job.device)?;
    let trainer = Trainer::new(job.network, job.objective, job.training, job.data.train.len(), job.seed, &job.device)?;
    let mut trainer = trainer.frozen_by(job.freeze);
    job.start.map_or(Ok(()), |values| trainer.start_from(values))?;
    job.teacher.map_or(Ok(()), |teacher| trainer.learn_from(teacher, &job.device))?;
    Ok(trainer)
}

fn epochs(
    job: &Job,
    trainer: &mut Trainer,
    checkpoints: &Checkpoints,
    folder: &mut RunFolder,
    watch: &mut dyn Watch,
    stop: &AtomicBool,
) -> Result<Evaluation> {
    let feed = job.feed(&job.data.train, job.training.batch_size)?.augment(job.augment)?;
    let Some(feed) = trainer.taught(feed, stop)? else { return Err(interrupted(trainer, folder)) };
    let mut pace = Pace::default();
    let mut evaluation = None;
    while trainer.progress().epoch < job.training.epochs {
        // ---- steps
        let Progress { epoch, step, .. } = *trainer.progress();
        let mut times = Vec::with_capacity(feed.steps());
        for batch in feed.epoch(job.seed, epoch).skip(step as usize) {
            let result = trainer.step(&batch?)?;
            times.push(result.seconds);
            watch.step(epoch, step + times.len() as u64, feed.steps() as u64, &result);
            if stop.load(Ordering::Relaxed) && trainer.progress().step > 0 {
                trainer.check_finite()?;
                pace.save(checkpoints, trainer)?;
                return Err(interrupted(trainer, folder));
            }
        }

        // ---- evaluation of the averages
        trainer.check_finite()?;
        let (row, result) = row(job, trainer, &mut times)?;
        watch.epoch(&row, &result);
        evaluation = Some(result);

        // ---- record, then save: a checkpoint never claims an epoch that has no row
        folder.append(&row)?;
        let is_last = trainer.progress().epoch == job.training.epochs;
        let is_stopped = !is_last && stop.load(Ordering::Relaxed);
        if is_last || is_stopped || pace.is_due() {
            pace.save(checkpoints, trainer)?;
        }
        if is_stopped {
            return Err(interrupted(trainer, folder));
        }
    }
    // A run that died between its last checkpoint and its end has nothing left to do but this.
    evaluation.map_or_else(|| test(job, trainer).map(|(_, evaluation)| evaluation), Ok)
}

fn interrupted(trainer: &Trainer, folder: &RunFolder) -> Error {
    let Progress { epoch, step, .. } = *trainer.progress();
    Error::Interrupted { epoch: epoch + 1, step, folder: folder.path().into() }
}

/// The test-time network of the averages, and how it does on the test images.
fn test(job: &Job, trainer: &Trainer) -> Result<(Pruned, Evaluation)> {
    let weights = trainer.average().weights();
    let pruned = job.network.pruned(weights, job.training.estimator)?;
    let feed = job.feed(&job.data.test, evaluation_batch(job.network.net()))?;
    let evaluation = evaluate(job.network.net(), weights, &pruned.masks, &feed)?;
    Ok((pruned, evaluation))
}

fn row(job: &Job, trainer: &Trainer, times: &mut [f64]) -> Result<(EpochRow, Evaluation)> {
    let (pruned, evaluation) = test(job, trainer)?;
    let Progress { epoch, steps, seconds, sums, .. } = *trainer.progress();
    let in_epoch = job.training.steps_an_epoch(job.data.train.len());
    let factor = job.training.rate_factor(epoch - 1, in_epoch - 1, in_epoch);
    let expected = Expected::of(job, trainer, &pruned)?;
    let (multipliers, violations) = constraint(job, trainer, &expected);
    let net = job.network.net();
    let positions = net.shape(net.output()).positions() as f64; // each has a label of its own
    times.sort_unstable_by(f64::total_cmp);
    let row = EpochRow {
        multipliers,
        violations,
        epoch,
        step: steps,
        seconds,
        learning_rate: job.training.optimiser.learning_rate() * factor,
        train_loss: sums.mean(sums.loss),
        penalty: sums.mean(sums.penalty),
        train_error_percent: evaluation.score.error_percent().map(|_| 100.0 * sums.mean(sums.wrong as f64) / positions),
        test_error_percent: evaluation.score.error_percent(),
        test_rmse: evaluation.score.rmse(),
        test_r2: evaluation.score.r2(),
        test_loss: Some(evaluation.loss),
        expected_l0: expected.l0,
        expected_params: Some(expected.params),
        expected_macs: Some(expected.macs),
        hard_params: Some(pruned.cost.params() as u64),
        hard_macs: Some(pruned.cost.macs() as u64),
        step_ms: times.get(times.len() / 2).map(|seconds| 1e3 * seconds),
        open: pruned.open.iter().map(|(layer, open)| (layer.clone(), *open as u64)).collect(),
        gates: pruned.values.iter().map(|(layer, z)| (layer.clone(), gate_histogram(z.iter().copied()))).collect(),
    };
    Ok((row, evaluation))
}

/// The multipliers, and by how much the averages violate the constraint.
fn constraint(job: &Job, trainer: &Trainer, expected: &Expected) -> (Named<f64>, Named<f64>) {
    let (Some(constraint), Some(multipliers)) = (job.objective.constraint(), trainer.multipliers()) else {
        return (Named::default(), Named::default());
    };
    let names: Vec<String> = match (constraint.targets.are_of_layers(), constraint.quantity) {
        (true, _) => job.network.placements().map(|placement| placement.layer.clone()).collect(),
        (false, Quantity::Weights) => vec!["params".into()], // as in the rows of every run so far
        (false, Quantity::Macs) => vec!["macs".into()],
    };
    let mut violations = Named::default();
    for ((name, density), multiplier) in names.iter().zip(&expected.densities).zip(multipliers.each()) {
        violations.insert(name.clone(), density - multiplier.target());
    }
    let multipliers = names.iter().cloned().zip(multipliers.each().iter().map(|multiplier| multiplier.value()));
    (multipliers.collect(), violations)
}

/// Writes what the run leaves beside its rows.
fn finish(job: &Job, trainer: &Trainer, last: Evaluation, folder: &RunFolder) -> Result<Finished> {
    let weights = trainer.average().weights().to_device(&Device::Cpu)?; // what is made of them is made there
    let pruned = job.network.pruned(&weights, job.training.estimator)?;
    let expected = Expected::of(job, trainer, &pruned)?;
    let full = job.network.net().cost();
    let count = |n: usize| Some(n as u64);
    let outcome = Outcome {
        test_error_percent: last.score.error_percent(),
        test_rmse: last.score.rmse(),
        test_r2: last.score.r2(),
        architecture: pruned.architecture.clone(),
        params_total: count(full.params()),
        params_kept: count(pruned.cost.params()),
        weights_total: count(full.weights()),
        weights_kept: count(pruned.cost.weights()),
        macs_total: count(full.macs()),
        macs_kept: count(pruned.cost.macs()),
        expected_density: expected.l0.map(|l0| l0 / job.network.gated_weights() as f64),
        train_seconds: Some(trainer.progress().seconds),
        peak_memory_bytes: peak_memory_bytes(),
    };
    if !pruned.values.is_empty() {
        folder.write_gates(&pruned.values.iter().cloned().collect::<Named<Vec<f32>>>())?;
    }
    gated::save(folder, job.network, &weights, &outcome)?;
    Ok(Finished { outcome, weights, pruned })
}
