//! The tape of a thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use candle_core::backprop::GradStore;
#[cfg(feature = "cuda")]
use candle_core::cuda_backend::CudaStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, TensorId, Var, bail,
};

use crate::cpu::{data, output};
use crate::gradients::{Backward, keep};
use crate::sum::sum;
use crate::tokens::{lock, nothing};
#[cfg(feature = "cuda")]
use crate::tokens::{nothing_there, take_out};

thread_local! {
    static TAPE: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

/// What happened, in its order.
#[derive(Default)]
struct Tape {
    notes: Vec<Note>,
    /// Where a tensor was made, or entered.
    places: HashMap<TensorId, usize>,
}

struct Note {
    what: What,
    /// What has come of the gradient since it was last taken.
    grad: Option<Tensor>,
}

enum What {
    /// One of our operations, with its arguments and where those come from.
    Made { op: Arc<dyn Backward>, args: Vec<Tensor>, from: Vec<From>, ys: Tensor },
    /// A value of Candle's on the same device.
    Entered(Tensor),
    /// A copy of a tensor of the CPU.
    Copied(Tensor),
}

/// Where the gradient of an argument goes.
#[derive(Clone, Copy)]
enum From {
    Nowhere,
    Variable,
    Place(usize),
}

/// The tape that another step interrupts; it goes on at the end, also after a panic.
pub(crate) struct Outer(Option<Tape>);

impl Drop for Outer {
    fn drop(&mut self) {
        let outer = self.0.take();
        let _own = TAPE.replace(outer);
    }
}

pub(crate) fn start() -> Outer {
    Outer(TAPE.replace(Some(Tape::default())))
}

pub(crate) fn is_on() -> bool {
    TAPE.with_borrow(Option::is_some)
}

fn with<T>(f: impl FnOnce(&mut Tape) -> T) -> Result<T> {
    TAPE.with_borrow_mut(|tape| match tape {
        Some(tape) => Ok(f(tape)),
        None => bail!("the gradient of a value made within l0_ops::taped is taken by l0_ops::backward within it"),
    })
}

impl Tape {
    /// Where an argument comes from; what Candle made is noted when it is first met.
    fn from(&mut self, arg: &Tensor) -> From {
        match self.places.get(&arg.id()) {
            _ if !arg.track_op() => From::Nowhere,
            Some(&place) => From::Place(place),
            None if arg.is_variable() => From::Variable,
            None => From::Place(self.note(arg.id(), What::Entered(arg.clone()))),
        }
    }

    fn note(&mut self, id: TensorId, what: What) -> usize {
        self.notes.push(Note { what, grad: None });
        self.places.insert(id, self.notes.len() - 1);
        self.notes.len() - 1
    }

    /// The last note that has a gradient, with it.
    fn last(&mut self) -> Option<(usize, Tensor)> {
        self.notes.iter_mut().enumerate().rev().find_map(|(place, note)| Some((place, note.grad.take()?)))
    }
}

/// Adds to the gradient of a place.
fn add(place: usize, grad: Tensor) -> Result<()> {
    let before = with(|tape| tape.notes[place].grad.take())?;
    let grad = match before {
        Some(before) => sum(&before, &grad)?,
        None => grad,
    };
    with(|tape| tape.notes[place].grad = Some(grad))
}

/// `made`, a value on a GPU that was computed from `args`, on the tape.
pub(crate) fn made(args: Vec<Tensor>, op: Arc<dyn Backward>, made: Tensor) -> Result<Tensor> {
    let from = with(|tape| args.iter().map(|arg| tape.from(arg)).collect::<Vec<From>>())?;
    let place = with(|tape| tape.notes.len())?;
    let ys = tracked(made, place)?;
    with(|tape| tape.note(ys.id(), What::Made { op, args, from, ys: ys.detach() }))?;
    Ok(ys)
}

/// A value that Candle tracks up to here; images seen with their channels first.
fn tracked(made: Tensor, place: usize) -> Result<Tensor> {
    let (root, last) = (root(made.device())?, made.rank() == 4);
    let ys = root.apply_op1(Noted { made: Mutex::new(Some(made)), place })?;
    if last { ys.permute((0, 3, 1, 2)) } else { Ok(ys) }
}

/// A variable that nobody trains, for Candle to track what comes of it.
fn root(device: &Device) -> Result<Tensor> {
    static ROOTS: Mutex<Vec<Var>> = Mutex::new(Vec::new());
    let mut roots = lock(&ROOTS);
    if let Some(root) = roots.iter().find(|root| root.device().same_device(device)) {
        return Ok(root.as_tensor().clone());
    }
    let root = Var::zeros((), DType::F32, device)?;
    roots.push(root.clone());
    Ok(root.as_tensor().clone())
}

/// The end of Candle's graph at a value of the tape.
struct Noted {
    made: Mutex<Option<Tensor>>,
    place: usize,
}

impl CustomOp1 for Noted {
    fn name(&self) -> &'static str {
        "noted"
    }

    /// Only tests have a tape of values on the CPU.
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some(made) = lock(&self.made).take() else { bail!("a value was taken twice") };
        let (storage, layout) = made.storage_and_layout();
        output(data(&storage, layout)?.to_vec(), made.shape())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, root: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        match lock(&self.made).take() {
            Some(made) => take_out(&made, root),
            None => bail!("a value was taken twice"),
        }
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        add(self.place, if grad.rank() == 4 { grad.permute((0, 3, 1, 2))? } else { grad.clone() })?;
        Ok(None)
    }
}

/// See [`super::to_device`]: one copy there.
pub(super) fn to_device(tensors: &[&Tensor], device: &Device) -> Result<Vec<Tensor>> {
    let flat = tensors.iter().map(|t| t.detach().flatten_all()).collect::<Result<Vec<Tensor>>>()?;
    let (all, mut start) = (Tensor::cat(&flat, 0)?.to_device(device)?, 0);
    let mut there = Vec::with_capacity(tensors.len());
    for &t in tensors {
        let n = t.elem_count();
        let copy = all.narrow(0, start, n)?.reshape(t.dims())?;
        start += n;
        if !t.track_op() {
            there.push(copy);
            continue;
        }
        let place = with(|tape| tape.notes.len())?;
        let copy = tracked(copy.force_contiguous()?, place)?;
        with(|tape| tape.note(copy.id(), What::Copied(t.clone())))?;
        there.push(copy);
    }
    Ok(there)
}

/// The gradients of the sum of some losses: those of variables that our operations read are kept, Candle's are
/// returned.
pub(crate) fn backward(losses: &[Tensor]) -> Result<Vec<GradStore>> {
    let mut stores = Vec::new();
    for loss in losses {
        match TAPE.with_borrow(|tape| tape.as_ref().and_then(|tape| tape.places.get(&loss.id()).copied())) {
            Some(place) => add(place, loss.ones_like()?)?,
            None => stores.push(loss.backward()?),
        }
    }
    if !is_on() {
        return Ok(stores);
    }
    loop {
        let (mut entered, mut copied) = (Vec::new(), Vec::new());
        while let Some((place, grad)) = with(Tape::last)? {
            one(place, grad, &mut entered, &mut copied)?;
        }
        if entered.is_empty() && copied.is_empty() {
            return Ok(stores);
        }
        let copied = back_to_cpu(copied)?;
        for seeds in [entered, copied] {
            stores.extend(seeded(seeds)?);
        }
    }
}

type Seeds = Vec<(Tensor, Tensor)>;

/// Hands the gradient of one note to those that it was made of.
fn one(place: usize, grad: Tensor, entered: &mut Seeds, copied: &mut Seeds) -> Result<()> {
    let made = with(|tape| match &tape.notes[place].what {
        What::Entered(arg) => {
            entered.push((arg.clone(), grad.clone()));
            None
        }
        What::Copied(arg) => {
            copied.push((arg.clone(), grad.clone()));
            None
        }
        What::Made { op, args, from, ys } => Some((op.clone(), args.clone(), from.clone(), ys.clone())),
    })?;
    let Some((op, args, from, ys)) = made else { return Ok(()) };
    for ((grad, from), arg) in op.backward(&args, &ys, &grad)?.into_iter().zip(from).zip(&args) {
        match (grad, from) {
            (Some(grad), From::Place(place)) => add(place, grad)?,
            (Some(grad), From::Variable) => drop(keep(arg, grad)?),
            _ => {}
        }
    }
    Ok(())
}

/// Gradients of tensors of the CPU, brought there in one copy.
fn back_to_cpu(seeds: Seeds) -> Result<Seeds> {
    if seeds.is_empty() {
        return Ok(seeds);
    }
    let flat = seeds.iter().map(|(_, grad)| grad.contiguous()?.flatten_all()).collect::<Result<Vec<Tensor>>>()?;
    let (all, mut start) = (Tensor::cat(&flat, 0)?.to_device(&Device::Cpu)?, 0);
    let here = seeds.into_iter().map(|(arg, _)| {
        let grad = all.narrow(0, start, arg.elem_count())?.reshape(arg.dims())?;
        start += arg.elem_count();
        Ok((arg, grad))
    });
    here.collect()
}

/// Candle's pass back from some of its tensors, each with its gradient, whose numbers its operations want in order.
fn seeded(seeds: Seeds) -> Result<Option<GradStore>> {
    let mut token: Option<Tensor> = None;
    for (arg, grad) in seeds {
        let grad = grad.contiguous()?;
        token = Some(match token {
            None => arg.apply_op1(Seed(grad))?,
            Some(token) => token.apply_op2(&arg, Seed(grad))?,
        });
    }
    token.map(|token| token.backward()).transpose()
}

/// A token that hands a gradient to its argument, and another to the token before it.
struct Seed(Tensor);

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "seed"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        nothing()
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, arg: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        nothing_there(arg)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}

impl CustomOp2 for Seed {
    fn name(&self) -> &'static str {
        "seed"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        nothing()
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, token: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        nothing_there(token)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, token: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(token.clone()), Some(self.0.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradients::{Gradients, backward_on};

    /// `ys = xs * xs`, of our own.
    struct Square;

    impl Backward for Square {
        fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
            Ok(vec![Some((args[0].detach() * grad)?.affine(2.0, 0.0)?)])
        }
    }

    fn square(xs: &Tensor) -> Tensor {
        made(vec![xs.clone()], Arc::new(Square), xs.detach().sqr().unwrap()).unwrap()
    }

    fn var(values: &[f32]) -> Var {
        Var::new(values, &Device::Cpu).unwrap()
    }

    fn gradient(grads: &Gradients, var: &Var) -> Vec<f32> {
        grads.get(var.as_tensor()).unwrap().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn gradients_pass_between_our_operations_and_candles_and_add_up() {
        let (x, y) = (var(&[1.0, -2.0]), var(&[3.0, 0.5]));
        let of = |square: &dyn Fn(&Tensor) -> Tensor| {
            let (x, y) = (x.as_tensor(), y.as_tensor());
            let a = square(x); // ours, of a variable
            let b = (&a * y).unwrap(); // Candle's, of ours and a variable
            let c = square(&square(&b)); // ours, of Candle's, then of ours
            let d = (&c + &a).unwrap(); // Candle's, of two of ours
            (square(&d) + b.sqr().unwrap()).unwrap().sum_all().unwrap()
        };
        let candles = |losses: &[Tensor]| losses.iter().map(Tensor::backward).collect();
        let expected = backward_on(&[of(&|xs| xs.sqr().unwrap())], candles).unwrap();
        let _outer = start();
        let found = backward_on(&[of(&square)], backward).unwrap();
        for var in [&x, &y] {
            let (found, expected) = (gradient(&found, var), gradient(&expected, var));
            assert!(
                found.iter().zip(&expected).all(|(f, e)| (f - e).abs() <= 1e-4 * e.abs()),
                "{found:?} {expected:?}"
            );
        }
    }

    #[test]
    fn a_loss_of_our_own_and_copies_of_tensors_take_part() {
        let (x, y) = (var(&[1.0, -2.0]), var(&[3.0]));
        let _outer = start();
        let (twice, y2) = ((x.as_tensor() * 2.0).unwrap(), (y.as_tensor() * 1.0).unwrap());
        let there = to_device(&[&twice, &y2], &Device::Cpu).unwrap();
        let product = square(&there[0].broadcast_mul(&there[1]).unwrap()).sum_all().unwrap();
        let grads = backward_on(&[square(&product)], backward).unwrap();
        // (sum (2 x y)^2)^2 with x = 1, -2 and y = 3: s = 36 + 144 = 180, ds/dx = 8 x y^2, ds/dy = 8 y (1 + 4).
        assert_eq!(gradient(&grads, &x), [360.0 * 72.0, 360.0 * -144.0]);
        assert_eq!(gradient(&grads, &y), [360.0 * 120.0]);
    }

    #[test]
    fn a_tape_ends_with_its_step() {
        let x = var(&[1.0]);
        let (ys, inner) = {
            let _outer = start();
            (square(x.as_tensor()), is_on())
        };
        assert!(inner && !is_on());
        let error = ys.sum_all().unwrap().backward().unwrap_err().to_string();
        assert!(error.contains("within l0_ops::taped"), "{error}");
    }
}
