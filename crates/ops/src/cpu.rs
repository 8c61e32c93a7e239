//! Tensors as slices of `f32` on the CPU, and back.

use candle_core::{CpuStorage, DType, Layout, Result, Shape, Storage, Tensor, bail};

/// Whether the kernels of this crate serve: everything on the CPU in `f32`.
pub(crate) fn serves(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|t| t.device().is_cpu() && t.dtype() == DType::F32)
}

/// The numbers of a contiguous tensor.
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a kernel of l0-ops was given a tensor that is not contiguous"),
    }
}

/// The same through the lock that [`Tensor::storage_and_layout`] hands out.
pub(crate) fn data<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    slice(host(storage)?, layout)
}

/// What `f` makes of the numbers of some tensors on the CPU, in the order of their dimensions.
pub(crate) fn numbers<const N: usize, T>(tensors: [&Tensor; N], f: impl FnOnce([&[f32]; N]) -> T) -> Result<T> {
    let tensors = tensors.into_iter().map(Tensor::contiguous).collect::<Result<Vec<Tensor>>>()?;
    let storages: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let mut slices = [&[][..]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&storages) {
        *slice = data(storage, layout)?;
    }
    Ok(f(slices))
}

/// Storage on the CPU.
pub(crate) fn host(storage: &Storage) -> Result<&CpuStorage> {
    match storage {
        Storage::Cpu(storage) => Ok(storage),
        _ => bail!("a kernel of l0-ops was given a tensor that is not on the CPU"),
    }
}

/// What a custom op returns.
pub(crate) fn output(data: Vec<f32>, shape: impl Into<Shape>) -> Result<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(data), shape.into()))
}

/// A new tensor on the CPU.
pub(crate) fn tensor(data: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(data, shape.into(), &candle_core::Device::Cpu)
}

/// An error unless `found` has the expected dimensions.
pub(crate) fn expect_dims(op: &str, what: &str, found: &Tensor, expected: &[usize]) -> Result<()> {
    if found.dims() != expected {
        bail!("{op}: {what} has shape {:?}, expected {expected:?}", found.dims())
    }
    Ok(())
}

/// An error unless `found` has one of the ranks.
pub(crate) fn expect_rank(op: &str, what: &str, found: &Tensor, ranks: &[usize]) -> Result<()> {
    if !ranks.contains(&found.rank()) {
        bail!("{op}: {what} has shape {:?}, expected rank {ranks:?}", found.dims())
    }
    Ok(())
}

/// The bias, or zeros nobody tracks: a custom op takes a fixed number of tensors.
pub(crate) fn bias_or_zeros(bias: Option<&Tensor>, len: usize, like: &Tensor) -> Result<Tensor> {
    match bias {
        Some(bias) => bias.contiguous(),
        None => Tensor::zeros(len, like.dtype(), like.device()),
    }
}
