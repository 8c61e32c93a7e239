//! A GPU made ready for the operations.

use candle_core::cuda_backend::cudarc::driver::sys;
use candle_core::{Device, Result, bail};

/// See [`crate::device::cuda`].
pub(crate) fn device(ordinal: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(ordinal)?;
    let Device::Cuda(cuda) = &device else { bail!("cuda:{ordinal} is no CUDA device") };
    // SAFETY: all work on this device goes to its one stream, in order.
    unsafe { cuda.disable_event_tracking() };
    keep_freed_memory(ordinal)?;
    Ok(device)
}

/// Freed memory goes back to the driver at every wait unless the pool may keep it.
fn keep_freed_memory(ordinal: usize) -> Result<()> {
    let threshold = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    let mut pool = std::ptr::null_mut();
    // SAFETY: both calls get pointers to values of the kind they expect, which outlive them.
    let (found, set) = unsafe {
        let found = sys::cuDeviceGetDefaultMemPool(&mut pool, ordinal as i32);
        (found, sys::cuMemPoolSetAttribute(pool, attribute, (&raw const threshold).cast_mut().cast()))
    };
    match (found, set) {
        (sys::CUresult::CUDA_SUCCESS, sys::CUresult::CUDA_SUCCESS) => Ok(()),
        (found, set) => bail!("cuda:{ordinal}: cannot set its pool of memory ({found:?}, {set:?})"),
    }
}
