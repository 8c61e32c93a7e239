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

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, Weak};

#[cfg(feature = "cuda")]
use candle_core::cuda_backend::CudaStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, TensorId,
};

use crate::cpu::host;
use crate::gradients::{Backward, keep};
use crate::sum::sum;
#[cfg(feature = "cuda")]
use crate::tape;
use crate::tokens::{lock, nothing};
#[cfg(feature = "cuda")]
use crate::tokens::{nothing_there, take_out};

/// Where the gradient of a value waits, with the value.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Option<Arrived>>>);

struct Arrived {
    grad: Tensor,
    ys: Tensor,
}

impl Slot {
    fn add(&self, grad: Tensor, ys: &Tensor) -> Result<()> {
        // A value that is used twice gets two gradients before it is asked for; most get one, which is moved, not
        // copied.
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

/// The place of a value in the chain.
struct Link {
    token: Tensor,
    slot: Slot,
}

/// The links of living values; a value owns its link through its place in Candle's graph.
static LINKS: LazyLock<Mutex<HashMap<TensorId, Weak<Link>>>> = LazyLock::new(Mutex::default);

fn register(ys: &Tensor, link: &Arc<Link>) {
    let mut links = lock(&LINKS);
    // Links of values that are gone are swept out only when the table would grow: seldom, and it stays as large as the
    // most values that lived at once.
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
        // Not registered: another operation that uses this value enters it again, with a slot of its own, and Candle
        // adds up what comes out of both.
        let slot = Slot::default();
        Ok(Arc::new(Self { token: xs.apply_op1(Enter(slot.clone()))?, slot }))
    }
}

/// One of our operations on the CPU, of any number of arguments.
pub(crate) trait Operation: Backward {
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
    fn backward(&self, args: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![self.0.bwd(&args[0], ys, grad)?])
    }
}

impl<C: CustomOp2 + Send + Sync> Operation for Two<C> {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let ((a, al), (b, bl)) = (args[0].storage_and_layout(), args[1].storage_and_layout());
        self.0.cpu_fwd(host(&a)?, al, host(&b)?, bl)
    }
}

impl<C: CustomOp2 + Send + Sync> Backward for Two<C> {
    fn backward(&self, args: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let (a, b) = self.0.bwd(&args[0], &args[1], ys, grad)?;
        Ok(vec![a, b])
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
    fn backward(&self, args: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let (a, b, c) = self.0.bwd(&args[0], &args[1], &args[2], ys, grad)?;
        Ok(vec![a, b, c])
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

/// `op(args)`, in the chain.
pub(crate) fn apply_all(args: Vec<Tensor>, op: impl Operation + 'static) -> Result<Tensor> {
    apply(args, Arc::new(op))
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
    let tokens = three(links.iter().flatten().map(|link| link.token.clone()).collect())?;
    // The step owns the slots of its arguments, the value owns the link: what nobody can ask for any more is freed with
    // Candle's graph.
    let slot = Slot::default();
    let slots = links.iter().map(|link| link.as_ref().map(|link| link.slot.clone())).collect();
    let step = Step { op, args, slots, slot: slot.clone() };
    let link = Arc::new(Link { token: tokens[0].apply_op3(&tokens[1], &tokens[2], step)?, slot });
    let last = value.is_last();
    let ys = link.token.apply_op1(Reveal { value, link: link.clone() })?;
    let ys = if last { ys.permute((0, 3, 1, 2))? } else { ys };
    if ys.track_op() {
        register(&ys, &link);
    }
    Ok(ys)
}

/// Three tokens for as many as there are: those beyond are joined to the last, and for missing ones one that idles.
fn three(mut tokens: Vec<Tensor>) -> Result<[Tensor; 3]> {
    while tokens.len() > 3
        && let (Some(a), Some(b)) = (tokens.pop(), tokens.pop())
    {
        tokens.push(a.apply_op2(&b, Join)?);
    }
    let idle = match tokens.first() {
        Some(token) => token.detach(),
        None => Tensor::zeros((), DType::F32, &Device::Cpu)?,
    };
    let mut tokens = tokens.into_iter();
    Ok(std::array::from_fn(|_| tokens.next().unwrap_or_else(|| idle.clone())))
}

/// Two tokens become one; only operations on the CPU have so many arguments.
struct Join;

impl CustomOp2 for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        nothing()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, token: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(token.clone()), Some(token.clone())))
    }
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
            // Candle's operations want numbers in order, which those of images on a GPU are not.
            Some(arrived) => arrived.grad.contiguous().map(Some),
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
        // Nothing has arrived where the loss does not depend on the value: tokens come through here all the same.
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
        // From one of Candle's operations, which used the value itself. The token behind it runs after this, and takes
        // the gradient from the slot together with those of our own operations.
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
