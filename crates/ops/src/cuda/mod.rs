//! The operations on a GPU: our kernels (`kernels.cu`) and cuDNN's convolutions, in `f32` or with activations in bf16.
//!
//! Shapes are those of the CPU, (b, c, h, w), but images lie in memory with their channels last, which tensor cores want:
//! a result is a view of (b, h, w, c). What comes in otherwise, as from one of Candle's operations, is copied first.
//! Activations have one type throughout a pass; parameters, statistics and their gradients are `f32`.

mod conv;
mod graph;
mod launch;
mod linear;
mod loss;
mod norm;
mod pointwise;
mod select;
pub(crate) mod sum;
pub(crate) mod update;

use candle_core::cuda_backend::cudarc::driver::sys;
use candle_core::{DType, Device, Result, Tensor, bail};

pub(crate) use conv::conv2d_epilogue;
pub(crate) use launch::images;
pub(crate) use linear::linear;
pub(crate) use loss::cross_entropy;
pub(crate) use norm::{batch_norm, batch_norm_train, running};
pub(crate) use pointwise::{add, avg_pool, dropout, relu};
pub(crate) use select::{Lists, select, take};

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

/// Whether the kernels of this module serve: activations on a GPU in `f32` or bf16, parameters there in `f32`.
pub(crate) fn serves(xs: &Tensor, parameters: &[&Tensor]) -> bool {
    let there = |t: &Tensor| t.device().is_cuda() && t.elem_count() > 0;
    let activations = there(xs) && matches!(xs.dtype(), DType::F32 | DType::BF16);
    activations && parameters.iter().all(|p| there(p) && p.dtype() == DType::F32)
}
