//! Tensors as kernels see them, and launches.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use candle_core::cuda_backend::cudarc::driver::{CudaFunction, DevicePtr, LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::cudarc::nvrtc::compile_ptx;
use candle_core::cuda_backend::{CudaDevice, CudaStorage, CudaStorageSlice, DeviceId};
use candle_core::op::BackpropOp;
use candle_core::{DType, Device, Result, Shape, Storage, Tensor, bail};
use half::bf16;

/// Threads of a block.
pub(crate) const THREADS: usize = 256;

/// Channels of a group.
pub(crate) const WIDE: usize = 8;

/// Blocks that keep the largest GPUs busy: 16 for each of 132 multiprocessors.
const BLOCKS: usize = 2112;

/// The type of a kernel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    F32 = 0,
    Bf16 = 1,
}

impl Kind {
    pub(crate) fn of(t: &Tensor) -> Result<Self> {
        match t.dtype() {
            DType::F32 => Ok(Self::F32),
            DType::BF16 => Ok(Self::Bf16),
            other => bail!("a kernel of l0-ops was given {other:?}, expected F32 or BF16"),
        }
    }

    pub(crate) fn arg(self) -> Arg<'static> {
        Arg::Int(self as i32)
    }
}

/// An argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg<'a> {
    /// The first number of a tensor that lives until the launch.
    At(u64, PhantomData<&'a Tensor>),
    Int(i32),
    Long(i64),
    Key(u64),
    Float(f32),
}

impl Arg<'_> {
    pub(crate) const NOTHING: Arg<'static> = Arg::At(0, PhantomData);
}

pub(crate) fn int(n: usize) -> Arg<'static> {
    Arg::Int(n as i32)
}

pub(crate) fn long(n: usize) -> Arg<'static> {
    Arg::Long(n as i64)
}

pub(crate) fn flag(on: bool) -> Arg<'static> {
    Arg::Int(i32::from(on))
}

/// Where the numbers of a contiguous tensor are.
pub(crate) fn at(t: &Tensor) -> Result<Arg<'_>> {
    Ok(Arg::At(address(t)?, PhantomData))
}

/// The same, or nothing.
pub(crate) fn at_or_nothing(t: Option<&Tensor>) -> Result<Arg<'_>> {
    t.map_or(Ok(Arg::NOTHING), at)
}

/// The address of the first number of a contiguous tensor on a GPU.
pub(crate) fn address(t: &Tensor) -> Result<u64> {
    let (storage, layout) = t.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        bail!("a kernel of l0-ops was given a tensor that is not on the GPU")
    };
    let Some((start, _)) = layout.contiguous_offsets() else {
        bail!("a kernel of l0-ops was given a tensor that is not contiguous")
    };
    let stream = storage.device.cuda_stream();
    let first = match &storage.slice {
        CudaStorageSlice::F32(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::BF16(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::U32(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::I64(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::U8(slice) => slice.device_ptr(&stream).0,
        _ => bail!("a kernel of l0-ops was given numbers of type {:?}", t.dtype()),
    };
    Ok(first + (start * t.dtype().size_in_bytes()) as u64)
}

/// The GPU that a tensor is on.
pub(crate) fn device(t: &Tensor) -> Result<CudaDevice> {
    match t.device() {
        Device::Cuda(device) => Ok(device.clone()),
        _ => bail!("a kernel of l0-ops was given a tensor that is not on the GPU"),
    }
}

/// Memory for `shape`, not set: the kernel that follows writes all of it.
pub(crate) fn fresh(device: &CudaDevice, kind: Kind, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    let n = shape.elem_count();
    // SAFETY: as said, nothing reads it before it is written.
    let storage = unsafe {
        match kind {
            Kind::F32 => CudaStorage::wrap_cuda_slice(device.alloc::<f32>(n)?, device.clone()),
            Kind::Bf16 => CudaStorage::wrap_cuda_slice(device.alloc::<bf16>(n)?, device.clone()),
        }
    };
    Ok(Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false))
}

/// A grid of blocks of threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    blocks: (usize, usize),
    threads: (usize, usize),
}

impl Grid {
    /// For a kernel that takes `n` things one by one.
    pub(crate) fn each(n: usize) -> Self {
        Self { blocks: (n.div_ceil(THREADS).clamp(1, BLOCKS), 1), threads: (THREADS, 1) }
    }

    /// For a kernel that takes `n` numbers by groups.
    pub(crate) fn groups(n: usize) -> Self {
        Self::each(n.div_ceil(WIDE))
    }

    /// A block for each of `n` things.
    pub(crate) fn blocks(n: usize) -> Self {
        Self { blocks: (n, 1), threads: (THREADS, 1) }
    }

    /// 32 channels a block, which eight threads each share.
    pub(crate) fn channels(c: usize) -> Self {
        Self { blocks: (c.div_ceil(32), 1), threads: (32, THREADS / 32) }
    }

    /// For a kernel that has a thread for a group of channels and every so-manieth row of a chunk: the grid and the
    /// rows of a chunk.
    pub(crate) fn columns(rows: usize, c: usize) -> (Self, usize) {
        let groups = c.div_ceil(WIDE);
        let columns = groups.div_ceil(32);
        let across = groups.div_ceil(columns);
        let down = 1 << (THREADS / across).ilog2();
        let blocks = (BLOCKS / 4).div_ceil(columns);
        let chunk = rows.div_ceil(blocks).max(down * 4).next_multiple_of(down);
        (Self { blocks: (rows.div_ceil(chunk), columns), threads: (across, down) }, chunk)
    }

    /// Blocks along the rows.
    pub(crate) fn rows(&self) -> usize {
        self.blocks.0
    }
}

/// Launches a kernel of `kernels.cu` on the device's stream.
pub(crate) fn launch(device: &CudaDevice, name: &'static str, grid: Grid, args: &[Arg]) -> Result<()> {
    let function = function(device, name)?;
    let stream = device.cuda_stream();
    let mut launch = stream.launch_builder(&function);
    for arg in args {
        match arg {
            Arg::At(address, _) => launch.arg(address),
            Arg::Key(key) => launch.arg(key),
            Arg::Int(n) => launch.arg(n),
            Arg::Long(n) => launch.arg(n),
            Arg::Float(x) => launch.arg(x),
        };
    }
    let config = LaunchConfig {
        grid_dim: (grid.blocks.0 as u32, grid.blocks.1 as u32, 1),
        block_dim: (grid.threads.0 as u32, grid.threads.1 as u32, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: the callers in this module give each kernel the arguments that it declares, with memory of the lengths
    // that it is told.
    unsafe { launch.launch(config) }.map_err(candle_core::Error::wrap)?;
    Ok(())
}

/// A kernel, compiled when the first one is wanted and found again by its name.
fn function(device: &CudaDevice, name: &'static str) -> Result<CudaFunction> {
    static FOUND: LazyLock<Mutex<HashMap<(DeviceId, &str), CudaFunction>>> = LazyLock::new(Mutex::default);
    static PTX: OnceLock<String> = OnceLock::new();
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(function) = found.get(&(device.id(), name)) {
        return Ok(function.clone());
    }
    let ptx = match PTX.get() {
        Some(ptx) => ptx,
        None => {
            let compiled = compile_ptx(include_str!("kernels.cu")).map_err(candle_core::Error::wrap)?;
            PTX.get_or_init(|| compiled.to_src())
        }
    };
    let function = device.get_or_load_custom_func(name, "l0-ops", ptx)?.into_cuda_function();
    found.insert((device.id(), name), function.clone());
    Ok(function)
}

/// An image tensor as (b, h, w, c), contiguous, or (b, c) as it is: no copy of what this module made.
pub(crate) fn last(t: &Tensor) -> Result<Tensor> {
    let t = t.detach();
    if t.rank() != 4 {
        return settled(t.contiguous()?);
    }
    let view = t.permute((0, 2, 3, 1))?;
    if view.is_contiguous() {
        return settled(view);
    }
    let (b, c, h, w) = t.dims4()?;
    let (xs, device) = (t.contiguous()?, device(&t)?);
    let ys = fresh(&device, Kind::of(&t)?, (b, h, w, c))?;
    transpose(&ys, &xs, b, c, h * w)?;
    Ok(ys)
}

/// The tensor at an address that groups can be read from.
fn settled(t: Tensor) -> Result<Tensor> {
    if address(&t)?.is_multiple_of(16) { Ok(t) } else { t.force_contiguous() }
}

/// (b, h, w, c) seen as (b, c, h, w); (b, c) as it is.
pub(crate) fn seen(t: Tensor) -> Result<Tensor> {
    if t.rank() == 4 { t.permute((0, 3, 1, 2)) } else { Ok(t) }
}

/// (b, rows, cols) -> (b, cols, rows), converted to the type of `to`.
pub(crate) fn transpose(to: &Tensor, from: &Tensor, b: usize, rows: usize, cols: usize) -> Result<()> {
    let args = [at(to)?, Kind::of(to)?.arg(), at(from)?, Kind::of(from)?.arg(), long(b), int(rows), int(cols)];
    launch(&device(to)?, "transpose", Grid::each(b * rows.max(cols)), &args)
}

/// The numbers of a contiguous tensor in another type.
pub(crate) fn cast(t: &Tensor, kind: Kind) -> Result<Tensor> {
    if Kind::of(t)? == kind {
        return Ok(t.clone());
    }
    let (device, n) = (device(t)?, t.elem_count());
    let ys = fresh(&device, kind, t.shape())?;
    let args = [at(&ys)?, kind.arg(), at(t)?, Kind::of(t)?.arg(), long(n)];
    launch(&device, "cast", Grid::groups(n), &args)?;
    Ok(ys)
}

/// See [`crate::images`].
pub(crate) fn images(
    bytes: &Tensor,
    indices: &Tensor,
    places: Option<&Tensor>,
    (mean, std): (&Tensor, &Tensor),
    dtype: DType,
) -> Result<Tensor> {
    let kind = if dtype == DType::BF16 { Kind::Bf16 } else { Kind::F32 };
    let ((_, c, h, w), b, device) = (bytes.dims4()?, indices.dim(0)?, device(bytes)?);
    let ys = fresh(&device, kind, (b, h, w, c))?;
    let data = [at(&ys)?, kind.arg(), at(bytes)?, at(indices)?, at_or_nothing(places)?, at(mean)?, at(std)?];
    let sizes = [long(b), int(c), int(h), int(w)];
    launch(&device, "images", Grid::each(b * c * h * w), &[&data[..], &sizes].concat())?;
    seen(ys)
}
