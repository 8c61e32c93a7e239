//! Learning sparse neural networks through L0 regularisation, on Candle.

pub mod conv;
pub mod error;
pub mod estimator;
pub mod gate;
pub mod gated;
pub mod hard_concrete;
mod init;
pub mod layer;
pub mod linear;
pub mod network;
pub mod penalty;
#[cfg(test)]
mod testing;

pub use conv::{Geometry, L0Conv2d, l0_conv2d};
pub use error::{Error, Result};
pub use estimator::Estimator;
pub use gate::{Gate, GateConfig, gate};
pub use gated::GatedLayer;
pub use hard_concrete::HardConcrete;
pub use layer::{Granularity, LayerConfig, Noise, Sampling, open_gates};
pub use linear::{L0Linear, l0_linear};
pub use network::{Network, Placement, Pruned, Side, per_layer};
pub use penalty::{L2, Lambda, Penalty};
