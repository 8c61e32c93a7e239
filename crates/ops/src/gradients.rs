//! Gradients on their way back: how an operation makes them, and where those of variables are kept.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, TensorId};

use crate::sum::sum;

/// The way back through one of our operations: from the gradient of its result to those of its arguments,
/// in their order.
pub(crate) trait Backward: Send + Sync {
    fn backward(&self, args: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>>;
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
        let pass = |losses: &[Tensor]| losses.iter().map(Tensor::backward).collect();
        let inner = backward_on(&[b.sqr().unwrap()], pass).unwrap();
        assert_eq!(inner.get(&b).unwrap().unwrap().to_scalar::<f32>().unwrap(), 4.0);
        assert!(inner.get(&a).unwrap().is_none());
        assert_eq!(KEPT.take().unwrap().keys().copied().collect::<Vec<_>>(), [a.id()]);
    }
}
