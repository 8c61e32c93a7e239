//! A function of each number: `ys[i] = f(xs[i])`, gradient `f'(xs[i]) g[i]`.

use candle_core::{CpuStorage, DType, Device, Result, Shape, Tensor};
use l0_lanes::at_best;

use crate::chain::{Operation, apply_all};
use crate::cpu::{numbers, output, serves, tensor};
use crate::gradients::Backward;
use crate::loops;

/// A function of one number, and its derivative. Written without branches it becomes vector instructions, as those of
/// [`math`](crate::math) do.
pub trait Pointwise: Copy + Send + Sync + 'static {
    /// f(x).
    fn value(self, x: f32) -> f32;
    /// f'(x).
    fn slope(self, x: f32) -> f32;
}

struct Map<F>(F);

impl<F: Pointwise> Operation for Map<F> {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        output(numbers([&args[0]], |[xs]| loops::map(xs, |x| self.0.value(x)))?, args[0].shape())
    }
}

impl<F: Pointwise> Backward for Map<F> {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let dx = numbers([&args[0], grad], |[xs, g]| loops::map2(xs, g, |x, g| self.0.slope(x) * g))?;
        Ok(vec![Some(tensor(dx, args[0].shape())?)])
    }
}

at_best! {
    /// Replaces each number by `f` of it, by the best instructions that this CPU has.
    pub fn map_in_place[F: Pointwise][F](xs: &mut [f32], f: F) {
        for x in xs {
            *x = f.value(*x);
        }
    }
}

/// `f` of each number. Any shape. Numbers on another device or of another type are brought to the CPU as `f32` and
/// back, which is right but slow.
///
/// # Errors
/// If the numbers cannot be brought to the CPU or back.
pub fn map<F: Pointwise>(xs: &Tensor, f: F) -> Result<Tensor> {
    if serves(&[xs]) {
        return apply_all(vec![xs.contiguous()?], Map(f));
    }
    let here = xs.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?;
    apply_all(vec![here], Map(f))?.to_dtype(xs.dtype())?.to_device(xs.device())
}
