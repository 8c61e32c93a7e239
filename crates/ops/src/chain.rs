//! Gradients handed from operation to operation.
//!
//! Candle's `backward` gives every tracked argument of an operation a tensor of zeros and adds the gradient to it: two
//! more tensors and three passes on one thread, for what nearly always is a single term. So our operations stand in
//! Candle's graph joined by *tokens*, scalars that only keep the order, and each gradient waits in a slot beside its
//! token until the operation that made the value takes it:
//!
//! ```text
//! xs --Enter--> token --Step--> token --Step--> token --Reveal--> ys, an ordinary tracked tensor
//!                      slot <--  |     slot <--  |     slot <-- its gradient
//! ```
//!
//! Every value made on the way is an ordinary tracked tensor as well: used by one of Candle's own operations it takes
//! its gradient from Candle, used by one of ours from the slot, and from both if both use it. [`backward`] keeps the
//! gradients of variables out of Candle's store, too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use candle_core::backprop::GradStore;
#[cfg(feature = "cuda")]
use candle_core::cuda_backend::CudaStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, TensorId,
};

use crate::cpu::{host, output};
use crate::pointwise::sum;
#[cfg(feature = "cuda")]
use crate::tape;

/// Where the gradient of a value waits, with the value.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Option<Arrived>>>);

struct Arrived {
    grad: Tensor,
    ys: Tensor,
}

impl Slot {
    fn add(&self, grad: Tensor, ys: &Tensor) -> Result<()> {
        let mut place = lock(&self.0);
        let grad = match place.take() {
            Some(before) => sum(&before.grad, &grad)?,
            None => grad,
        };
        *place = Some(Arrived { grad, ys: ys.detach() });
        Ok(())
    }

    fn take(&self) -> Option<Arrived> {
        lock(&self.0).take()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place of a value in the chain.
struct Link {
    token: Tensor,
    slot: Slot,
}

/// The links of living values; a value owns its link through its place in Candle's graph.
static LINKS: LazyLock<Mutex<HashMap<TensorId, Weak<Link>>>> = LazyLock::new(Mutex::default);

fn register(ys: &Tensor, link: &Arc<Link>) {
    let mut links = lock(&LINKS);
    if links.len() == links.capacity() {
        links.retain(|_, link| link.strong_count() > 0);
    }
    links.insert(ys.id(), Arc::downgrade(link));
}

impl Link {
    /// The link of a tracked tensor; what Candle made enters here.
    fn of(xs: &Tensor) -> Result<Arc<Self>> {
        if let Some(link) = lock(&LINKS).get(&xs.id()).and_then(Weak::upgrade) {
            return Ok(link);
        }
        let slot = Slot::default();
        Ok(Arc::new(Self { token: xs.apply_op1(Enter(slot.clone()))?, slot }))
    }
}

/// The way back through one of our operations: from the gradient of its result to those of its arguments.
pub(crate) trait Backward: Send + Sync {
    fn backward(&self, args: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<[Option<Tensor>; 3]>;
}

/// One of our operations on the CPU: a custom op of Candle with any number of arguments.
trait Operation: Backward {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)>;
}

struct One<C>(C);
struct Two<C>(C);
struct Three<C>(C);

impl<C: CustomOp1 + Send + Sync> Operation for One<C> {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let (a, al) = args[0].storage_and_layout();
        self.0.cpu_fwd(host(&a)?, al)
    }
}

impl<C: CustomOp1 + Send + Sync> Backward for One<C> {
    fn backward(&self, args: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
        Ok([self.0.bwd(&args[0], ys, grad)?, None, None])
    }
}

impl<C: CustomOp2 + Send + Sync> Operation for Two<C> {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let ((a, al), (b, bl)) = (args[0].storage_and_layout(), args[1].storage_and_layout());
        self.0.cpu_fwd(host(&a)?, al, host(&b)?, bl)
    }
}

impl<C: CustomOp2 + Send + Sync> Backward for Two<C> {
    fn backward(&self, args: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let (a, b) = self.0.bwd(&args[0], &args[1], ys, grad)?;
        Ok([a, b, None])
    }
}

impl<C: CustomOp3 + Send + Sync> Operation for Three<C> {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let ((a, al), (b, bl)) = (args[0].storage_and_layout(), args[1].storage_and_layout());
        let (c, cl) = args[2].storage_and_layout();
        self.0.cpu_fwd(host(&a)?, al, host(&b)?, bl, host(&c)?, cl)
    }
}

impl<C: CustomOp3 + Send + Sync> Backward for Three<C> {
    fn backward(&self, args: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
        self.0.bwd(&args[0], &args[1], &args[2], ys, grad).map(<[_; 3]>::from)
    }
}

/// `op(xs)`, in the chain.
pub(crate) fn apply1(xs: &Tensor, op: impl CustomOp1 + Send + Sync + 'static) -> Result<Tensor> {
    apply(vec![xs.clone()], Arc::new(One(op)))
}

/// `op(a, b)`, in the chain.
pub(crate) fn apply2(a: &Tensor, b: &Tensor, op: impl CustomOp2 + Send + Sync + 'static) -> Result<Tensor> {
    apply(vec![a.clone(), b.clone()], Arc::new(Two(op)))
}

/// `op(a, b, c)`, in the chain.
pub(crate) fn apply3(a: &Tensor, b: &Tensor, c: &Tensor, op: impl CustomOp3 + Send + Sync + 'static) -> Result<Tensor> {
    apply(vec![a.clone(), b.clone(), c.clone()], Arc::new(Three(op)))
}

fn apply(args: Vec<Tensor>, op: Arc<dyn Operation>) -> Result<Tensor> {
    let value = Value::ToCompute(op.clone(), args.clone());
    reveal(args, op, value)
}

/// `made`, a value on a GPU that was computed from `args`, in the chain. An image lies there with its channels last, as
/// (b, h, w, c), and is seen as (b, c, h, w).
#[cfg(feature = "cuda")]
pub(crate) fn made(args: Vec<Tensor>, op: impl Backward + 'static, made: Tensor) -> Result<Tensor> {
    if !args.iter().any(Tensor::track_op) {
        return if made.rank() == 4 { made.permute((0, 3, 1, 2)) } else { Ok(made) };
    }
    if tape::is_on() {
        return tape::made(args, Arc::new(op), made);
    }
    reveal(args, Arc::new(op), Value::Computed(Mutex::new(Some(made))))
}

fn reveal(args: Vec<Tensor>, op: Arc<dyn Backward>, value: Value) -> Result<Tensor> {
    let links = args.iter().map(|arg| arg.track_op().then(|| Link::of(arg)).transpose());
    let links = links.collect::<Result<Vec<Option<Arc<Link>>>>>()?;
    let idle = match links.iter().flatten().next() {
        Some(link) => link.token.detach(),
        None => Tensor::zeros((), DType::F32, &Device::Cpu)?,
    };
    let token = |i: usize| links.get(i).and_then(Option::as_ref).map_or(&idle, |link| &link.token);
    let slot = Slot::default();
    let slots = links.iter().map(|link| link.as_ref().map(|link| link.slot.clone())).collect();
    let step = Step { op, args, slots, slot: slot.clone() };
    let link = Arc::new(Link { token: token(0).apply_op3(token(1), token(2), step)?, slot });
    let last = value.is_last();
    let ys = link.token.apply_op1(Reveal { value, link: link.clone() })?;
    let ys = if last { ys.permute((0, 3, 1, 2))? } else { ys };
    if ys.track_op() {
        register(&ys, &link);
    }
    Ok(ys)
}

/// The value of an operation, before it is in Candle's graph.
enum Value {
    ToCompute(Arc<dyn Operation>, Vec<Tensor>),
    #[cfg(feature = "cuda")]
    Computed(Mutex<Option<Tensor>>),
}

impl Value {
    /// Whether it lies in memory with its channels last and is seen otherwise.
    fn is_last(&self) -> bool {
        match self {
            Self::ToCompute(..) => false,
            #[cfg(feature = "cuda")]
            Self::Computed(made) => lock(made).as_ref().is_some_and(|made| made.rank() == 4),
        }
    }
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

/// A value of Candle's, or a variable, becomes a token.
struct Enter(Slot);

impl CustomOp1 for Enter {
    fn name(&self) -> &'static str {
        "enter"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        nothing()
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, xs: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        nothing_there(xs)
    }

    fn bwd(&self, xs: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        match self.0.take() {
            Some(arrived) if xs.is_variable() => keep(xs, arrived.grad),
            Some(arrived) => Ok(Some(arrived.grad)),
            None if xs.is_variable() => Ok(None),
            None => xs.zeros_like().map(Some),
        }
    }
}

/// Tokens of the arguments to the token of the result. Backward, the operation takes the gradient from its slot and
/// puts those of its arguments into theirs.
struct Step {
    op: Arc<dyn Backward>,
    args: Vec<Tensor>,
    slots: Vec<Option<Slot>>,
    slot: Slot,
}

impl CustomOp3 for Step {
    fn name(&self) -> &'static str {
        "step"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        nothing()
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        token: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        nothing_there(token)
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        _: &Tensor,
        token: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        if let Some(Arrived { grad, ys }) = self.slot.take() {
            let grads = self.op.backward(&self.args, &ys, &grad)?;
            for ((grad, slot), arg) in grads.into_iter().zip(&self.slots).zip(&self.args) {
                if let (Some(grad), Some(slot)) = (grad, slot) {
                    slot.add(grad, arg)?;
                }
            }
        }
        let passed = |arg: &Tensor| arg.track_op().then(|| token.clone());
        Ok((passed(a), passed(b), passed(c)))
    }
}

/// A token becomes the value that it stands for.
struct Reveal {
    value: Value,
    link: Arc<Link>,
}

impl CustomOp1 for Reveal {
    fn name(&self) -> &'static str {
        "reveal"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match &self.value {
            Value::ToCompute(op, args) => op.forward(args),
            #[cfg(feature = "cuda")]
            Value::Computed(_) => candle_core::bail!("a value on a GPU was asked for on the CPU"),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, token: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        match &self.value {
            Value::Computed(made) => match lock(made).take() {
                Some(made) => take_out(&made, token),
                None => candle_core::bail!("a value on a GPU was taken twice"),
            },
            Value::ToCompute(..) => candle_core::bail!("a value on the CPU was asked for on a GPU"),
        }
    }

    fn bwd(&self, token: &Tensor, ys: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let seen = |t: &Tensor| if self.is_last(t) { t.permute((0, 3, 1, 2)) } else { Ok(t.clone()) };
        self.link.slot.add(seen(grad)?, &seen(ys)?)?;
        token.zeros_like().map(Some)
    }
}

impl Reveal {
    /// Whether a result is to be seen otherwise than it lies: an image on a GPU.
    fn is_last(&self, ys: &Tensor) -> bool {
        ys.rank() == 4 && ys.device().is_cuda()
    }
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

thread_local! {
    static KEPT: RefCell<Option<HashMap<TensorId, Tensor>>> = const { RefCell::new(None) };
}

/// Keeps the gradient of a variable if [`backward`] runs; otherwise it is for Candle's store.
pub(crate) fn keep(var: &Tensor, grad: Tensor) -> Result<Option<Tensor>> {
    KEPT.with_borrow_mut(|kept| {
        let Some(kept) = kept else { return Ok(Some(grad)) };
        let grad = match kept.remove(&var.id()) {
            Some(before) => sum(&before, &grad)?,
            None => grad,
        };
        kept.insert(var.id(), grad);
        Ok(None)
    })
}

/// The gradients of a loss.
#[derive(Debug)]
pub struct Gradients {
    kept: HashMap<TensorId, Tensor>,
    stores: Vec<GradStore>,
}

impl Gradients {
    /// The gradient of a variable, contiguous; none if the loss does not depend on it.
    ///
    /// # Errors
    /// If two parts of it cannot be added.
    pub fn get(&self, var: &Tensor) -> Result<Option<Tensor>> {
        let stored = self.stores.iter().filter_map(|store| store.get(var));
        let mut parts = self.kept.get(&var.id()).into_iter().chain(stored);
        let Some(first) = parts.next() else { return Ok(None) };
        parts.try_fold(first.contiguous()?, |sum, part| sum + part).map(Some)
    }
}

/// The gradients of `loss`, a scalar, with respect to all variables: those of Candle's own `backward`, but the ones that
/// come from operations of this crate are neither copied nor added to zeros.
///
/// # Errors
/// As Candle's `backward`.
pub fn backward(loss: &Tensor) -> Result<Gradients> {
    backward_all(std::slice::from_ref(loss))
}

/// The gradients of the sum of `losses`, scalars, each on a device of its own.
///
/// # Errors
/// As Candle's `backward`.
pub fn backward_all(losses: &[Tensor]) -> Result<Gradients> {
    #[cfg(feature = "cuda")]
    let pass = tape::backward;
    #[cfg(not(feature = "cuda"))]
    let pass = |losses: &[Tensor]| losses.iter().map(Tensor::backward).collect();
    backward_on(losses, pass)
}

/// The gradients that a pass backward keeps, with those that it returns.
pub(crate) fn backward_on(
    losses: &[Tensor],
    pass: impl FnOnce(&[Tensor]) -> Result<Vec<GradStore>>,
) -> Result<Gradients> {
    // A thread that waits for others may be handed another training meanwhile: each has gradients of its own.
    let _outer = Outer(KEPT.replace(Some(HashMap::new())));
    let stores = pass(losses);
    let kept = KEPT.take().unwrap_or_default();
    Ok(Gradients { kept, stores: stores? })
}

/// What a pass backward that another one interrupts has kept so far; given back at the end, also after a panic.
struct Outer(Option<HashMap<TensorId, Tensor>>);

impl Drop for Outer {
    fn drop(&mut self) {
        KEPT.set(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn a_pass_within_a_pass_takes_nothing_from_it() {
        let (a, b) = (Var::new(1f32, &Device::Cpu).unwrap(), Var::new(2f32, &Device::Cpu).unwrap());
        KEPT.set(Some(HashMap::from([(a.id(), b.as_detached_tensor())])));
        let inner = backward(&b.sqr().unwrap()).unwrap();
        assert_eq!(inner.get(&b).unwrap().unwrap().to_scalar::<f32>().unwrap(), 4.0);
        assert!(inner.get(&a).unwrap().is_none());
        assert_eq!(KEPT.take().unwrap().keys().copied().collect::<Vec<_>>(), [a.id()]);
    }
}
