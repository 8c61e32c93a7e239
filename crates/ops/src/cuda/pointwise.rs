//! Number by number: sums, ReLU, dropout; and the mean of each channel.

use candle_core::{DType, Result, Tensor};

use super::launch::{Arg, Grid, Kind, at, cast, device, fresh, int, last, launch, long, seen};
use super::sum::added;
use crate::chain;
use crate::gradients::Backward;

struct Add;

impl Backward for Add {
    fn backward(&self, _: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(grad.clone()), Some(grad.clone())])
    }
}

/// As [`crate::add`], of one shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    chain::made(vec![a.clone(), b.clone()], Add, added(a, b)?)
}

/// max(0, xs), as it lies.
pub(super) fn rectified(xs: &Tensor) -> Result<Tensor> {
    let (device, n) = (device(xs)?, xs.elem_count());
    let ys = fresh(&device, Kind::of(xs)?, xs.shape())?;
    launch(&device, "relu", Grid::groups(n), &[at(&ys)?, at(xs)?, Kind::of(xs)?.arg(), long(n)])?;
    Ok(ys)
}

/// g where ys > 0, as they lie.
pub(super) fn closed(ys: &Tensor, g: &Tensor) -> Result<Tensor> {
    let (device, n) = (device(g)?, g.elem_count());
    let dx = fresh(&device, Kind::of(g)?, g.shape())?;
    launch(&device, "relu_back", Grid::groups(n), &[at(&dx)?, at(ys)?, at(g)?, Kind::of(g)?.arg(), long(n)])?;
    Ok(dx)
}

struct Relu;

impl Backward for Relu {
    fn backward(&self, _: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let ys = last(ys)?;
        let g = cast(&last(grad)?, Kind::of(&ys)?)?;
        Ok(vec![Some(seen(closed(&ys, &g)?)?)])
    }
}

/// As [`crate::relu`].
pub(crate) fn relu(xs: &Tensor) -> Result<Tensor> {
    chain::made(vec![xs.clone()], Relu, rectified(&last(xs)?)?)
}

struct Dropout {
    key: u64,
    p: f32,
}

impl Dropout {
    /// The images as they lie, with their noise numbered as on the CPU.
    fn apply(&self, xs: &Tensor) -> Result<Tensor> {
        let (device, n) = (device(xs)?, xs.elem_count());
        let c = xs.dims()[xs.rank() - 1];
        let positions: usize = xs.dims()[1..xs.rank() - 1].iter().product();
        let ys = fresh(&device, Kind::of(xs)?, xs.shape())?;
        let data = [at(&ys)?, at(xs)?, Kind::of(xs)?.arg(), Arg::Key(self.key)];
        let rest = [Arg::Float(self.p), Arg::Float(1.0 / (1.0 - self.p)), long(n), int(positions), int(c)];
        launch(&device, "dropout", Grid::each(n), &[&data[..], &rest].concat())?;
        Ok(ys)
    }
}

impl Backward for Dropout {
    fn backward(&self, _: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(seen(self.apply(&last(grad)?)?)?)])
    }
}

/// Dropout with the noise of the stream that has this key; (b, c) or (b, c, h, w).
pub(crate) fn dropout(xs: &Tensor, key: u64, p: f32) -> Result<Tensor> {
    let dropout = Dropout { key, p };
    let ys = dropout.apply(&last(xs)?)?;
    chain::made(vec![xs.clone()], dropout, ys)
}

struct AvgPool;

impl Backward for AvgPool {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let (b, c, h, w) = args[0].dims4()?;
        let (g, device, kind) = (grad.to_dtype(DType::F32)?.contiguous()?, device(grad)?, Kind::of(&args[0])?);
        let dx = fresh(&device, kind, (b, h, w, c))?;
        let args = [at(&dx)?, kind.arg(), at(&g)?, long(b), int(h * w), int(c)];
        launch(&device, "mean_rows_back", Grid::each(b * h * w * c), &args)?;
        Ok(vec![Some(seen(dx)?)])
    }
}

/// As [`crate::global_avg_pool`], with a result in `f32`.
pub(crate) fn global_avg_pool(xs: &Tensor) -> Result<Tensor> {
    let ((b, c, h, w), device, images) = (xs.dims4()?, device(xs)?, last(xs)?);
    let ys = fresh(&device, Kind::F32, (b, c))?;
    let args = [at(&ys)?, at(&images)?, Kind::of(&images)?.arg(), long(b), int(h * w), int(c)];
    launch(&device, "mean_rows", Grid::each(b * c), &args)?;
    chain::made(vec![xs.clone()], AvgPool, ys)
}
