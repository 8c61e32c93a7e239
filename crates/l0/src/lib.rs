//! Learning sparse neural networks through L0 regularisation, on Candle.
//!
//! A network is trained with *gates*: random factors z in \[0, 1\] that multiply whole groups of weights, the inputs of
//! a linear layer or the output channels of a convolution, and that are exactly 0 with a probability that can be
//! learned. Charging each group for the probability that it is open makes training trade accuracy for size, and at the
//! end closed groups are cut out (Louizos, Welling and Kingma, *Learning Sparse Neural Networks through L0
//! Regularization*, 2018).
//!
//! Three types carry the method:
//!
//! - [`HardConcrete`] is the distribution of one gate. Its functions are pure: noise comes in as an argument.
//! - [`Gate`] holds the learnable location `log_alpha` of a set of gates, draws them, and has their values at test time
//!   from an [`Estimator`]. Eq. 13, the median and the k most probable give different networks from one gated
//!   network, so counts come as *expected* and as *hard*, and one should report both.
//! - [`Penalty`] prices them; [`Lambda`] is its strength, in either of two units. Whoever would rather name a size than
//!   a price uses a [`Constraint`]. [`Objective`] holds either one, with the weight decay of what is gated: all that is
//!   optimised beside the loss, written out in [`penalty`].
//!
//! They are put to use in two ways. A [`GatedNet`] is a network described once by `l0-net` with gates on its spaces of
//! units; it knows its cost and can be compacted. A model written by hand against Candle replaces a layer by
//! [`L0Linear`] or [`L0Conv2d`], as `examples/gate_your_model.rs` shows, and adds [`GatedLayer::penalty`] to its loss;
//! what is left of it at the end is made small by [`shrink`]. [`prelude`] brings the names that either way needs.
//!
//! One draw of the gates serves a whole batch by default. The gradients vary more than with a draw per example, but a
//! closed group then contributes nothing to any example, forward or backward, and is not computed: the same numbers in
//! less time.
//!
//! Nothing here reads files, keeps global randomness, or knows of data sets and optimisers. After each step of an
//! optimiser call [`clamp_gates`] (a network: [`GatedNet::clamp_`]), as the paper's initialisation and range of
//! `log_alpha` go together.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use l0::{Estimator, Gate, HardConcrete, Penalty};
//! # fn main() -> candle_core::Result<()> {
//! // P(z != 0) = sigmoid(log_alpha + c) with c = 2/3 ln 11: two gates that are open with probability 0.4 and 0.75.
//! let log_alpha = [0.4f64, 0.75].map(|p| (p / (1.0 - p)).ln() - 2.0 / 3.0 * 11f64.ln());
//! let gate = Gate::new(Tensor::new(&log_alpha, &Device::Cpu)?, HardConcrete::default())?;
//! assert!((gate.expected_open()? - 1.15).abs() < 1e-12);
//!
//! // Each switches 4 weights. With lambda 10 and N = 100 they cost 10 / 100 * 4 * (0.4 + 0.75) = 0.46.
//! let penalty = Penalty::per_weight(10.0, 100)?;
//! assert!((penalty.groups(&gate, 4, &[])?.to_scalar::<f64>()? - 0.46).abs() < 1e-12);
//!
//! // The median closes a gate at P <= 1/2; eq. 13 keeps both, as P is above 0.31.
//! assert_eq!(gate.open(Estimator::Mean)?, [true, true]);
//! assert_eq!(gate.open(Estimator::Median)?, [false, true]);
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]

pub mod constraint;
pub mod conv;
pub mod error;
pub mod estimator;
mod fill;
pub mod gate;
mod gated;
pub mod hard_concrete;
mod init;
pub mod layer;
pub mod linear;
pub mod multiplier;
pub mod network;
pub mod objective;
pub mod penalty;
pub mod placement;
pub mod prelude;
pub mod shrink;
mod targets;
#[cfg(test)]
mod testing;
mod vars;

pub use constraint::{Constraint, Filling, Fit, Quantity, Ranking, Targets};
pub use conv::{L0Conv2d, l0_conv2d};
pub use error::{Error, Result};
pub use estimator::Estimator;
pub use gate::{Gate, GateConfig, gate};
pub use gated::GatedLayer;
pub use hard_concrete::HardConcrete;
pub use layer::{Granularity, LayerConfig, Noise, Sampling, open_gates};
pub use linear::{L0Linear, l0_linear};
pub use multiplier::{Multiplier, Multipliers};
pub use network::{GatedNet, Gates, Pruned};
pub use objective::{Objective, Pressure};
pub use penalty::{L2, Lambda, Penalty};
pub use placement::{Placement, Side};
pub use vars::{Vars, clamp_gates};

// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
