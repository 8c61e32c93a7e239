//! What is expected to be left of a network, in either phase of a training.

use candle_core::Tensor;
use l0::{Constraint, Pruned};
use l0_net::ExpectedCost;

use crate::{Job, Result, Trainer};

/// What the gates of the averages are expected to leave. While they learn it follows from P(z != 0); once they are frozen
/// nothing is left to chance, and it is what is left at test time.
pub(crate) struct Expected {
    /// Gated weights that are not zero; none without gates.
    pub(crate) l0: Option<f64>,
    /// Parameters; while gates learn, normalisations count in full.
    pub(crate) params: f64,
    /// Multiply-accumulates for one example.
    pub(crate) macs: f64,
    /// What the constraint bounds, for each of its targets.
    pub(crate) densities: Vec<f64>,
}

impl Expected {
    /// After the steps that `trainer` made; `pruned` is what its averages leave at test time.
    pub(crate) fn of(job: &Job, trainer: &Trainer, pruned: &Pruned) -> Result<Self> {
        if trainer.has_frozen_gates() { Self::frozen(job, trainer, pruned) } else { Self::learning(job, trainer) }
    }

    fn frozen(job: &Job, trainer: &Trainer, pruned: &Pruned) -> Result<Self> {
        let left = |constraint: &Constraint| {
            job.network.shares_left(trainer.average().weights(), constraint, job.training.estimator)
        };
        Ok(Self {
            l0: job.network.open_l0(pruned),
            params: pruned.cost.params() as f64,
            macs: pruned.cost.macs() as f64,
            densities: job.objective.constraint().map_or_else(|| Ok(Vec::new()), left)?,
        })
    }

    fn learning(job: &Job, trainer: &Trainer) -> Result<Self> {
        let (network, weights) = (job.network, trainer.average().weights());
        let costs = network.net().expected_cost(&network.probabilities(weights)?)?;
        let sum = |part: fn(&ExpectedCost) -> &Tensor| -> Result<f64> {
            let values = costs.iter().map(|cost| part(cost).to_scalar::<f32>().map(f64::from));
            Ok(values.sum::<candle_core::Result<f64>>()?)
        };
        let normalisations = network.net().cost().layers.into_iter().filter(|layer| layer.weights == 0);
        let normalisations = normalisations.map(|layer| layer.params as f64).sum::<f64>();
        let densities = match job.objective.constraint() {
            Some(constraint) => network.densities(weights, constraint)?,
            None => Vec::new(),
        };
        let densities = densities.iter().map(|density| density.to_scalar::<f32>().map(f64::from));
        Ok(Self {
            l0: network.expected_l0(weights)?,
            params: sum(|cost| &cost.params)? + normalisations,
            macs: sum(|cost| &cost.macs)?,
            densities: densities.collect::<candle_core::Result<_>>()?,
        })
    }
}
