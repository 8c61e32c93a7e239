//! Which tensors the kernels take.

use candle_core::{DType, Tensor};

/// Whether the kernels for GPUs serve: activations on a GPU in `f32` or bf16, parameters there in `f32`.
pub(crate) fn serves(xs: &Tensor, parameters: &[&Tensor]) -> bool {
    let there = |t: &Tensor| t.device().is_cuda() && t.elem_count() > 0;
    let activations = there(xs) && matches!(xs.dtype(), DType::F32 | DType::BF16);
    activations && parameters.iter().all(|p| there(p) && p.dtype() == DType::F32)
}
