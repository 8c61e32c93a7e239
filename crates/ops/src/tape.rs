//! Gradients on a GPU without Candle's graph.
//!
//! In Candle's graph every step back costs a few launches for each argument, for tokens that nobody reads: more than
//! the kernels of a training step take. Within [`taped`], operations on a GPU are noted on a tape instead. Each value
//! is still an ordinary tracked tensor: where one of Candle's operations uses it, its gradient comes from Candle.
//! [`backward`] runs the tape from its end, hands what Candle's operations made back to Candle, and goes on with what
//! comes of that, until nothing is left; as all of it is linear in the gradients, parts of one may come at different
//! times.

#[cfg(any(test, feature = "cuda"))]
mod noted;

use candle_core::{Device, Result, Tensor};

#[cfg(feature = "cuda")]
pub(crate) use noted::{backward, is_on, made};

/// Runs `body`, a step of training forward and back, with its operations on a GPU on a tape: their gradients must be
/// taken by [`backward`](crate::backward) within. On the CPU it changes nothing.
pub fn taped<T>(body: impl FnOnce() -> T) -> T {
    #[cfg(feature = "cuda")]
    let _outer = noted::start();
    body()
}

/// Tensors on another device, copied there at once; gradients come back in one copy, too, if the step is [`taped`].
///
/// # Errors
/// If the device cannot hold them.
pub fn to_device(tensors: &[&Tensor], device: &Device) -> Result<Vec<Tensor>> {
    let moves = |t: &&Tensor| !t.device().same_device(device);
    if !tensors.iter().any(moves) {
        return Ok(tensors.iter().map(|&t| t.clone()).collect());
    }
    #[cfg(feature = "cuda")]
    if device.is_cuda() && noted::is_on() {
        return noted::to_device(tensors, device);
    }
    tensors.iter().map(|t| t.to_device(device)).collect()
}
