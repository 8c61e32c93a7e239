//! Blocks of weights and units of tensors.

use candle_core::{Device, Result, Tensor};

use super::launch::{Grid, Kind, THREADS, at, at_or_nothing, cast, device, flag, fresh, int, last, launch, long, seen};
use crate::Selection;
use crate::chain::{self, Backward};

/// The kept units, or nothing where all are.
fn units(selection: &Selection, device: &Device) -> Result<Option<Tensor>> {
    selection.indices().map(|units| Tensor::new(units, device)).transpose()
}

/// For each unit its place among the kept ones as an `i32`, -1 where it is not kept.
pub(super) fn places(selection: &Selection, device: &Device) -> Result<Tensor> {
    let mut places = vec![u32::MAX; selection.total()];
    selection.iter().enumerate().for_each(|(place, unit)| places[unit] = place as u32);
    Tensor::new(places, device)
}

fn places_or_nothing(selection: &Selection, device: &Device) -> Result<Option<Tensor>> {
    if selection.is_all() { Ok(None) } else { places(selection, device).map(Some) }
}

struct Select {
    rows: Selection,
    cols: Selection,
    /// Units of both, if not all.
    units: [Option<Tensor>; 2],
    has_scale: [bool; 2],
    taps: usize,
}

/// As [`crate::select`], of checked arguments: the block of a convolution's weight lies as (rows, k, k, cols).
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
        units: [units(rows, on)?, units(cols, on)?],
        has_scale: [row_scale.is_some(), col_scale.is_some()],
        taps: weight.dims()[2..].iter().product(),
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
            [_, _, kh, kw] => fresh(&device, Kind::F32, (n_rows, *kh, *kw, n_cols))?,
            _ => fresh(&device, Kind::F32, (n_rows, n_cols))?,
        };
        let data = [at(&block)?, at(&weight)?, at_or_nothing(self.units[0].as_ref())?];
        let rest = [at_or_nothing(self.units[1].as_ref())?, at_or_nothing(row.as_ref())?, at_or_nothing(col.as_ref())?];
        let sizes = [int(n_rows), int(n_cols), int(self.taps), int(self.cols.total())];
        launch(&device, "select_block", Grid::each(n_rows * n_cols), &[&data[..], &rest, &sizes].concat())?;
        Ok(block)
    }

    fn weight_gradient(&self, g: &Tensor, weight: &Tensor, scales: &[Option<Tensor>; 2]) -> Result<Tensor> {
        let (device, on) = (device(g)?, g.device());
        let dw = fresh(&device, Kind::F32, weight.shape())?;
        let (rows, cols) = (places_or_nothing(&self.rows, on)?, places_or_nothing(&self.cols, on)?);
        let (o, i) = (self.rows.total(), self.cols.total());
        let data = [at(&dw)?, at(g)?, at_or_nothing(rows.as_ref())?, at_or_nothing(cols.as_ref())?];
        let rest = [at_or_nothing(scales[0].as_ref())?, at_or_nothing(scales[1].as_ref())?];
        let sizes = [int(o), int(i), int(self.cols.len()), int(self.taps)];
        launch(&device, "select_weight_back", Grid::each(o * i), &[&data[..], &rest, &sizes].concat())?;
        Ok(dw)
    }

    /// The gradient of the scale of the rows, or of the columns.
    fn scale_gradient(&self, g: &Tensor, weight: &Tensor, other: Option<&Tensor>, by_col: bool) -> Result<Tensor> {
        let (device, on) = (device(g)?, g.device());
        let units = if by_col { &self.cols } else { &self.rows };
        let dscale = fresh(&device, Kind::F32, units.total())?;
        let places = places_or_nothing(units, on)?;
        let data = [at(&dscale)?, at(g)?, at(weight)?];
        let lists = self.units.each_ref().map(|units| at_or_nothing(units.as_ref()));
        let [rows, cols] = lists;
        let rest = [rows?, cols?, at_or_nothing(places.as_ref())?, at_or_nothing(other)?, flag(by_col)];
        let sizes = [int(self.rows.len()), int(self.cols.len()), int(self.taps), int(self.cols.total())];
        launch(&device, "select_scale_back", Grid::blocks(units.total()), &[&data[..], &rest, &sizes].concat())?;
        Ok(dscale)
    }
}

impl Backward for Select {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
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
        Ok([weight, first, second])
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
        let units = Tensor::new(self.units.indices().unwrap_or(&[]), xs.device())?;
        let data = [at(&ys)?, at(&xs)?, kind.arg(), at(&units)?];
        let sizes = [long(outer), int(self.units.total()), int(self.units.len()), long(inner)];
        launch(&device, "take_units", Grid::each(ys.elem_count()), &[&data[..], &sizes].concat())?;
        Ok(ys)
    }
}

impl Backward for Take {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let (g, device) = (last(grad)?, device(grad)?);
        let (place, mut dims) = (self.place(g.rank()), g.dims().to_vec());
        dims[place] = self.units.total();
        let (outer, inner) = around(&dims, place);
        let kind = Kind::of(&args[0])?;
        let (g, dx) = (cast(&g, kind)?, fresh(&device, kind, dims)?);
        let places = places(&self.units, g.device())?;
        let data = [at(&dx)?, at(&g)?, kind.arg(), at(&places)?];
        let sizes = [long(outer), int(self.units.total()), int(self.units.len()), long(inner)];
        launch(&device, "take_units_back", Grid::each(dx.elem_count()), &[&data[..], &sizes].concat())?;
        Ok([Some(seen(dx)?), None, None])
    }
}

// A block of threads adds up halves.
const _: () = assert!(THREADS.is_power_of_two());
