//! Batch normalisation, with ReLU: two passes over the images forward, two back.

use candle_core::{Result, Tensor};

use super::launch::{
    Arg, Grid, Kind, WIDE, at, at_or_nothing, cast, device, flag, fresh, int, last, launch, long, seen,
};
use super::select;
use crate::chain;
use crate::gradients::Backward;
use crate::settings::{BatchNormed, Running};

/// The numbers of each of `c` channels of an image tensor, (b, c, h, w) or (b, c).
fn extent(xs: &Tensor) -> (usize, usize) {
    let c = xs.dims()[1];
    (xs.elem_count() / c, c)
}

struct Norm {
    mean: Tensor,
    inverse: Tensor,
    of_batch: bool,
    relu: bool,
}

/// As [`crate::batch_norm_train`], of checked arguments.
pub(crate) fn batch_norm_train(
    xs: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    eps: f64,
    relu: bool,
) -> Result<BatchNormed> {
    let (mean, var, inverse) = statistics(&last(xs)?, extent(xs), eps)?;
    let ys = apply(xs, scale, shift, Norm { mean: mean.clone(), inverse, of_batch: true, relu })?;
    Ok(BatchNormed { ys, mean, var })
}

/// As [`crate::batch_norm`], of checked arguments; nobody tracks the statistics.
pub(crate) fn batch_norm(xs: &Tensor, [scale, shift, mean, var]: [&Tensor; 4], eps: f64, relu: bool) -> Result<Tensor> {
    let inverse = (var.detach() + eps)?.sqrt()?.recip()?;
    apply(xs, scale, shift, Norm { mean: mean.detach().contiguous()?, inverse, of_batch: false, relu })
}

fn apply(xs: &Tensor, scale: &Tensor, shift: &Tensor, norm: Norm) -> Result<Tensor> {
    let ys = norm.forward(&last(xs)?, extent(xs), scale, shift)?;
    chain::made(vec![xs.clone(), scale.clone(), shift.clone()], norm, ys)
}

fn statistics(xs: &Tensor, (rows, c): (usize, usize), eps: f64) -> Result<(Tensor, Tensor, Tensor)> {
    let device = device(xs)?;
    let none = Arg::NOTHING;
    let (partial, blocks) = partial_sums(xs, [Some(xs), None], [none; 4], false, Mode::Statistics, (rows, c))?;
    let vector = || fresh(&device, Kind::F32, c);
    let (mean, var, inverse) = (vector()?, vector()?, vector()?);
    let data = [at(&mean)?, at(&var)?, at(&inverse)?, at(&partial)?, int(blocks), at(xs)?, Kind::of(xs)?.arg()];
    let sizes = [long(rows), int(c), Arg::Float(eps as f32)];
    launch(&device, "finish_statistics", Grid::channels(c), &[&data[..], &sizes].concat())?;
    Ok((mean, var, inverse))
}

/// What `column_sums` adds up, numbered as in kernels.cu.
#[derive(Clone, Copy)]
enum Mode {
    Statistics = 0,
    Gradients = 1,
    Plain = 2,
}

/// (blocks, 2, c): two sums of each channel, block by block; `like` is on the device.
fn partial_sums(
    like: &Tensor,
    [xs, g]: [Option<&Tensor>; 2],
    [mean, inverse, scale, shift]: [Arg; 4],
    relu: bool,
    mode: Mode,
    (rows, c): (usize, usize),
) -> Result<(Tensor, usize)> {
    let device = device(like)?;
    let (grid, chunk) = Grid::columns(rows, c);
    let partial = fresh(&device, Kind::F32, (grid.rows(), 2, c))?;
    let kind = |t: Option<&Tensor>| t.map_or(Ok(Kind::F32), Kind::of);
    let data = [at(&partial)?, at_or_nothing(xs)?, kind(xs)?.arg(), at_or_nothing(g)?, kind(g)?.arg()];
    let rest = [mean, inverse, scale, shift, flag(relu), Arg::Int(mode as i32), long(rows), int(c), long(chunk)];
    launch(&device, "column_sums", grid, &[&data[..], &rest].concat())?;
    Ok((partial, grid.rows()))
}

/// The sum of each of `c` columns of `rows` rows, in `f32`.
pub(super) fn column_sums(g: &Tensor, rows: usize, c: usize) -> Result<Tensor> {
    let device = device(g)?;
    let (partial, blocks) = partial_sums(g, [None, Some(g)], [Arg::NOTHING; 4], false, Mode::Plain, (rows, c))?;
    let sums = fresh(&device, Kind::F32, c)?;
    launch(&device, "finish_sums", Grid::channels(c), &[at(&sums)?, at(&partial)?, int(blocks), int(c)])?;
    Ok(sums)
}

impl Norm {
    fn forward(&self, xs: &Tensor, (rows, c): (usize, usize), scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
        let (scale, shift, device) = (scale.detach().contiguous()?, shift.detach().contiguous()?, device(xs)?);
        let ys = fresh(&device, Kind::of(xs)?, xs.shape())?;
        let (grid, chunk) = Grid::columns(rows, c);
        let data = [at(&ys)?, at(xs)?, Kind::of(xs)?.arg(), at(&self.mean)?, at(&self.inverse)?];
        let rest = [at(&scale)?, at(&shift)?, flag(self.relu), long(rows), int(c), long(chunk)];
        launch(&device, "normalise", grid, &[&data[..], &rest].concat())?;
        Ok(ys)
    }
}

impl Backward for Norm {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let ((rows, c), device) = (extent(&args[0]), device(grad)?);
        let xs = last(&args[0])?;
        let g = cast(&last(grad)?, Kind::of(&xs)?)?;
        let [scale, shift] = [args[1].detach().contiguous()?, args[2].detach().contiguous()?];
        let vectors = [at(&self.mean)?, at(&self.inverse)?, at(&scale)?, at(&shift)?];
        let sums = partial_sums(&xs, [Some(&xs), Some(&g)], vectors, self.relu, Mode::Gradients, (rows, c))?;
        let vector = || fresh(&device, Kind::F32, c);
        let [dscale, dshift, mean_g, mean_gx] = [vector()?, vector()?, vector()?, vector()?];
        let data = [at(&dscale)?, at(&dshift)?, at(&mean_g)?, at(&mean_gx)?, at(&sums.0)?, int(sums.1)];
        let rest = [at(&self.inverse)?, long(rows), int(c), flag(self.of_batch)];
        launch(&device, "finish_gradients", Grid::channels(c), &[&data[..], &rest].concat())?;
        let dxs = || -> Result<Tensor> {
            let dxs = fresh(&device, Kind::of(&xs)?, xs.shape())?;
            let (grid, chunk) = Grid::columns(rows, c);
            let data = [at(&dxs)?, at(&xs)?, Kind::of(&xs)?.arg(), at(&g)?, Kind::of(&g)?.arg()];
            let rest = [at(&mean_g)?, at(&mean_gx)?, flag(self.relu), long(rows), int(c), long(chunk)];
            launch(&device, "normalise_back", grid, &[&data[..], &vectors, &rest].concat())?;
            seen(dxs)
        };
        let dxs = args[0].track_op().then(dxs).transpose()?;
        Ok(vec![dxs, args[1].track_op().then_some(dscale), args[2].track_op().then_some(dshift)])
    }
}

/// As [`crate::running`].
pub(crate) fn running(old: &Tensor, new: &Running) -> Result<Tensor> {
    let Running { values, factor, kept, constants, rates } = *new;
    let (device, n) = (device(old)?, old.elem_count());
    let on = |t: &Tensor| t.detach().contiguous();
    let (old, values) = (on(old)?, values.map(on).transpose()?);
    let constants = constants.map(on).transpose()?;
    let one = rates.first().copied().unwrap_or(0.0);
    let each = rates.iter().any(|&rate| rate != one).then(|| Tensor::new(rates, old.device())).transpose()?;
    let lists = select::lists(kept, old.device())?;
    let out = fresh(&device, Kind::F32, n)?;
    let data = [at(&out)?, at(&old)?, at_or_nothing(values.as_ref())?, select::places(&lists)?];
    let rest = [at_or_nothing(constants.as_ref())?, at_or_nothing(each.as_ref())?, Arg::Float(one)];
    let rest = [&rest[..], &[Arg::Float(factor as f32), int(n)]].concat();
    launch(&device, "running", Grid::each(n), &[&data[..], &rest].concat())?;
    Ok(out)
}

// Groups of channels are those of the kernels.
const _: () = assert!(WIDE == 8);
