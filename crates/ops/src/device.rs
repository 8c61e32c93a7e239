//! Devices to compute on, and how precisely.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Device, Result};

static TF32: AtomicBool = AtomicBool::new(false);

/// The GPU with this number, with a stream of its own and a pool of memory that keeps what it freed.
///
/// # Errors
/// If there is no such GPU, or the program was built without the feature `cuda`.
#[cfg(feature = "cuda")]
pub fn cuda(ordinal: usize) -> Result<Device> {
    crate::cuda::open::device(ordinal)
}

/// The GPU with this number, with a stream of its own and a pool of memory that keeps what it freed.
///
/// # Errors
/// If there is no such GPU, or the program was built without the feature `cuda`.
#[cfg(not(feature = "cuda"))]
pub fn cuda(ordinal: usize) -> Result<Device> {
    candle_core::bail!("cuda:{ordinal} needs a program that was built with the feature cuda, which this one was not")
}

/// The name of a device, as "NVIDIA H200", or "cpu".
///
/// # Errors
/// If the device does not say.
pub fn name(device: &Device) -> Result<String> {
    match device {
        Device::Cpu => Ok("cpu".into()),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => device.cuda_stream().context().name().map_err(candle_core::Error::wrap),
        other => Ok(format!("{:?}", other.location())),
    }
}

/// Whether convolutions of `f32` on a GPU may round their operands to the 10 bits of TF32; at first they may not.
pub fn allow_tf32(allow: bool) {
    TF32.store(allow, Ordering::Relaxed);
}

/// What [`allow_tf32`] said last.
#[cfg(feature = "cuda")]
pub(crate) fn is_tf32_allowed() -> bool {
    TF32.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_says_what_it_is_and_a_missing_one_that_it_is_missing() {
        assert_eq!(name(&Device::Cpu).unwrap(), "cpu");
        if cfg!(not(feature = "cuda")) {
            assert!(cuda(0).unwrap_err().to_string().contains("built with the feature cuda"));
        }
    }
}
