//! Blocks of weights and units of tensors.

use candle_core::{Device, Result, Tensor};

use super::launch::{
    Arg, Grid, Kind, THREADS, at, at_or_nothing, cast, device, flag, fresh, int, last, launch, long, seen,
};
use super::lists::Lists;
use crate::chain;
use crate::gradients::Backward;
use crate::selection::Selection;

/// The lists of a selection, or nothing where it keeps all.
pub(super) fn lists(selection: &Selection, device: &Device) -> Result<Option<Lists>> {
    if selection.is_all() { Ok(None) } else { selection.lists(device).map(Some) }
}

/// Where the places are, or nothing.
pub(super) fn places(lists: &Option<Lists>) -> Result<Arg<'_>> {
    at_or_nothing(lists.as_ref().map(|lists| &lists.places))
}

/// Where the units are, or nothing.
fn units(lists: &Option<Lists>) -> Result<Arg<'_>> {
    at_or_nothing(lists.as_ref().map(|lists| &lists.units))
}

struct Select {
    rows: Selection,
    cols: Selection,
    /// Lists of both, if not all units are kept.
    lists: [Option<Lists>; 2],
    has_scale: [bool; 2],
    taps: usize,
}

/// As [`crate::select`], of checked arguments: the block of a convolution's weight lies as (rows, k, k, cols). A vector
/// is a weight of one column.
pub(crate) fn select(
    weight: &Tensor,
    rows: &Selection,
    cols: &Selection,
    row_scale: Option<&Tensor>,
    col_scale: Option<&Tensor>,
) -> Result<Tensor> {
    let on = weight.device();
    let select = Select {
        rows: rows.clone(),
        cols: cols.clone(),
        lists: [lists(rows, on)?, lists(cols, on)?],
        has_scale: [row_scale.is_some(), col_scale.is_some()],
        taps: weight.dims().iter().skip(2).product(),
    };
    let args: Vec<Tensor> = [Some(weight), row_scale, col_scale].into_iter().flatten().cloned().collect();
    let block = select.forward(&args)?;
    chain::made(args, select, block)
}

impl Select {
    /// The scales among the arguments, contiguous.
    fn scales(&self, args: &[Tensor]) -> Result<[Option<Tensor>; 2]> {
        let mut scales = args[1..].iter().map(|scale| scale.detach().contiguous());
        let [row, col] = self.has_scale.map(|has| if has { scales.next() } else { None });
        Ok([row.transpose()?, col.transpose()?])
    }

    fn forward(&self, args: &[Tensor]) -> Result<Tensor> {
        let (weight, [row, col]) = (args[0].detach().contiguous()?, self.scales(args)?);
        let (device, n_rows, n_cols) = (device(&weight)?, self.rows.len(), self.cols.len());
        let block = match weight.dims() {
            [_] => fresh(&device, Kind::F32, n_rows)?,
            [_, _, kh, kw] => fresh(&device, Kind::F32, (n_rows, *kh, *kw, n_cols))?,
            _ => fresh(&device, Kind::F32, (n_rows, n_cols))?,
        };
        let data = [at(&block)?, at(&weight)?, units(&self.lists[0])?, units(&self.lists[1])?];
        let rest = [at_or_nothing(row.as_ref())?, at_or_nothing(col.as_ref())?];
        let sizes = [int(n_rows), int(n_cols), int(self.taps), int(self.cols.total())];
        launch(&device, "select_block", Grid::each(n_rows * n_cols), &[&data[..], &rest, &sizes].concat())?;
        Ok(block)
    }

    fn weight_gradient(&self, g: &Tensor, weight: &Tensor, scales: &[Option<Tensor>; 2]) -> Result<Tensor> {
        let device = device(g)?;
        let dw = fresh(&device, Kind::F32, weight.shape())?;
        let (o, i) = (self.rows.total(), self.cols.total());
        let data = [at(&dw)?, at(g)?, places(&self.lists[0])?, places(&self.lists[1])?];
        let rest = [at_or_nothing(scales[0].as_ref())?, at_or_nothing(scales[1].as_ref())?];
        let sizes = [int(o), int(i), int(self.cols.len()), int(self.taps)];
        launch(&device, "select_weight_back", Grid::each(o * i), &[&data[..], &rest, &sizes].concat())?;
        Ok(dw)
    }

    /// The gradient of the scale of the rows, or of the columns.
    fn scale_gradient(&self, g: &Tensor, weight: &Tensor, other: Option<&Tensor>, by_col: bool) -> Result<Tensor> {
        let device = device(g)?;
        let (own, n) = if by_col { (1, self.cols.total()) } else { (0, self.rows.total()) };
        let dscale = fresh(&device, Kind::F32, n)?;
        let data = [at(&dscale)?, at(g)?, at(weight)?, units(&self.lists[0])?, units(&self.lists[1])?];
        let rest = [places(&self.lists[own])?, at_or_nothing(other)?, flag(by_col)];
        let sizes = [int(self.rows.len()), int(self.cols.len()), int(self.taps), int(self.cols.total())];
        launch(&device, "select_scale_back", Grid::blocks(n), &[&data[..], &rest, &sizes].concat())?;
        Ok(dscale)
    }
}

impl Backward for Select {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let (weight, scales) = (args[0].detach().contiguous()?, self.scales(args)?);
        let g = cast(&last(grad)?, Kind::F32)?;
        let dw = args[0].track_op().then(|| self.weight_gradient(&g, &weight, &scales)).transpose()?;
        let mut grads = vec![dw];
        for (by_col, other) in [(false, &scales[1]), (true, &scales[0])] {
            if self.has_scale[usize::from(by_col)] {
                let tracked = args[grads.len()].track_op();
                let scale = || self.scale_gradient(&g, &weight, other.as_ref(), by_col);
                grads.push(tracked.then(scale).transpose()?);
            }
        }
        grads.resize(3, None);
        let [weight, first, second] = [grads.remove(0), grads.remove(0), grads.remove(0)];
        Ok(vec![weight, first, second])
    }
}

struct Take {
    dim: usize,
    units: Selection,
}

/// (outer, units, inner) of a dimension of a tensor as it lies.
fn around(dims: &[usize], dim: usize) -> (usize, usize) {
    (dims[..dim].iter().product(), dims[dim + 1..].iter().product())
}

/// As [`crate::take`], of checked arguments.
pub(crate) fn take(xs: &Tensor, dim: usize, selection: &Selection) -> Result<Tensor> {
    let take = Take { dim, units: selection.clone() };
    let ys = take.forward(xs)?;
    chain::made(vec![xs.clone()], take, ys)
}

impl Take {
    /// The dimension where it lies in memory: the channels of images are last there.
    fn place(&self, rank: usize) -> usize {
        match (rank, self.dim) {
            (4, 1) => 3,
            (4, 0) => 0,
            (4, dim) => dim - 1,
            (_, dim) => dim,
        }
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (xs, device) = (last(xs)?, device(xs)?);
        let (place, mut dims) = (self.place(xs.rank()), xs.dims().to_vec());
        let (outer, inner) = around(&dims, place);
        dims[place] = self.units.len();
        let (kind, ys) = (Kind::of(&xs)?, fresh(&device, Kind::of(&xs)?, dims)?);
        let lists = lists(&self.units, xs.device())?;
        let data = [at(&ys)?, at(&xs)?, kind.arg(), units(&lists)?];
        let sizes = [long(outer), int(self.units.total()), int(self.units.len()), long(inner)];
        launch(&device, "take_units", Grid::each(ys.elem_count()), &[&data[..], &sizes].concat())?;
        Ok(ys)
    }
}

impl Backward for Take {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let (g, device) = (last(grad)?, device(grad)?);
        let (place, mut dims) = (self.place(g.rank()), g.dims().to_vec());
        dims[place] = self.units.total();
        let (outer, inner) = around(&dims, place);
        let kind = Kind::of(&args[0])?;
        let (g, dx) = (cast(&g, kind)?, fresh(&device, kind, dims)?);
        let lists = lists(&self.units, g.device())?;
        let data = [at(&dx)?, at(&g)?, kind.arg(), places(&lists)?];
        let sizes = [long(outer), int(self.units.total()), int(self.units.len()), long(inner)];
        launch(&device, "take_units_back", Grid::each(dx.elem_count()), &[&data[..], &sizes].concat())?;
        Ok(vec![Some(seen(dx)?)])
    }
}

// A block of threads adds up halves.
const _: () = assert!(THREADS.is_power_of_two());
