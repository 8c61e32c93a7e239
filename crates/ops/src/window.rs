//! Pooling by windows of any size, stride and padding: the largest value, or the mean.
//!
//! max: padding is minus infinity, and the gradient goes to the first largest value of a window alone; windows are
//! looked through again on the way back, which costs less than to keep their places. mean: the sum over the numbers of
//! a window, padding being 0, by how many they are, those of the padding counted or not; the gradient is `g` by the
//! same number.

use candle_core::{CpuStorage, Result, Shape, Tensor};
use l0_lanes::{Eights, Lanes, at_best};

use crate::chain::{Operation, apply_all};
use crate::check;
use crate::cpu::{numbers, output, serves, tensor};
use crate::gradients::Backward;
use crate::lattice::{LANES, Lattice, Side, Vector, correlate, eights};
use crate::maxima::MAX_SIDE;
use crate::parallel::{Scratch, scratch};
use crate::planes::{EachPlane, Linear, each_plane, each_plane_with};
use crate::pool::max_pool2d;
use crate::portable;
use crate::settings::Window;
use crate::window_counts::counts;

fn lattice(window: &Window, (h, w): (usize, usize), (oh, ow): (usize, usize)) -> Lattice {
    let side = |input, output, size, stride, before| Side { input, output, size, dilation: 1, stride, before };
    Lattice::new(
        side(h, oh, window.size.0, window.stride.0, window.padding[0]),
        side(w, ow, window.size.1, window.stride.1, window.padding[1]),
    )
}

struct MaxPool(Lattice);

impl MaxPool {
    fn buffers(&self) -> [Scratch; 3] {
        let results = || scratch(self.0.results());
        [self.0.planes(f32::NEG_INFINITY), results(), results()]
    }

    /// The largest values of the windows of a plane, and which number of the window each is.
    fn largest(&self, plane: &[f32], [x, best, places]: &mut [Scratch; 3], mut f: impl FnMut(usize, &[f32], &[f32])) {
        let lattice = &self.0;
        lattice.pack(plane, x);
        all_largest(x, &lattice.shifts, best.eights(), places.eights());
        let rows = lattice.rows_of(best).zip(lattice.rows_of(places));
        rows.enumerate().for_each(|(y, (best, places))| f(y, best, places));
    }
}

at_best! {
    /// The largest of each window, and which number of the window it is; not a number counts as larger.
    fn all_largest(x: &[f32], shifts: &[usize], best: &mut [Vector], places: &mut [Vector]) as V: Eight {
        for (at, (best, place)) in best.iter_mut().zip(places).enumerate() {
            let (of_best, of_place) = first_largest::<V>(x, at * LANES, shifts);
            of_best.store(best);
            of_place.store(place);
        }
    }
}

#[inline(always)]
fn first_largest<V: Eights>(x: &[f32], at: usize, shifts: &[usize]) -> (V, V) {
    let (mut best, mut place) = (V::splat(f32::NEG_INFINITY), V::zero());
    for (i, shift) in shifts.iter().enumerate() {
        let [value] = eights::<V, 1>(x, at + shift);
        let larger = value.above(best) | value.is_nan();
        best = larger.choose(value, best);
        place = larger.choose(V::splat(i as f32), place);
    }
    (best, place)
}

impl Operation for MaxPool {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let ((b, c, _, _), lattice) = (args[0].dims4()?, &self.0);
        let (full, width) = (lattice.input(), lattice.columns.output);
        let ys = numbers([&args[0]], |[xs]| {
            each_plane_with(
                b * c,
                lattice.output(),
                full,
                || self.buffers(),
                |buffers, at, ys| {
                    self.largest(&xs[at * full..][..full], buffers, |y, best, _| {
                        ys[y * width..][..width].copy_from_slice(best)
                    });
                },
            )
        });
        output(ys?, (b, c, lattice.rows.output, width))
    }
}

impl Backward for MaxPool {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let ((b, c, _, _), lattice) = (args[0].dims4()?, &self.0);
        let (full, width) = (lattice.input(), lattice.columns.output);
        let dx = numbers([&args[0], grad], |[xs, g]| {
            each_plane_with(
                b * c,
                full,
                full,
                || self.buffers(),
                |buffers, at, dx| {
                    let g = &g[at * lattice.output()..][..lattice.output()];
                    self.largest(&xs[at * full..][..full], buffers, |y, _, places| {
                        for (x, (g, &place)) in g[y * width..].iter().zip(places).enumerate() {
                            if let Some(at) = lattice.pixel(y, x, place as usize) {
                                dx[at] += g;
                            }
                        }
                    });
                },
            )
        });
        Ok(vec![Some(tensor(dx?, args[0].shape())?)])
    }
}

/// The largest value of each window, padding being minus infinity: (b, c, h, w) -> (b, c, h', w') as [`Window::output`]
/// says. The gradient goes to the first largest value of a window alone.
///
/// # Errors
/// If `xs` is not (b, c, h, w), or there is no window.
pub fn max_pool(xs: &Tensor, window: &Window) -> Result<Tensor> {
    let (output, (_, _, h, w)) = (check::window("max_pool", xs, window)?, xs.dims4()?);
    let side = window.size.0;
    if *window == Window::side_by_side((side, side)) && side <= MAX_SIDE {
        return max_pool2d(xs, side);
    }
    if !serves(&[xs]) || xs.elem_count() == 0 {
        return portable::max_pool(xs, window);
    }
    apply_all(vec![xs.contiguous()?], MaxPool(lattice(window, (h, w), output)))
}

struct Mean {
    lattice: Lattice,
    ones: Vec<f32>,
    /// How many numbers windows have, in rows and in columns.
    rows: Vec<f32>,
    columns: Vec<f32>,
}

impl Linear for Mean {
    fn output(&self) -> (usize, usize) {
        (self.lattice.rows.output, self.lattice.columns.output)
    }

    fn forward(&self, plane: &[f32], ys: &mut [f32]) {
        let lattice = &self.lattice;
        let (mut x, mut sums) = (lattice.planes(0.0), scratch(lattice.results()));
        lattice.pack(plane, &mut x);
        correlate(&x, &lattice.shifts, &self.ones, &mut sums, false);
        let rows = ys.chunks_exact_mut(self.columns.len()).zip(lattice.rows_of(&sums));
        for ((ys, sums), count) in rows.zip(&self.rows) {
            ys.iter_mut().zip(sums).zip(&self.columns).for_each(|((y, sum), n)| *y = sum / (count * n));
        }
    }

    fn backward(&self, g: &[f32], dx: &mut [f32]) {
        let lattice = &self.lattice;
        let (mut spread, mut planes) = (lattice.room(), lattice.planes(0.0));
        let mut shares = scratch(g.len());
        let rows = shares.chunks_exact_mut(self.columns.len()).zip(g.chunks_exact(self.columns.len()));
        for ((shares, g), count) in rows.zip(&self.rows) {
            shares.iter_mut().zip(g).zip(&self.columns).for_each(|((share, g), n)| *share = g / (count * n));
        }
        lattice.spread(&shares, &mut spread);
        lattice.back(&spread, &self.ones, &mut planes, false);
        lattice.unpack(&planes, dx);
    }
}

/// The mean of each window, over all its numbers within image and padding, or over those of the image alone:
/// (b, c, h, w) -> (b, c, h', w') as [`Window::output`] says.
///
/// # Errors
/// If `xs` is not (b, c, h, w), or there is no window.
pub fn avg_pool(xs: &Tensor, window: &Window, count_include_pad: bool) -> Result<Tensor> {
    let (output, (_, _, h, w)) = (check::window("avg_pool", xs, window)?, xs.dims4()?);
    if !serves(&[xs]) || xs.elem_count() == 0 {
        return portable::avg_pool(xs, window, count_include_pad);
    }
    let [rows, columns] = counts(window, (h, w), output, count_include_pad);
    let ones = vec![1.0; window.size.0 * window.size.1];
    apply_all(vec![xs.contiguous()?], EachPlane(Mean { lattice: lattice(window, (h, w), output), ones, rows, columns }))
}

struct GlobalMax;

/// The first largest of some numbers; not a number counts as larger.
fn first_of(plane: &[f32]) -> usize {
    let larger = |best: usize, at: usize| plane[at] > plane[best] || (plane[at].is_nan() && !plane[best].is_nan());
    (1..plane.len()).fold(0, |best, at| if larger(best, at) { at } else { best })
}

impl Operation for GlobalMax {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let (b, c, h, w) = args[0].dims4()?;
        let ys = numbers([&args[0]], |[xs]| {
            each_plane(b * c, 1, h * w, |at, y| {
                let plane = &xs[at * h * w..][..h * w];
                y[0] = plane[first_of(plane)];
            })
        });
        output(ys?, (b, c))
    }
}

impl Backward for GlobalMax {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let (b, c, h, w) = args[0].dims4()?;
        let dx = numbers([&args[0], grad], |[xs, g]| {
            each_plane(b * c, h * w, h * w, |at, dx| dx[first_of(&xs[at * h * w..][..h * w])] = g[at])
        });
        Ok(vec![Some(tensor(dx?, args[0].shape())?)])
    }
}

/// The largest value of each channel: (b, c, h, w) -> (b, c). The gradient goes to the first of them alone.
///
/// # Errors
/// If `xs` is not of rank 4 or its images are empty.
pub fn global_max_pool(xs: &Tensor) -> Result<Tensor> {
    check::pixels("global_max_pool", xs)?;
    if serves(&[xs]) { apply_all(vec![xs.contiguous()?], GlobalMax) } else { portable::global_max_pool(xs) }
}
