//! Optimisers with their own state, so that it can be saved: one rule for the weights, one for the gates.

use candle_core::{Tensor, Var};
use l0_net::{Params, Role};
use l0_ops::update::{Adam, Sgd, adam, sgd};

use crate::{Optimiser, Result, Training};

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

/// The state of the optimisers of all trained parameters.
#[derive(Debug)]
pub(crate) struct OptimiserState {
    weights: Optimiser,
    gates: Optimiser,
    steps: u64,
    slots: Vec<Slot>,
}

impl OptimiserState {
    /// Groups by role: gates have an optimiser of their own and no decay; of the rest, what is named in `covered` decays
    /// with its gates and everything else by `training.weight_decay`.
    pub(crate) fn new(params: &Params, covered: &[String], training: &Training) -> Result<Self> {
        let (weights, gates) = (training.optimiser, training.gate_optimiser);
        let mut slots = Vec::new();
        for param in params.iter().filter(|param| param.role.is_trained()) {
            let is_gate = param.role == Role::Mask;
            let count = match if is_gate { gates } else { weights } {
                Optimiser::Adam { .. } => 2,
                Optimiser::Sgd { .. } => 1,
            };
            let moments = (0..count).map(|_| param.var.zeros_like()).collect::<candle_core::Result<_>>()?;
            let decays = !is_gate && !covered.contains(&param.name);
            let weight_decay = if decays { training.weight_decay } else { 0.0 };
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
        for slot in self.slots.iter().filter(|slot| !(slot.is_gate && gates_frozen)) {
            let param = slot.var.as_tensor();
            let grad = grads.get(param)?.map_or_else(|| param.zeros_like(), Ok)?;
            let weight_decay = slot.weight_decay;
            match if slot.is_gate { self.gates } else { self.weights } {
                Optimiser::Adam { learning_rate, beta1, beta2, eps } => {
                    let step = self.steps;
                    let rule = Adam { learning_rate: learning_rate * factor, beta1, beta2, eps, weight_decay, step };
                    adam(param, &grad, &slot.moments[0], &slot.moments[1], &rule)?;
                }
                Optimiser::Sgd { learning_rate, momentum, nesterov } => {
                    let rule = Sgd { learning_rate: learning_rate * factor, momentum, weight_decay, nesterov };
                    sgd(param, &grad, &slot.moments[0], &rule)?;
                }
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
