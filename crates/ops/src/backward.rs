//! The gradients of a loss with respect to all variables.

use candle_core::{Result, Tensor};

use crate::gradients::{Gradients, backward_on};
#[cfg(feature = "cuda")]
use crate::tape;

/// The gradients of `loss`, a scalar, with respect to all variables: those of Candle's own `backward`, but the ones
/// that come from operations of this crate are neither copied nor added to zeros.
///
/// # Errors
/// As Candle's `backward`.
pub fn backward(loss: &Tensor) -> Result<Gradients> {
    backward_all(std::slice::from_ref(loss))
}

/// The gradients of the sum of `losses`, scalars, each on a device of its own.
///
/// # Errors
/// As Candle's `backward`.
pub fn backward_all(losses: &[Tensor]) -> Result<Gradients> {
    #[cfg(feature = "cuda")]
    let pass = tape::backward;
    #[cfg(not(feature = "cuda"))]
    let pass = |losses: &[Tensor]| losses.iter().map(Tensor::backward).collect();
    backward_on(losses, pass)
}
