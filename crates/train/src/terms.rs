//! What a training makes of its settings before it makes any value: what can be refused is refused there.

use l0::{GatedNet, Multipliers, Objective, Penalty};
use l0_net::{Layer, Net};

use crate::config::wrong;
use crate::{Error, Result, Training};

/// What is added to the loss, and to the gradients.
pub(crate) struct Terms {
    /// Of each set of gates.
    pub(crate) penalties: Vec<Penalty>,
    /// Of the constraint, if there is one.
    pub(crate) multipliers: Option<Multipliers>,
    /// Of what is gated, where gates do not feel it: the optimiser adds it.
    pub(crate) weight_decay: f64,
}

impl Terms {
    pub(crate) fn new(network: &GatedNet, objective: &Objective, training: &Training, n_train: usize) -> Result<Self> {
        training.check()?;
        if n_train == 0 {
            return Err(Error::config("training examples", 0, "1 or more"));
        }
        check_batches(network.net(), training, n_train)?;
        training.check_with(objective)?;
        let (felt, weight_decay) = objective.without_detached_decay()?;
        let (penalties, multipliers) = (felt.penalties(network, n_train)?, objective.multipliers(network)?);
        Ok(Self { penalties, multipliers, weight_decay })
    }
}

impl Training {
    /// Checks that `network` can be trained so with `objective` on `n_train` examples: everything that
    /// [`Trainer::new`](crate::Trainer::new) would refuse.
    ///
    /// # Errors
    /// If a setting is out of its range, there is nothing to train on, the objective is not for these gates, no network
    /// with them can meet a target, or no batch has more than one example where a normalisation asks for more.
    pub fn check_for(&self, network: &GatedNet, objective: &Objective, n_train: usize) -> Result<()> {
        Terms::new(network, objective, self, n_train).map(drop)
    }
}

/// Refuses a training of which every batch would be one value for each unit of a normalisation: it would learn no
/// variance, and nothing below it would learn anything.
fn check_batches(net: &Net, training: &Training, n_train: usize) -> Result<()> {
    let alone = |id: usize| {
        let positions: usize = net.shape(id).dims()[1..].iter().product();
        matches!(net.node(id).layer, Layer::BatchNorm(_)) && positions == 1
    };
    let Some(id) = (0..net.nodes().len()).find(|&id| alone(id)) else { return Ok(()) };
    let expected = format!("2 or more: the batch norm {:?} normalises each unit over the examples", net.node(id).name);
    match (training.batch_size, n_train) {
        (1, _) => wrong("batch_size", 1, expected),
        (_, 1) => wrong("the number of training images", 1, expected),
        _ => Ok(()),
    }
}
