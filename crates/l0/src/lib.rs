//! Learning sparse neural networks through L0 regularisation, on Candle.

pub mod error;
pub mod estimator;
pub mod gate;
pub mod hard_concrete;
mod init;
pub mod penalty;
#[cfg(test)]
mod testing;

pub use error::{Error, Result};
pub use estimator::Estimator;
pub use gate::{Gate, GateConfig, gate};
pub use hard_concrete::HardConcrete;
pub use penalty::{L2, Lambda, Penalty};
