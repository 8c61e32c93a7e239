//! Parameters that are updated in place: what is updated with what, and how their memory is reached.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};

use crate::cpu::expect_dims;

/// A parameter among many that one rule updates.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// What is updated.
    pub param: &'a Tensor,
    /// Its gradient; none is zeros.
    pub grad: Option<&'a Tensor>,
    /// What the rule keeps for it: two moments for Adam, a velocity for SGD.
    pub moments: &'a [Tensor],
    /// L2 coefficient, in place of the rule's.
    pub weight_decay: f64,
}

impl Item<'_> {
    pub(super) fn grad_or_zeros(&self) -> Result<Tensor> {
        self.grad.map_or_else(|| self.param.zeros_like(), |grad| Ok(grad.clone()))
    }
}

/// New values for a tensor, in place; a scalar, which has no dimension to be set along, as a row of one.
pub(super) fn put(to: &Tensor, new: &Tensor) -> Result<()> {
    to.flatten_all()?.slice_set(&new.flatten_all()?.contiguous()?, 0, 0)
}

/// The gradient with weight decay.
pub(super) fn decayed(param: &Tensor, grad: &Tensor, weight_decay: f64) -> Result<Tensor> {
    if weight_decay == 0.0 { Ok(grad.clone()) } else { grad + (param.detach() * weight_decay)? }
}

/// Equal shapes, contiguous, and no two in the same memory: each is locked while the others are.
pub(super) fn check(op: &str, param: &Tensor, others: &[(&str, &Tensor)]) -> Result<()> {
    let address = |t: &Tensor| std::ptr::from_ref(&*t.storage_and_layout().0).addr();
    let mut seen = vec![address(param)];
    if !param.is_contiguous() {
        bail!("{op}: the tensor to update is not contiguous, found strides {:?}", param.stride())
    }
    for (what, t) in others {
        expect_dims(op, what, t, param.dims())?;
        if !t.is_contiguous() {
            bail!("{op}: {what} is not contiguous, found strides {:?}", t.stride())
        }
        if seen.contains(&address(t)) {
            bail!("{op}: {what} shares memory with another operand, expected memory of its own")
        }
        seen.push(address(t));
    }
    Ok(())
}

/// A closure as an op: candle hands out a tensor's memory for writing only inside of one.
struct Once<F, R>(RefCell<(Option<F>, Option<R>)>);

impl<R, F: FnOnce(&mut [f32]) -> R> InplaceOp1 for Once<F, R> {
    fn name(&self) -> &'static str {
        "update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(all), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            bail!("an update was given a tensor that is not contiguous f32")
        };
        let (f, result) = &mut *self.0.borrow_mut();
        *result = f.take().map(|f| f(&mut all[start..end]));
        Ok(())
    }
}

/// Runs `f` on the numbers of a tensor, in place.
pub(super) fn in_place<R>(t: &Tensor, f: impl FnOnce(&mut [f32]) -> R) -> Result<R> {
    let op = Once(RefCell::new((Some(f), None)));
    t.inplace_op1(&op)?;
    match op.0.into_inner().1 {
        Some(result) => Ok(result),
        None => bail!("an update did not run"),
    }
}
