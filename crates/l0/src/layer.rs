//! What the gated layers have in common: their configuration, and where their noise comes from.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{DType, Result, Tensor};
use l0_ops::Selection;
use l0_rng::{Purpose, Stream};
use serde::{Deserialize, Serialize};

use crate::{Estimator, GateConfig};

/// What one gate switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// An input unit of a linear layer, an output channel of a convolution: closed ones cost no time.
    #[default]
    Unit,
    /// One weight. Sparser, but nothing gets faster.
    Weight,
}

/// How often gates are drawn in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Once for all examples of a batch, so that closed units need not be computed for any of them.
    #[default]
    Minibatch,
    /// Once for each example: gradients vary less, and nothing is saved. With a gate per weight every example has a
    /// weight of its own, in memory as well. A [`GatedNet`](crate::GatedNet) whose gated channels are to stay zero in a
    /// batch norm ([`ClosedChannels::Zero`](l0_net::ClosedChannels::Zero)) refuses it: a channel is then closed for some
    /// examples alone.
    Example,
}

/// What [`l0_linear`](crate::l0_linear) and [`l0_conv2d`](crate::l0_conv2d) build. The default is the paper's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayerConfig {
    /// How gates begin.
    pub gate: GateConfig,
    /// What one gate switches.
    pub granularity: Granularity,
    /// How often gates are drawn in training.
    pub sampling: Sampling,
    /// What a gate is worth in evaluation.
    pub estimator: Estimator,
    /// Whether the layer has a bias.
    pub bias: bool,
}

impl Default for LayerConfig {
    fn default() -> Self {
        Self {
            gate: GateConfig::default(),
            granularity: Granularity::default(),
            sampling: Sampling::default(),
            estimator: Estimator::default(),
            bias: true,
        }
    }
}

/// The address of a layer's noise: (seed, name) and a count of the batches drawn for.
///
/// The layer alone knows its count, so a run that is resumed must put it back: [`Noise::set_step`].
#[derive(Debug, Default)]
pub struct Noise {
    seed: u64,
    name: String,
    step: AtomicU64,
}

impl Clone for Noise {
    /// The copy goes on from the same step, on a count of its own.
    fn clone(&self) -> Self {
        Self { seed: self.seed, name: self.name.clone(), step: AtomicU64::new(self.step()) }
    }
}

impl Noise {
    /// Noise that starts at step 0. Layers of one network need different names or they draw the same numbers.
    pub fn new(seed: u64, name: impl Into<String>) -> Self {
        Self { seed, name: name.into(), step: AtomicU64::new(0) }
    }

    /// The step that the next batch draws for.
    pub fn step(&self) -> u64 {
        self.step.load(Ordering::Relaxed)
    }

    /// Makes the next batch that of `step`.
    pub fn set_step(&self, step: u64) {
        self.step.store(step, Ordering::Relaxed);
    }

    /// The numbers of this step; the next call gets those of the next.
    pub fn advance(&self) -> Stream {
        Stream::new(self.seed, Purpose::Gate, 0, self.step.fetch_add(1, Ordering::Relaxed), &self.name)
    }
}

/// The gates that are not 0, for values (n,). A NaN counts as open, so that it reaches the loss and is seen there.
///
/// # Errors
/// If `z` is not a vector of floats.
pub fn open_gates(z: &Tensor) -> Result<Selection> {
    let z: Vec<f32> = z.detach().to_dtype(DType::F32)?.to_vec1()?;
    Ok(Selection::of(&z.iter().map(|&z| z != 0.0).collect::<Vec<_>>()))
}
