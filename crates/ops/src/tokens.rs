//! Scalars that stand in Candle's graph for the order of operations alone, and values that move into it.

#[cfg(feature = "cuda")]
use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, Result, Shape};
#[cfg(feature = "cuda")]
use candle_core::{Layout, Tensor, cuda_backend::CudaStorage};

use crate::cpu::output;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A token that stands for nothing but its place.
pub(crate) fn nothing() -> Result<(CpuStorage, Shape)> {
    output(vec![0.0], ())
}

/// The same on a GPU; nobody reads the number.
#[cfg(feature = "cuda")]
pub(crate) fn nothing_there(like: &CudaStorage) -> Result<(CudaStorage, Shape)> {
    // SAFETY: as said.
    let number = unsafe { like.device.alloc::<f32>(1)? };
    Ok((CudaStorage::wrap_cuda_slice(number, like.device.clone()), Shape::from(())))
}

/// The memory of a tensor that nobody else has, which keeps a single number instead.
#[cfg(feature = "cuda")]
pub(crate) fn take_out(made: &Tensor, like: &CudaStorage) -> Result<(CudaStorage, Shape)> {
    let taken = Taken(RefCell::new(Some(nothing_there(like)?.0)));
    made.inplace_op1(&taken)?;
    match taken.0.into_inner() {
        Some(storage) => Ok((storage, made.shape().clone())),
        None => candle_core::bail!("a value on a GPU has no memory"),
    }
}

#[cfg(feature = "cuda")]
struct Taken(RefCell<Option<CudaStorage>>);

#[cfg(feature = "cuda")]
impl candle_core::InplaceOp1 for Taken {
    fn name(&self) -> &'static str {
        "take_out"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        candle_core::bail!("a value on a GPU was asked for on the CPU")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, _: &Layout) -> Result<()> {
        if let Some(other) = self.0.borrow_mut().as_mut() {
            std::mem::swap(storage, other);
        }
        Ok(())
    }
}
