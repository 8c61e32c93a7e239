//! cuDNN's convolutions, forward and both gradients, through its graph interface.
//!
//! A convolution of one geometry becomes a graph of one operation. cuDNN proposes engines for it, those likely to be
//! fast first; the fastest of a few on the operands at hand is kept for all later calls. Engines whose sums depend on
//! the order in which threads come, and, for plain `f32`, those that round operands, are left out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;

use candle_core::cuda_backend::cudarc::cudnn::{CudnnError, result, sys};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr};
use candle_core::cuda_backend::{CudaDevice, DeviceId};
use candle_core::{Result, bail};
use sys::cudnnBackendAttributeName_t as Name;
use sys::cudnnBackendAttributeType_t as Type;
use sys::cudnnBackendDescriptorType_t as Descriptor;

use super::launch::Kind;

/// Engines that are timed; PyTorch tries ten.
const CANDIDATES: usize = 6;

/// Calls of one convolution after which engines are timed for it: until then cuDNN's first proposal serves. Gates that
/// are still being chosen make a new geometry at every other step, most of which never come again.
const CALLS_BEFORE_TIMING: u32 = 20;

/// Most room that an engine may ask for, in bytes.
const MOST_ROOM: usize = 1 << 30;

/// Which of the three tensors of a convolution is made of the other two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// ys of xs and the filters.
    Forward,
    /// The gradient of xs of that of ys and the filters.
    Images,
    /// The gradient of the filters of xs and the gradient of ys.
    Filters,
}

/// A convolution as cuDNN sees it, images and filters with their channels last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) b: usize,
    pub(super) ic: usize,
    pub(super) ih: usize,
    pub(super) iw: usize,
    pub(super) oc: usize,
    pub(super) kh: usize,
    pub(super) kw: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) oh: usize,
    pub(super) ow: usize,
    pub(super) kind: Kind,
    pub(super) tf32: bool,
}

/// The addresses of xs (b, h, w, i), filters (o, k, k, i) and ys (b, h', w', o).
#[derive(Debug, Clone, Copy)]
pub(super) struct Operands {
    pub(super) xs: u64,
    pub(super) filters: u64,
    pub(super) ys: u64,
}

/// Runs one of the three convolutions of `shape` on the device's stream.
pub(super) fn convolve(device: &CudaDevice, shape: &Shape, part: Part, operands: Operands) -> Result<()> {
    let mut states = STATES.lock().unwrap_or_else(PoisonError::into_inner);
    let state = match states.entry(device.id()) {
        Entry::Occupied(state) => state.into_mut(),
        Entry::Vacant(place) => place.insert(State::new(device)?),
    };
    state.called(device, shape, part, operands)
}

static STATES: LazyLock<Mutex<HashMap<DeviceId, State>>> = LazyLock::new(Mutex::default);

/// What is kept for a device.
struct State {
    cudnn: Handle,
    chosen: HashMap<(Shape, Part), Chosen>,
    room: Option<CudaSlice<u8>>,
}

/// How one convolution is computed, and how often it was.
struct Chosen {
    plan: Arc<Plan>,
    calls: u32,
}

impl State {
    fn new(device: &CudaDevice) -> Result<Self> {
        Ok(Self { cudnn: Handle::new(device)?, chosen: HashMap::new(), room: None })
    }

    fn called(&mut self, device: &CudaDevice, shape: &Shape, part: Part, operands: Operands) -> Result<()> {
        let key = (*shape, part);
        if !self.chosen.contains_key(&key) {
            let plan = Arc::new(self.proposed(shape, part, 1)?.remove(0));
            self.chosen.insert(key, Chosen { plan, calls: 0 });
        }
        let Some(chosen) = self.chosen.get_mut(&key) else { bail!("cudnn: no plan") };
        chosen.calls += 1;
        let (plan, calls) = (chosen.plan.clone(), chosen.calls);
        if calls == CALLS_BEFORE_TIMING {
            let plan = self.fastest(device, shape, part, operands)?;
            self.chosen.insert(key, Chosen { plan, calls });
        }
        self.run(device, &plan, operands)
    }

    /// The first plans that cuDNN proposes and that fit, at least one.
    fn proposed(&self, shape: &Shape, part: Part, most: usize) -> Result<Vec<Plan>> {
        let (plans, refusals) = Plan::proposed(&self.cudnn, shape, part, most)?;
        if plans.is_empty() {
            bail!("cudnn: no engine for the convolution {shape:?}, {part:?}: {}", refusals.join("; "))
        }
        Ok(plans)
    }

    /// The fastest of a few plans.
    fn fastest(&mut self, device: &CudaDevice, shape: &Shape, part: Part, operands: Operands) -> Result<Arc<Plan>> {
        let mut best: Option<(f64, Arc<Plan>)> = None;
        let mut refusals = Vec::new();
        for plan in self.proposed(shape, part, CANDIDATES)?.into_iter().map(Arc::new) {
            let least = best.as_ref().map_or(f64::INFINITY, |(least, _)| *least);
            match self.seconds(device, &plan, operands, 2.0 * least) {
                Ok(seconds) if seconds < least => best = Some((seconds, plan)),
                Ok(_) => {}
                Err(error) => refusals.push(error.to_string()),
            }
        }
        match best {
            Some((_, plan)) => Ok(plan),
            None => bail!("cudnn: every engine failed for {shape:?}, {part:?}: {}", refusals.join("; ")),
        }
    }

    /// The least time of a few runs after a first one, or of one run if that took more than `limit`.
    fn seconds(&mut self, device: &CudaDevice, plan: &Arc<Plan>, operands: Operands, limit: f64) -> Result<f64> {
        let mut timed = |runs: u32| -> Result<f64> {
            device.cuda_stream().synchronize().map_err(candle_core::Error::wrap)?;
            let begin = Instant::now();
            (0..runs).try_for_each(|_| self.run(device, plan, operands))?;
            device.cuda_stream().synchronize().map_err(candle_core::Error::wrap)?;
            Ok(begin.elapsed().as_secs_f64() / f64::from(runs))
        };
        timed(1)?;
        let once = timed(1)?;
        if once > limit { Ok(once) } else { Ok(timed(3)?.min(timed(3)?)) }
    }

    fn run(&mut self, device: &CudaDevice, plan: &Arc<Plan>, operands: Operands) -> Result<()> {
        let room = self.room(device, plan.room)?;
        plan.execute(&self.cudnn, operands, room)
    }

    /// Room that the next call may use as well: calls are in the order of the stream.
    fn room(&mut self, device: &CudaDevice, bytes: usize) -> Result<u64> {
        if bytes > 0 && self.room.as_ref().is_none_or(|room| room.len() < bytes) {
            // SAFETY: cuDNN writes its room before it reads it.
            self.room = Some(unsafe { device.alloc::<u8>(bytes)? });
        }
        Ok(self.room.as_ref().map_or(0, |room| room.device_ptr(&device.cuda_stream()).0))
    }
}

/// cuDNN on the stream of a device; it lasts as long as the program.
struct Handle(sys::cudnnHandle_t);

// SAFETY: a handle may be used by one thread after the other; it is in `STATES`, a mutex.
unsafe impl Send for Handle {}

impl Handle {
    fn new(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        stream.context().bind_to_thread().map_err(candle_core::Error::wrap)?;
        let handle = result::create_handle().map_err(wrong)?;
        // SAFETY: the stream lives as long as its device, which the caller's tensors hold.
        unsafe { result::set_stream(handle, stream.cu_stream().cast()) }.map_err(wrong)?;
        Ok(Self(handle))
    }
}

fn wrong(error: CudnnError) -> candle_core::Error {
    candle_core::Error::wrap(error)
}

/// A descriptor of cuDNN's, destroyed with its owner.
struct Described(sys::cudnnBackendDescriptor_t);

// SAFETY: no thread has a descriptor as its own, and all of them are used within `STATES`, a mutex.
unsafe impl Send for Described {}
// SAFETY: as above.
unsafe impl Sync for Described {}

impl Drop for Described {
    fn drop(&mut self) {
        // SAFETY: it was made by `Described::new` and is destroyed once.
        unsafe { sys::cudnnBackendDestroyDescriptor(self.0) };
    }
}

impl Described {
    fn new(kind: Descriptor) -> Result<Self> {
        let mut descriptor = std::ptr::null_mut();
        // SAFETY: cuDNN writes the descriptor that it makes.
        unsafe { sys::cudnnBackendCreateDescriptor(kind, &mut descriptor) }.result().map_err(wrong)?;
        Ok(Self(descriptor))
    }

    fn set<T>(&self, name: Name, kind: Type, values: &[T]) -> Result<&Self> {
        let (n, values) = (values.len() as i64, values.as_ptr().cast());
        // SAFETY: the callers below give values of the type that they name.
        let set = unsafe { sys::cudnnBackendSetAttribute(self.0, name, kind, n, values) };
        set.result().map_err(|error| candle_core::Error::msg(format!("cudnn: {name:?}: {error}")))?;
        Ok(self)
    }

    fn set_one(&self, name: Name, other: &Self) -> Result<&Self> {
        self.set(name, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[other.0])
    }

    fn finalized(self) -> Result<Self> {
        // SAFETY: it is a descriptor of cuDNN's.
        unsafe { sys::cudnnBackendFinalize(self.0) }.result().map_err(wrong)?;
        Ok(self)
    }

    /// Reads up to `values.len()` values; returns how many there are.
    fn get<T>(&self, name: Name, kind: Type, values: &mut [T]) -> Result<usize> {
        let (n, mut found) = (values.len() as i64, 0);
        let to = if values.is_empty() { std::ptr::null_mut() } else { values.as_mut_ptr().cast() };
        // SAFETY: cuDNN writes no more than n values of the type that is named.
        unsafe { sys::cudnnBackendGetAttribute(self.0, name, kind, n, &mut found, to) }.result().map_err(wrong)?;
        Ok(found as usize)
    }
}

/// How cuDNN computes one convolution.
struct Plan {
    plan: Described,
    room: usize,
    /// What the plan was made of, alive as long as it is.
    _parts: Arc<Vec<Described>>,
    _config: Described,
}

const XS: i64 = 1;
const FILTERS: i64 = 2;
const YS: i64 = 3;

impl Plan {
    /// The first `most` plans that cuDNN proposes and that fit, and why others do not.
    fn proposed(cudnn: &Handle, shape: &Shape, part: Part, most: usize) -> Result<(Vec<Self>, Vec<String>)> {
        use sys::cudnnBackendHeurMode_t::{CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
        let parts = Arc::new(graph(cudnn, shape, part)?);
        let Some(graph) = parts.last() else { bail!("cudnn: there is no graph") };
        let (mut plans, mut refusals) = (Vec::new(), Vec::new());
        for mode in [CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK] {
            if !plans.is_empty() {
                break;
            }
            let configs = configs(graph, mode).unwrap_or_else(|error| {
                refusals.push(error.to_string());
                Vec::new()
            });
            for config in configs {
                if plans.len() == most {
                    break;
                }
                match suits(&config, shape)
                    .and_then(|suits| suits.then(|| Self::new(cudnn, config, &parts)).transpose())
                {
                    Ok(Some(plan)) if plan.room <= MOST_ROOM => plans.push(plan),
                    Ok(Some(plan)) => refusals.push(format!("an engine asks for {} bytes", plan.room)),
                    Ok(None) => refusals.push("an engine rounds, or adds in any order".into()),
                    Err(error) => refusals.push(error.to_string()),
                }
            }
        }
        Ok((plans, refusals))
    }

    fn new(cudnn: &Handle, config: Described, parts: &Arc<Vec<Described>>) -> Result<Self> {
        let plan = Described::new(Descriptor::CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)?;
        plan.set(Name::CUDNN_ATTR_EXECUTION_PLAN_HANDLE, Type::CUDNN_TYPE_HANDLE, &[cudnn.0])?;
        plan.set_one(Name::CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, &config)?;
        let plan = plan.finalized()?;
        let mut room = [0i64];
        plan.get(Name::CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, Type::CUDNN_TYPE_INT64, &mut room)?;
        Ok(Self { plan, room: room[0].max(0) as usize, _parts: parts.clone(), _config: config })
    }

    fn execute(&self, cudnn: &Handle, operands: Operands, room: u64) -> Result<()> {
        let pack = Described::new(Descriptor::CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)?;
        let Operands { xs, filters, ys } = operands;
        pack.set(Name::CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, Type::CUDNN_TYPE_VOID_PTR, &[xs, filters, ys])?;
        pack.set(Name::CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, Type::CUDNN_TYPE_INT64, &[XS, FILTERS, YS])?;
        pack.set(Name::CUDNN_ATTR_VARIANT_PACK_WORKSPACE, Type::CUDNN_TYPE_VOID_PTR, &[room])?;
        let pack = pack.finalized()?;
        // SAFETY: the operands are memory of the sizes and types that the plan's tensors describe.
        unsafe { sys::cudnnBackendExecute(cudnn.0, self.plan.0, pack.0) }.result().map_err(wrong)
    }
}

/// Tensors, convolution, operation and, last, the graph.
fn graph(cudnn: &Handle, s: &Shape, part: Part) -> Result<Vec<Described>> {
    let xs = tensor(XS, s.kind, [s.b, s.ic, s.ih, s.iw])?;
    let filters = tensor(FILTERS, s.kind, [s.oc, s.ic, s.kh, s.kw])?;
    let ys = tensor(YS, s.kind, [s.b, s.oc, s.oh, s.ow])?;
    let convolution = convolution(s)?;
    let operation = operation(part, [&xs, &filters, &ys, &convolution])?;
    let graph = Described::new(Descriptor::CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)?;
    graph.set_one(Name::CUDNN_ATTR_OPERATIONGRAPH_OPS, &operation)?;
    graph.set(Name::CUDNN_ATTR_OPERATIONGRAPH_HANDLE, Type::CUDNN_TYPE_HANDLE, &[cudnn.0])?;
    Ok(vec![xs, filters, ys, convolution, operation, graph.finalized()?])
}

/// A tensor of (n, c, h, w) numbers, which lie as (n, h, w, c).
fn tensor(id: i64, kind: Kind, [n, c, h, w]: [usize; 4]) -> Result<Described> {
    let numbers = match kind {
        Kind::F32 => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
        Kind::Bf16 => sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
    };
    let longs = |values: [usize; 4]| values.map(|value| value as i64);
    let tensor = Described::new(Descriptor::CUDNN_BACKEND_TENSOR_DESCRIPTOR)?;
    tensor.set(Name::CUDNN_ATTR_TENSOR_DATA_TYPE, Type::CUDNN_TYPE_DATA_TYPE, &[numbers])?;
    tensor.set(Name::CUDNN_ATTR_TENSOR_DIMENSIONS, Type::CUDNN_TYPE_INT64, &longs([n, c, h, w]))?;
    tensor.set(Name::CUDNN_ATTR_TENSOR_STRIDES, Type::CUDNN_TYPE_INT64, &longs([h * w * c, 1, w * c, c]))?;
    tensor.set(Name::CUDNN_ATTR_TENSOR_UNIQUE_ID, Type::CUDNN_TYPE_INT64, &[id])?;
    tensor.set(Name::CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, Type::CUDNN_TYPE_INT64, &[16i64])?;
    tensor.finalized()
}

fn convolution(s: &Shape) -> Result<Described> {
    let both = |n: usize| [n as i64; 2];
    let convolution = Described::new(Descriptor::CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)?;
    let float = sys::cudnnDataType_t::CUDNN_DATA_FLOAT;
    let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
    convolution.set(Name::CUDNN_ATTR_CONVOLUTION_COMP_TYPE, Type::CUDNN_TYPE_DATA_TYPE, &[float])?;
    convolution.set(Name::CUDNN_ATTR_CONVOLUTION_CONV_MODE, Type::CUDNN_TYPE_CONVOLUTION_MODE, &[mode])?;
    convolution.set(Name::CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, Type::CUDNN_TYPE_INT64, &[2i64])?;
    convolution.set(Name::CUDNN_ATTR_CONVOLUTION_DILATIONS, Type::CUDNN_TYPE_INT64, &both(1))?;
    convolution.set(Name::CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, Type::CUDNN_TYPE_INT64, &both(s.stride))?;
    convolution.set(Name::CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, Type::CUDNN_TYPE_INT64, &both(s.padding))?;
    convolution.set(Name::CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, Type::CUDNN_TYPE_INT64, &both(s.padding))?;
    convolution.finalized()
}

/// The names of an operation's attributes: convolution, xs, filters, ys, alpha, beta.
fn names(part: Part) -> (Descriptor, [Name; 6]) {
    match part {
        Part::Forward => (
            Descriptor::CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
            [
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
            ],
        ),
        Part::Images => (
            Descriptor::CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
            [
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
            ],
        ),
        Part::Filters => (
            Descriptor::CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
            [
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
            ],
        ),
    }
}

fn operation(part: Part, [xs, filters, ys, convolution]: [&Described; 4]) -> Result<Described> {
    let (kind, [conv_name, xs_name, filters_name, ys_name, alpha, beta]) = names(part);
    let operation = Described::new(kind)?;
    operation.set_one(conv_name, convolution)?;
    operation.set_one(xs_name, xs)?;
    operation.set_one(filters_name, filters)?;
    operation.set_one(ys_name, ys)?;
    operation.set(alpha, Type::CUDNN_TYPE_FLOAT, &[1f32])?;
    operation.set(beta, Type::CUDNN_TYPE_FLOAT, &[0f32])?;
    operation.finalized()
}

/// Engines that cuDNN proposes for a graph.
fn configs(graph: &Described, mode: sys::cudnnBackendHeurMode_t) -> Result<Vec<Described>> {
    let heuristics = Described::new(Descriptor::CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)?;
    heuristics.set_one(Name::CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)?;
    heuristics.set(Name::CUDNN_ATTR_ENGINEHEUR_MODE, Type::CUDNN_TYPE_HEUR_MODE, &[mode])?;
    let heuristics = heuristics.finalized()?;
    let (name, kind) = (Name::CUDNN_ATTR_ENGINEHEUR_RESULTS, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR);
    let n = heuristics.get::<sys::cudnnBackendDescriptor_t>(name, kind, &mut [])?;
    let configs = (0..n).map(|_| Described::new(Descriptor::CUDNN_BACKEND_ENGINECFG_DESCRIPTOR));
    let mut configs = configs.collect::<Result<Vec<_>>>()?;
    let mut raw: Vec<sys::cudnnBackendDescriptor_t> = configs.iter().map(|config| config.0).collect();
    let found = heuristics.get(name, kind, &mut raw)?;
    configs.truncate(found);
    Ok(configs)
}

/// Whether an engine gives the same sums each time, and whole `f32` products where they are wanted.
fn suits(config: &Described, shape: &Shape) -> Result<bool> {
    use sys::cudnnBackendNumericalNote_t as Note;
    let engine = Described::new(Descriptor::CUDNN_BACKEND_ENGINE_DESCRIPTOR)?;
    let mut raw = [engine.0];
    config.get(Name::CUDNN_ATTR_ENGINECFG_ENGINE, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &mut raw)?;
    let mut notes = [u32::MAX; Note::CUDNN_NUMERICAL_NOTE_TYPE_COUNT as usize];
    let n = engine.get(Name::CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, Type::CUDNN_TYPE_NUMERICAL_NOTE, &mut notes)?;
    let has = |note: Note| notes[..n.min(notes.len())].contains(&(note as u32));
    let rounds = has(Note::CUDNN_NUMERICAL_NOTE_TENSOR_CORE) || has(Note::CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS);
    let whole = shape.kind == Kind::Bf16 || shape.tf32 || !rounds;
    Ok(whole && !has(Note::CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC))
}
