//! What a pruning comes to in the terms of a training: a gated network, its objective, and how it is trained. Every
//! number that the user did not give follows from the steps there are.

use candle_core::Device;
use l0::{Constraint, Estimator, Filling, Fit, GatedNet, L2, Lambda, Objective, Ranking, Sampling, Targets};
use l0_data::{Augment, Dataset};
use l0_net::{Model, Weights};
use l0_train::{Freeze, Job, Optimiser, Precision, Schedule, Teacher, Training};

use crate::gates::ResidualStream;
use crate::settings::Settings;
use crate::{Clock, Limit, Result};

/// How far a push of usual size moves log α while gates learn: ten times from nearly open, 4, to closed, -2.4. Most
/// gates are pushed less than those that count.
const REACH: f64 = 64.0;

/// What the multiplier of a target would climb to, were it violated by 1 for as long as gates learn.
const CLIMB: f64 = 20.0;

/// What weights learn with until gates are frozen, as a share of their highest rate.
const BEFORE: f64 = 0.2;

/// The share of the fine-tuning after which its learning rate is highest.
const PEAK: f64 = 0.2;

/// Epochs for each pixel that images are shifted.
const EPOCHS_A_PIXEL: u64 = 10;

/// Spaces that would lose an eighth of their channels or less keep all of them, if gates are ranked globally.
const WHOLE_WITHIN: usize = 8;

/// The fastest that gates move.
const FASTEST: f64 = 0.5;

/// All that a training needs to know, and the values it starts from.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The network, with gates on what can be pruned.
    pub network: GatedNet,
    /// What becomes of the stream of a residual network.
    pub residual_stream: ResidualStream,
    /// The target, as a constraint or a price.
    pub objective: Objective,
    /// Epochs, rates and phases.
    pub training: Training,
    /// How training images are varied.
    pub augment: Option<Augment>,
    /// The values to start from.
    pub start: Option<Weights>,
    /// What decides, when gates are frozen, how much is left, if the target is a time.
    pub limit: Option<Limit>,
    /// A network that it learns from beside the labels.
    pub teacher: Option<Teacher>,
}

impl Plan {
    /// Channels are kept in multiples of so many: 1, unless it was [asked for](crate::Prune::round).
    pub fn multiple(&self) -> usize {
        match self.objective.constraint().map(|constraint| constraint.fit) {
            Some(Fit::Fill(filling)) => filling.multiple,
            _ => 1,
        }
    }

    /// The network at its target before any training, with channels that chance has chosen, kept in multiples of so
    /// many: as large as the one that is trained, for whoever wants to know how long that will take. The whole network
    /// where there is no target.
    ///
    /// # Errors
    /// If no network with these gates keeps to the target.
    pub fn untrained(&self, multiple: usize) -> Result<Model> {
        let params = match &self.start {
            Some(weights) => self.network.init_with(weights, 0, &Device::Cpu)?,
            None => self.network.init(0, &Device::Cpu)?,
        };
        let mut weights = params.detached();
        if let Some(constraint) = self.objective.constraint() {
            let fit = match constraint.fit {
                Fit::Fill(filling) => Fit::Fill(Filling { multiple, ..filling }),
                Fit::Lower => Fit::Lower,
            };
            let constraint = Constraint { fit, ..constraint.clone() };
            weights = self.network.brought_within(&weights, &constraint, Estimator::Mean)?;
        }
        let masks = self.network.test_masks(&weights, Estimator::Mean)?;
        Ok(self.network.net().compact(&weights, &masks)?)
    }

    /// What measures how long the network takes.
    pub(crate) fn clock(&self) -> Clock {
        self.limit.as_ref().map(|limit| limit.clock.clone()).unwrap_or_default()
    }

    /// The plan as a training on `data`, for [`l0_train::run`].
    pub fn job<'a>(&'a self, data: &'a Dataset, seed: u64, device: Device, precision: Precision) -> Job<'a> {
        Job {
            network: &self.network,
            objective: &self.objective,
            training: &self.training,
            data,
            normalise: data.normalise.clone(),
            augment: self.augment,
            seed,
            start: self.start.as_ref(),
            freeze: self.limit.as_ref().map(|limit| limit as &dyn Freeze),
            teacher: self.teacher.as_ref(),
            device,
            precision,
        }
    }
}

/// How training images are varied, where the data says that they are.
pub(crate) fn augment(settings: &Settings, of_data: Option<Augment>) -> Option<Augment> {
    let few = settings.epochs.div_ceil(EPOCHS_A_PIXEL) as usize;
    let pad = |augment: Augment| settings.shift.unwrap_or(augment.pad.min(few));
    match (of_data, settings.shift) {
        (Some(augment), _) => Some(Augment { pad: pad(augment), ..augment }),
        (None, Some(pad)) if pad > 0 => Some(Augment { pad, flip: false }),
        (None, _) => None,
    }
}

/// A target as a constraint on a training whose gates learn for so many steps.
pub(crate) fn objective(settings: &Settings, targets: Targets, steps: f64) -> Objective {
    let constraint = Constraint::new(targets, settings.target.quantity(), CLIMB / steps);
    let constraint = Constraint { fit: fit(settings), ..constraint };
    Objective { weight_decay: settings.weight_decay, l2: L2::Detached, ..Objective::constrained(constraint) }
}

/// How gates are brought within a target: all sets keep the same share of theirs, unless another ranking is asked for.
/// Each set learns at a pace of its own ([`Optimiser::Novograd`]), for hundreds of steps; what that says of one set
/// beside another left a ResNet-20 with padded shortcuts 3 to 7 channels of 16 in its first stage, at a cost of half a
/// point of error (docs/decisions/051-pruning-what-is-brought.md).
fn fit(settings: &Settings) -> Fit {
    let ranking = settings.ranking.unwrap_or(Ranking::Uniform);
    let whole_within = if ranking == Ranking::Global { WHOLE_WITHIN } else { 0 };
    Fit::Fill(Filling { multiple: settings.multiple, ranking, whole_within })
}

/// A price for each open weight, in place of a target.
pub(crate) fn priced(settings: &Settings, lambda: f64) -> Objective {
    let price = Objective::priced(&[Lambda::PerWeight(lambda)]);
    Objective { weight_decay: settings.weight_decay, l2: L2::Detached, ..price }
}

/// The training of a network in batches of so many examples; gates learn for the first `learning` epochs, in so many
/// steps.
pub(crate) fn training(
    settings: &Settings,
    (learning, steps): (u64, f64),
    batch_size: usize,
    optimiser: Optimiser,
) -> Training {
    let gates = (REACH / steps).min(FASTEST) / BEFORE; // the schedule takes it down again
    Training {
        epochs: settings.epochs,
        batch_size,
        optimiser,
        gate_optimiser: Optimiser::novograd(gates),
        schedule: Schedule::Settle { before: BEFORE, peak: PEAK },
        weight_decay: settings.weight_decay,
        average: 0.0,
        sampling: Sampling::Minibatch,
        estimator: Estimator::Mean,
        frozen_epochs: settings.epochs - learning,
    }
}
