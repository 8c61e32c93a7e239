//! The average of all values over training, which is what gets evaluated.
//!
//! `average_t = average_{t-1} + w_t (value_t - average_{t-1})` with `w_t = (1 - d) / (1 - d^t)`: the exponential moving
//! average of decay d without its bias towards the start (at t = 1 it is the value itself).

use candle_core::Tensor;
use l0_net::{Params, Weights};

use crate::Result;

/// An exponential moving average of every parameter, running statistics included.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    steps: u64,
    weights: Weights,
}

impl Average {
    /// An average that has seen nothing; its values are those of `params` until the first update.
    ///
    /// # Errors
    /// If the device cannot hold them.
    pub fn new(params: &Params, decay: f64) -> Result<Self> {
        let weights = params.detached();
        let copies = weights.iter().map(|(_, value)| value.copy()).collect::<candle_core::Result<Vec<Tensor>>>()?;
        Ok(Self { decay, steps: 0, weights: weights.with(copies)? })
    }

    /// Takes in the newest values.
    ///
    /// # Errors
    /// If an update fails on the device.
    pub fn update(&mut self, params: &Params) -> Result<()> {
        self.steps += 1;
        let weight = (1.0 - self.decay) / (1.0 - self.decay.powf(self.steps as f64));
        let pairs = params.iter().zip(self.weights.iter());
        let pairs: Vec<_> = pairs.map(|(param, (_, average))| (average, param.var.as_tensor())).collect();
        Ok(l0_ops::update::lerp_each(&pairs, weight)?)
    }

    /// The averages, plain: evaluating them builds no graph.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Puts other values in the place of the averages, which go on from there.
    pub(crate) fn set(&mut self, weights: Weights) {
        self.weights = weights;
    }

    /// How many updates it has seen.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }
}
