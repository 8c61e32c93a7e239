//! Optimisers with their own state, so that it can be saved: one rule for the weights, one for the gates.

use candle_core::{Tensor, Var};
use l0_net::{Params, Role};
use l0_ops::update::{Adam, Item, Muon, Sgd, adam_each, muon_each, novograd_each, sgd_each};

use crate::{Optimiser, Result, Training};

/// Whether Muon steps along this parameter: (o, i, ..) with several inputs.
fn is_matrix(param: &Tensor) -> bool {
    param.rank() > 1 && param.dims()[1] > 1
}

/// What is kept for one parameter.
#[derive(Debug)]
struct Slot {
    name: String,
    var: Var,
    is_gate: bool,
    weight_decay: f64,
    /// First and second moment of Adam, or the velocity.
    moments: Vec<Tensor>,
}

/// The parameters that gates switch, which decay as the objective says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gated<'a> {
    /// Once for each set of gates that switches the parameter.
    pub(crate) names: &'a [String],
    /// Added for each time that a name stands there; 0 where the penalty in the loss holds the decay.
    pub(crate) weight_decay: f64,
}

impl Gated<'_> {
    /// The coefficient of a parameter, or none if no gate switches it.
    fn decay(&self, name: &str) -> Option<f64> {
        let times = self.names.iter().filter(|other| *other == name).count();
        (times > 0).then_some(self.weight_decay * times as f64)
    }
}

/// The state of the optimisers of all trained parameters.
#[derive(Debug)]
pub(crate) struct OptimiserState {
    weights: Optimiser,
    gates: Optimiser,
    steps: u64,
    slots: Vec<Slot>,
}

impl OptimiserState {
    /// Groups by role: gates have an optimiser of their own and no decay; of the rest, what is `gated` decays as is
    /// said there and everything else by `training.weight_decay`.
    pub(crate) fn new(params: &Params, gated: Gated, training: &Training) -> Result<Self> {
        let (weights, gates) = (training.optimiser, training.gate_optimiser);
        let mut slots = Vec::new();
        for param in params.iter().filter(|param| param.role.is_trained()) {
            let is_gate = param.role == Role::Mask;
            let count = match if is_gate { gates } else { weights } {
                Optimiser::Sgd { .. } => 1,
                Optimiser::Muon { .. } if is_matrix(&param.var) => 1,
                Optimiser::Adam { .. } | Optimiser::Novograd { .. } | Optimiser::Muon { .. } => 2,
            };
            let moments = (0..count).map(|_| param.var.zeros_like()).collect::<candle_core::Result<_>>()?;
            let of_weight = || gated.decay(&param.name).unwrap_or(training.weight_decay);
            let weight_decay = if is_gate { 0.0 } else { of_weight() };
            slots.push(Slot { name: param.name.clone(), var: param.var.clone(), is_gate, weight_decay, moments });
        }
        let state = Self { weights, gates, steps: 0, slots };
        tracing::debug!("{}", state.describe());
        Ok(state)
    }

    fn describe(&self) -> String {
        let count = |f: &dyn Fn(&Slot) -> bool| -> usize {
            self.slots.iter().filter(|slot| f(slot)).map(|slot| slot.var.elem_count()).sum()
        };
        let decaying = count(&|slot| !slot.is_gate && slot.weight_decay > 0.0);
        format!("{} weights ({decaying} decay), {} gates", count(&|slot| !slot.is_gate), count(&|slot| slot.is_gate))
    }

    /// One step with learning rates times `factor`. A parameter that the loss does not reach has a gradient of zero, as
    /// in the full computation; frozen gates stay.
    pub(crate) fn step(&mut self, grads: &l0_ops::Gradients, factor: f64, gates_frozen: bool) -> Result<()> {
        self.steps += 1;
        self.group(grads, false, self.weights, factor)?;
        if gates_frozen { Ok(()) } else { self.group(grads, true, self.gates, factor) }
    }

    /// One step of the gates, or of everything else.
    fn group(&self, grads: &l0_ops::Gradients, gates: bool, rule: Optimiser, factor: f64) -> Result<()> {
        let slots: Vec<&Slot> = self.slots.iter().filter(|slot| slot.is_gate == gates).collect();
        let found = slots.iter().map(|slot| grads.get(slot.var.as_tensor()));
        let found = found.collect::<candle_core::Result<Vec<Option<Tensor>>>>()?;
        let mut items = Vec::with_capacity(slots.len());
        for (slot, grad) in slots.iter().zip(&found) {
            let (param, weight_decay) = (slot.var.as_tensor(), slot.weight_decay);
            items.push(Item { param, grad: grad.as_ref(), moments: &slot.moments, weight_decay });
        }
        let weight_decay = 0.0; // each item has its own
        match rule {
            Optimiser::Adam { learning_rate, beta1, beta2, eps } => {
                let (learning_rate, step) = (learning_rate * factor, self.steps);
                adam_each(&items, &Adam { learning_rate, beta1, beta2, eps, weight_decay, step })?;
            }
            Optimiser::Novograd { learning_rate, beta1, beta2, eps } => {
                let (learning_rate, step) = (learning_rate * factor, self.steps);
                novograd_each(&items, &Adam { learning_rate, beta1, beta2, eps, weight_decay, step })?;
            }
            Optimiser::Muon { learning_rate, momentum, adam_rate } => {
                let (matrices, others): (Vec<Item>, Vec<Item>) = items.iter().partition(|item| is_matrix(item.param));
                muon_each(&matrices, &Muon { learning_rate: learning_rate * factor, momentum })?;
                let (learning_rate, step) = (adam_rate * factor, self.steps);
                adam_each(&others, &Adam { learning_rate, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay, step })?;
            }
            Optimiser::Sgd { learning_rate, momentum, nesterov } => {
                let learning_rate = learning_rate * factor;
                sgd_each(&items, &Sgd { learning_rate, momentum, weight_decay, nesterov })?;
            }
        }
        Ok(())
    }

    /// Every tensor of the state with a name of its own.
    pub(crate) fn named(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.slots.iter().flat_map(|slot| {
            slot.moments.iter().enumerate().map(move |(i, moment)| (format!("moment{}.{}", i + 1, slot.name), moment))
        })
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }
}
