//! Targets in milliseconds: which share of the multiply-accumulates takes so long on this machine.

use std::time::Instant;

use l0::{Constraint, Estimator, GatedNet, Targets};
use l0_infer::Engine;
use l0_net::{Model, Weights};
use l0_train::Freeze;

use crate::{Error, Result};

/// Halvings of the range of shares: to a 256th, less than what a channel takes.
const HALVINGS: usize = 8;

/// How often a network is timed, each time for [`TURN`] seconds.
const TURNS: usize = 15;

/// Seconds of a turn.
const TURN: f64 = 0.01;

/// Milliseconds that a network takes for one example on one thread: the median of several turns.
///
/// # Errors
/// If the network does not run.
pub fn latency(model: &Model) -> Result<f64> {
    let mut engine = Engine::new(&model.net, &model.weights)?;
    let xs = vec![0.5; engine.input_len()];
    let mut turns = Vec::with_capacity(TURNS);
    engine.run(&xs, 1)?; // the first call packs what it needs
    for _ in 0..TURNS {
        let (begin, mut calls) = (Instant::now(), 0.0);
        while begin.elapsed().as_secs_f64() < TURN {
            engine.run(&xs, 1)?;
            calls += 1.0;
        }
        turns.push(1e3 * begin.elapsed().as_secs_f64() / calls);
    }
    turns.sort_unstable_by(f64::total_cmp);
    Ok(turns[TURNS / 2])
}

/// A limit in milliseconds that decides, when gates are frozen, how much of the network is left.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The limit.
    pub milliseconds: f64,
}

impl Freeze for Limit {
    /// The smallest network where none is fast enough: it is late to refuse.
    fn constraint(&self, network: &GatedNet, weights: &Weights, constraint: &Constraint) -> l0::Result<Constraint> {
        let share = share_within(network, weights, constraint, self.milliseconds).map_err(|error| match error {
            Error::Gates(error) => error,
            error => candle_core::Error::wrap(error).into(),
        })?;
        let share = share.map_or_else(|| network.least_share(constraint), Ok)?;
        Ok(Constraint { targets: Targets::Model(share), ..constraint.clone() })
    }
}

/// The largest share of the multiply-accumulates with which the network with the gates of `weights` takes so many milliseconds
/// at most; nothing if the smallest one takes longer.
///
/// # Errors
/// If a network does not run.
pub(crate) fn share_within(
    network: &GatedNet,
    weights: &Weights,
    constraint: &Constraint,
    limit: f64,
) -> Result<Option<f64>> {
    let takes = |share: f64| -> Result<f64> {
        let constraint = Constraint { targets: Targets::Model(share), ..constraint.clone() };
        let within = network.brought_within(weights, &constraint, Estimator::Mean)?;
        let masks = network.test_masks(&within, Estimator::Mean)?;
        latency(&network.net().compact(&within, &masks)?)
    };
    let (mut low, mut high) = (network.least_share(constraint)?, 1.0);
    if takes(low)? > limit {
        return Ok(None);
    }
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if takes(middle)? <= limit { low = middle } else { high = middle }
    }
    Ok(Some(low))
}
