//! One step of training, and everything that changes in it: the values, and how far they have come.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use candle_core::{Device, Tensor};
use l0::{Constraint, Fit, GatedNet, Multipliers, Objective, Penalty, Sampling};
use l0_data::{Batch, Feed};
use l0_net::{Mode, Params, Role, Weights};
use l0_rng::{Purpose, Stream};

use crate::loss::wrong_ones;
use crate::optimiser::{Gated, OptimiserState};
use crate::terms::Terms;
use crate::{Average, Error, Loss, Number, Progress, Result, StepResult, Teacher, Training};

/// A training: its values, and how far they have come. It knows its place, so that random numbers, learning rates and
/// the epoch in which gates are frozen follow from the steps that were made.
#[derive(Debug)]
pub struct Trainer<'a> {
    network: &'a GatedNet,
    objective: &'a Objective,
    training: &'a Training,
    /// Of each set of gates. Weight decay that gates do not feel is the optimiser's.
    penalties: Vec<Penalty>,
    teacher: Option<Teacher>,
    /// Training examples.
    examples: usize,
    /// Steps in an epoch.
    pub(crate) steps: u64,
    pub(crate) seed: u64,
    pub(crate) progress: Progress,
    pub(crate) params: Params,
    pub(crate) optimiser: OptimiserState,
    pub(crate) average: Average,
    pub(crate) multipliers: Option<Multipliers>,
    freeze: Option<&'a dyn Freeze>,
    /// Whether gates were handed over that are chosen already.
    has_gates_from_elsewhere: bool,
}

/// Whoever decides what gates are brought within when they are frozen, by what they have become.
pub trait Freeze: std::fmt::Debug + Send + Sync {
    /// The constraint, in the place of the objective's, for the network with these values.
    ///
    /// # Errors
    /// If there is none.
    fn constraint(&self, network: &GatedNet, weights: &Weights, constraint: &Constraint) -> l0::Result<Constraint>;
}

impl<'a> Trainer<'a> {
    /// First values for `network`, to be trained on `n_train` examples.
    ///
    /// # Errors
    /// Those of [`Training::check_for`], or if the device cannot hold the values.
    pub fn new(
        network: &'a GatedNet,
        objective: &'a Objective,
        training: &'a Training,
        n_train: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let Terms { penalties, multipliers, weight_decay } = Terms::new(network, objective, training, n_train)?;
        let params = network.init(seed, device)?;
        let gated = Gated { names: &network.gated_parameters(), weight_decay };
        let optimiser = OptimiserState::new(&params, gated, training)?;
        let average = Average::new(&params, training.average)?;
        let (steps, progress) = (training.steps_an_epoch(n_train), Progress::default());
        Ok(Self {
            network,
            objective,
            training,
            penalties,
            teacher: None,
            examples: n_train,
            steps,
            seed,
            progress,
            params,
            optimiser,
            average,
            multipliers,
            freeze: None,
            has_gates_from_elsewhere: false,
        })
    }

    /// The same with a say in what gates are brought within when they are frozen.
    #[must_use]
    pub fn frozen_by(self, freeze: Option<&'a dyn Freeze>) -> Self {
        Self { freeze, ..self }
    }

    /// Starts from trained values in place of random ones; gates that they lack keep their first values.
    ///
    /// # Errors
    /// If a parameter of the network is missing, of another shape or another type, or steps were made already.
    pub fn start_from(&mut self, weights: &Weights) -> Result<()> {
        if self.progress.steps > 0 {
            return Err(Error::config("steps before start_from", self.progress.steps, "0"));
        }
        self.params.assign(&self.network.init_with(weights, self.seed, &Device::Cpu)?.detached())?; // each where it is
        self.average = Average::new(&self.params, self.training.average)?;
        let mut gates = self.params.iter().filter(|param| param.role == Role::Mask);
        self.has_gates_from_elsewhere = gates.all(|gate| weights.get(&gate.name).is_ok());
        Ok(())
    }

    /// Learns from the outputs of `teacher` beside the labels, from the next step on. A checkpoint does not hold it: it
    /// must be set again after a resume.
    ///
    /// # Errors
    /// If it reads or computes something else than the network, or its values do not fit on the device.
    pub fn learn_from(&mut self, teacher: &Teacher, device: &Device) -> Result<()> {
        self.teacher = Some(teacher.of(self.network.net(), device)?);
        Ok(())
    }

    /// The feed with the outputs of the teacher beside the examples, where it is worth while to keep them; nothing if
    /// `stop` was set.
    pub(crate) fn taught<'b>(&self, feed: Feed<'b>, stop: &AtomicBool) -> Result<Option<Feed<'b>>> {
        match &self.teacher {
            Some(teacher) if self.progress.epoch < self.training.epochs => {
                teacher.beside(feed, self.training.epochs, stop)
            }
            _ => Ok(Some(feed)),
        }
    }

    /// How far the training has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The values being trained.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Their average, which is evaluated.
    pub fn average(&self) -> &Average {
        &self.average
    }

    /// The multipliers of the objective's constraint, if it has one.
    pub fn multipliers(&self) -> Option<&Multipliers> {
        self.multipliers.as_ref()
    }

    /// What it was configured with, as far as a file can hold it: all of it changes what the next steps compute.
    pub(crate) fn settings(&self) -> serde_json::Result<serde_json::Value> {
        let (training, objective) = (serde_json::to_value(self.training)?, serde_json::to_value(self.objective)?);
        Ok(serde_json::json!({ "training": training, "objective": objective, "examples": self.examples }))
    }

    /// Whether gates were frozen in the last of the steps that were made.
    pub(crate) fn has_frozen_gates(&self) -> bool {
        let Progress { epoch, step, .. } = self.progress;
        let of_last = if step == 0 { epoch.checked_sub(1) } else { Some(epoch) };
        of_last.is_some_and(|epoch| self.training.is_frozen(epoch))
    }

    /// Refuses gates that would never learn where none were handed over that are chosen already. Chosen ones stand as
    /// they are: what they leave above a target is said, not changed, as that of a run which missed it and is trained
    /// from scratch.
    fn check_given_gates(&self) -> Result<()> {
        let epochs = self.training.epochs;
        if !self.has_gates_from_elsewhere {
            let expected =
                format!("fewer than the {epochs} epochs, or values to start from, with gates that are chosen");
            return Err(Error::config("frozen_epochs", self.training.frozen_epochs, expected));
        }
        let Some(constraint) = self.objective.constraint() else { return Ok(()) };
        let shares = self.network.shares_left(self.average.weights(), constraint, self.training.estimator)?;
        let mut missed = shares.iter().zip(constraint.targets.each()).filter(|(share, target)| share > target);
        if let Some((share, target)) = missed.next() {
            tracing::warn!(
                "the gates to start from leave {share:.4} where {target} is asked for, and are frozen from the first \
                 step on, so nothing brings them within it: with frozen_epochs below {epochs} they learn, and are"
            );
        }
        Ok(())
    }

    /// Freezes the gates at the values that their average has at test time, brought within the constraint first
    /// ([`GatedNet::brought_within`]).
    fn freeze_gates(&mut self) -> Result<()> {
        if let Some(constraint) = self.objective.constraint() {
            let averages = self.average.weights();
            let before = self.open_of(averages)?;
            let asked = self.freeze.map(|freeze| freeze.constraint(self.network, averages, constraint)).transpose()?;
            let constraint = asked.as_ref().unwrap_or(constraint);
            let within = self.network.brought_within(averages, constraint, self.training.estimator)?;
            tell_frozen(before, self.open_of(&within)?, constraint.fit);
            self.average.set(within);
        }
        let averages = self.average.weights();
        let gates = self.params.iter().filter(|param| param.role == Role::Mask);
        gates.into_iter().try_for_each(|gate| Ok(gate.var.set(&averages.get(&gate.name)?.copy()?)?))
    }

    /// How many gates are open at test time.
    fn open_of(&self, weights: &Weights) -> Result<usize> {
        let pruned = self.network.pruned(weights, self.training.estimator)?;
        Ok(pruned.open.iter().map(|(_, open)| open).sum())
    }

    /// Every tensor with a name of its own: all that is saved, and all that must be finite.
    pub(crate) fn named(&self) -> Vec<(String, Tensor)> {
        let params = self.params.iter().map(|p| (format!("param.{}", p.name), p.var.as_detached_tensor()));
        let averages = self.average.weights().iter().map(|(name, t)| (format!("average.{name}"), t.clone()));
        let moments = self.optimiser.named().map(|(name, t)| (name, t.clone()));
        params.chain(averages).chain(moments).collect()
    }

    /// Checks that every value, average and moment is a number: what is not would spoil the checkpoint that takes the
    /// place of a good one.
    ///
    /// # Errors
    /// The first that is not, with its name.
    pub fn check_finite(&self) -> Result<()> {
        for (name, tensor) in self.named() {
            if let Some(value) = not_finite(&tensor)? {
                return Err(self.no_number(name, value));
            }
        }
        Ok(())
    }

    /// The error of a value, average or moment that is no number after the last step.
    fn no_number(&self, name: String, value: f32) -> Error {
        let (epoch, step) = match self.progress {
            Progress { epoch, step: 0, .. } => (epoch, self.steps),
            Progress { epoch, step, .. } => (epoch + 1, step),
        };
        let is_gate = self.params.iter().any(|p| p.role == Role::Mask && name.ends_with(&format!(".{}", p.name)));
        let quantity = if is_gate { Number::Gate(name) } else { Number::Value(name) };
        Error::NotFinite { quantity, value: value.into(), epoch, step }
    }

    /// One step on `batch`. An epoch has as many as it takes batches of the configured size to hold all examples; the
    /// step that begins the last [`Training::frozen_epochs`] freezes the gates.
    ///
    /// # Errors
    /// If the batch is empty or does not fit the network, loss or penalty is not finite any more, or all epochs are
    /// over. Then no step was made, and no value was changed but by freezing the gates.
    pub fn step(&mut self, batch: &Batch) -> Result<StepResult> {
        let Progress { epoch, step, .. } = self.progress;
        let epochs = self.training.epochs;
        if epoch >= epochs {
            return Err(Error::Over { epochs, steps: self.progress.steps });
        }
        if self.progress.steps == 0 && self.training.is_frozen(0) {
            self.check_given_gates()?;
        }
        let learnt = epoch.checked_sub(1).is_some_and(|before| !self.training.is_frozen(before));
        if step == 0 && learnt && self.training.is_frozen(epoch) {
            self.freeze_gates()?; // those that never learn stand as they began
        }
        let begin = Instant::now();
        let soft = match (&self.teacher, &batch.soft) {
            (Some(_), Some(known)) => Some(known.clone()),
            (Some(teacher), None) => Some(teacher.outputs(&batch.images, Loss::of(&batch.labels))?),
            (None, _) => None,
        };
        let mut one_step = || l0_ops::taped(|| self.one_step(batch, soft.as_ref(), epoch, step));
        // The threads of the pool do the work of a step on the CPU; beside a GPU they would only look for some.
        let mut result = if batch.images.device().is_cpu() { l0_ops::awake(one_step)? } else { one_step()? };
        result.seconds = begin.elapsed().as_secs_f64();
        self.progress.advance(&result, self.steps);
        Ok(result)
    }

    /// The loss on the data: of the labels, or of these and a teacher's outputs.
    fn loss(&self, outputs: &Tensor, labels: &Tensor, soft: Option<&Tensor>) -> Result<Tensor> {
        let loss = Loss::of(labels);
        let labelled = loss.value(outputs, labels)?;
        match self.teacher.as_ref().zip(soft) {
            Some((teacher, soft)) => teacher.blended(loss, &labelled, outputs, soft),
            None => Ok(labelled),
        }
    }

    fn one_step(&mut self, batch: &Batch, soft: Option<&Tensor>, epoch: u64, step: u64) -> Result<StepResult> {
        // ---- gates: all drawn before any layer runs, so that closed ones save work
        let frozen = self.training.is_frozen(epoch);
        let weights = self.params.weights();
        let seed = self.seed;
        let draw = |purpose| move |name: &str| Stream::new(seed, purpose, epoch, step, name);
        let masks = match self.training.sampling {
            _ if frozen => self.network.test_masks(&weights, self.training.estimator)?,
            Sampling::Minibatch => self.network.sample(&weights, draw(Purpose::Gate))?,
            Sampling::Example => self.network.sample_each(&weights, batch.len(), draw(Purpose::Gate))?,
        };

        // ---- forward
        let noise = draw(Purpose::Dropout);
        let output = self.network.net().forward(&weights, &batch.images, &masks, Mode::Train(&noise))?;

        // ---- objective
        let ys = Loss::of(&batch.labels).taken(self.network.net(), output.ys)?;
        let loss = self.loss(&ys, &batch.labels, soft)?;
        let penalty = self.network.penalty(&weights, &self.penalties)?;
        let densities = match self.objective.constraint() {
            Some(constraint) if !frozen => self.network.densities(&weights, constraint)?,
            _ => Vec::new(),
        };
        let terms = match &self.multipliers {
            Some(multipliers) if !densities.is_empty() => Some(multipliers.term(&densities)?),
            _ => None,
        };
        let sums = summed(&loss, [penalty.as_ref().map(|p| p.reshape(())).transpose()?, terms])?;

        // ---- backward, and here the device is waited for
        let wrong = wrong_ones(&ys, &batch.labels)?;
        let grads = l0_ops::backward_all(&sums)?;
        let value = |x: &Tensor| x.detach().reshape(())?.to_scalar::<f32>().map(f64::from);
        let penalty = penalty.as_ref().map_or(Ok(0.0), value)?;
        let result = StepResult {
            loss: value(&loss)?,
            penalty,
            wrong: wrong.to_scalar::<u32>()?.into(),
            seen: batch.len() as u64,
            seconds: 0.0, // of the whole step, which is not over
        };
        for (quantity, value) in [(Number::Loss, result.loss), (Number::Penalty, result.penalty)] {
            if !value.is_finite() {
                return Err(Error::NotFinite { quantity, value, epoch: epoch + 1, step: step + 1 });
            }
        }

        // ---- step, clamp, average; multipliers climb with the densities that the loss had
        self.optimiser.step(&grads, self.training.rate_factor(epoch, step, self.steps), frozen)?;
        if !frozen {
            self.network.clamp_(&weights)?;
        }
        if let (Some(multipliers), false) = (&mut self.multipliers, densities.is_empty()) {
            let densities = densities.iter().map(value).collect::<candle_core::Result<Vec<f64>>>()?;
            let learning = (self.training.epochs - self.training.frozen_epochs) * self.steps;
            multipliers.update(&densities, (epoch * self.steps + step) as f64 / learning as f64)?;
        }
        self.params.learn(&output.statistics)?;
        self.average.update(&self.params)?;
        Ok(result)
    }
}

/// Says what became of the gates; loudly where what is left of them can hardly be worth much.
fn tell_frozen(before: usize, after: usize, fit: Fit) {
    if fit == Fit::Lower && 2 * after < before {
        tracing::warn!(
            "gates are frozen: {before} were open, {after} are, lowered so far with the others that their units hardly \
             count; gates that learn for longer, or `fit = {{ fill = {{ multiple = 1 }} }}` in the constraint, leave \
             them open"
        );
    } else {
        tracing::info!("gates are frozen: {before} were open, {after} are");
    }
}

/// The first value that is infinite or not a number. Only where there is one do values leave their device.
fn not_finite(tensor: &Tensor) -> candle_core::Result<Option<f32>> {
    let sum = (tensor * 0.0)?.sum_all()?.to_scalar::<f32>()?; // 0 x is 0, unless x is one of these
    if sum == 0.0 {
        return Ok(None);
    }
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().find(|value| !value.is_finite()))
}

/// The parts of an objective: one sum on each device, as gates are on the CPU wherever the rest is.
fn summed(loss: &Tensor, parts: [Option<Tensor>; 2]) -> candle_core::Result<Vec<Tensor>> {
    let mut sums = vec![loss.clone()];
    for part in parts.into_iter().flatten() {
        match sums.iter_mut().find(|sum| sum.device().same_device(part.device())) {
            Some(sum) => *sum = (&*sum + part)?,
            None => sums.push(part),
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_among_many_that_is_no_number_is_found() {
        let with = |value: f32| {
            let mut values = vec![f32::MAX; 1000];
            (values[3], values[700]) = (-f32::MAX, value);
            not_finite(&Tensor::from_vec(values, (10, 100), &Device::Cpu).unwrap()).unwrap()
        };
        assert_eq!((with(0.0), with(f32::MIN_POSITIVE)), (None, None));
        assert_eq!((with(f32::INFINITY), with(f32::NEG_INFINITY)), (Some(f32::INFINITY), Some(f32::NEG_INFINITY)));
        assert!(with(f32::NAN).unwrap().is_nan());
    }
}
