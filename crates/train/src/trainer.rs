//! One step of training, and the values that change in it.

use candle_core::Device;
use l0::{Constraints, Network, Sampling};
use l0_data::Batch;
use l0_net::{Mode, Params, Weights};
use l0_rng::{Purpose, Stream};

use crate::evaluate::count_wrong;
use crate::optimiser::OptimiserState;
use crate::{Average, Error, Result, Training};

/// What one step came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepResult {
    /// Mean cross-entropy of the batch.
    pub loss: f64,
    /// The penalty.
    pub penalty: f64,
    /// Examples classified wrongly.
    pub wrong: u64,
    /// Examples seen.
    pub seen: u64,
}

/// Totals over the steps of an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    /// Cross-entropy, summed over examples.
    pub loss: f64,
    /// Penalty, summed over examples.
    pub penalty: f64,
    /// Examples classified wrongly.
    pub wrong: u64,
    /// Examples seen.
    pub seen: u64,
}

impl Sums {
    pub(crate) fn add(&mut self, step: &StepResult) {
        self.loss += step.loss * step.seen as f64;
        self.penalty += step.penalty * step.seen as f64;
        self.wrong += step.wrong;
        self.seen += step.seen;
    }

    /// A sum over examples as a mean.
    pub(crate) fn mean(&self, sum: f64) -> f64 {
        sum / self.seen.max(1) as f64
    }
}

/// The values that training changes.
#[derive(Debug)]
pub struct Trainer<'a> {
    network: &'a Network,
    training: &'a Training,
    n_train: usize,
    pub(crate) seed: u64,
    pub(crate) params: Params,
    pub(crate) optimiser: OptimiserState,
    pub(crate) average: Average,
    pub(crate) constraints: Option<Constraints>,
}

impl<'a> Trainer<'a> {
    /// First values for `network`, to be trained on `n_train` examples.
    ///
    /// # Errors
    /// If the configuration is wrong.
    pub fn new(
        network: &'a Network,
        training: &'a Training,
        n_train: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        training.check()?;
        let params = network.init(seed, device)?;
        let optimiser = OptimiserState::new(&params, &network.gated_parameters(), training)?;
        let average = Average::new(&params, training.average)?;
        let constraints = training.constraint.as_ref().map(|c| c.start(network.gated_units().len())).transpose()?;
        Ok(Self { network, training, n_train, seed, params, optimiser, average, constraints })
    }

    /// Puts these values in the place of the first ones, and of their average.
    ///
    /// # Errors
    /// If one is missing or of another shape.
    pub fn begin_with(&mut self, values: &Weights) -> Result<()> {
        self.params.assign(values)?;
        self.average = Average::new(&self.params, self.training.average)?;
        Ok(())
    }

    /// The values being trained.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Their average, which is evaluated.
    pub fn average(&self) -> &Average {
        &self.average
    }

    /// The constraints and their multipliers.
    pub fn constraints(&self) -> Option<&Constraints> {
        self.constraints.as_ref()
    }

    /// Fixes the gates at the values that their average has at test time, brought within the constraints first
    /// ([`Network::brought_within`]).
    ///
    /// # Errors
    /// If an assignment fails.
    pub fn freeze_gates(&mut self) -> Result<()> {
        if let Some(constraints) = &self.constraints {
            let averages = self.average.weights();
            let within = self.network.brought_within(averages, constraints, self.training.estimator)?;
            self.average.set(within);
        }
        let averages = self.average.weights();
        let gates = self.params.iter().filter(|param| param.role == l0_net::Role::Mask);
        gates.into_iter().try_for_each(|gate| Ok(gate.var.set(&averages.get(&gate.name)?.copy()?)?))
    }

    /// Checks that every value, average and moment is a number, after `step` steps of the epoch after `epoch` epochs: what
    /// is not would spoil the checkpoint that takes the place of a good one.
    ///
    /// # Errors
    /// The first that is not, with its name.
    pub fn check_finite(&self, epoch: u64, step: u64) -> Result<()> {
        for (name, tensor) in crate::checkpoint::named(self) {
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            if let Some(value) = values.into_iter().find(|value| !value.is_finite()) {
                return Err(Error::NotFinite { quantity: name, value: value.into(), epoch: epoch + 1, step });
            }
        }
        Ok(())
    }

    /// One step on `batch`, at `epoch` and `step` of it (both from 0).
    ///
    /// # Errors
    /// If loss or penalty is not finite any more; then no value was changed.
    pub fn step(&mut self, batch: &Batch, epoch: u64, step: u64) -> Result<StepResult> {
        l0_ops::awake(|| self.one_step(batch, epoch, step))
    }

    fn one_step(&mut self, batch: &Batch, epoch: u64, step: u64) -> Result<StepResult> {
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
        let loss = l0_ops::cross_entropy(&output.ys, &batch.labels)?;
        let penalty = self.network.penalty(&weights, self.n_train)?;
        let densities = match &self.constraints {
            Some(constraints) if !frozen => self.network.densities(&weights, constraints)?,
            _ => Vec::new(),
        };
        let mut total = loss.clone();
        if let Some(penalty) = &penalty {
            total = (total + penalty.reshape(())?)?;
        }
        if let (Some(constraints), false) = (&self.constraints, densities.is_empty()) {
            total = (total + constraints.term(&densities)?)?;
        }

        // ---- here the device is waited for
        let value = |x: &candle_core::Tensor| x.detach().reshape(())?.to_scalar::<f32>().map(f64::from);
        let penalty = penalty.as_ref().map_or(Ok(0.0), value)?;
        let result = StepResult {
            loss: value(&loss)?,
            penalty,
            wrong: count_wrong(&output.ys, &batch.labels)?,
            seen: batch.len() as u64,
        };
        for (quantity, value) in [("the training loss", result.loss), ("the penalty", result.penalty)] {
            if !value.is_finite() {
                return Err(Error::NotFinite { quantity: quantity.into(), value, epoch: epoch + 1, step: step + 1 });
            }
        }

        // ---- backward, step, clamp, average; multipliers climb with the densities that the loss had
        let grads = l0_ops::backward(&total)?;
        let steps = self.n_train.div_ceil(self.training.batch_size) as u64;
        self.optimiser.step(&grads, self.training.rate_factor(epoch, step, steps), frozen)?;
        if !frozen {
            self.network.clamp_(&weights)?;
        }
        if let (Some(constraints), false) = (&mut self.constraints, densities.is_empty()) {
            let densities = densities.iter().map(value).collect::<candle_core::Result<Vec<f64>>>()?;
            constraints.update(&densities).map_err(candle_core::Error::from)?;
        }
        self.params.learn(&output.statistics)?;
        self.average.update(&self.params)?;
        Ok(result)
    }
}
