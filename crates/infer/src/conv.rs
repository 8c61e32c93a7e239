//! Convolution with all that follows it at once: bias, a function of each number, 2x2 max pooling.
//!
//! No patches are built: a kernel offset is a shift of a padded plane. For a stride the input is first laid out as
//! planes of every so many rows and columns, which turns the stride into 1.

use l0_lanes::Eight;
use l0_net::Pair;

use crate::Result;
use crate::after::After;
use crate::kernel::{Inputs, Kernel};
use crate::layout::{LANES, Layout, even};
use crate::split::Split;
use crate::tile::{OUTPUTS, Source, Target, VECTORS, most_outputs, plain, pooled};

/// What a convolution is made of.
pub(crate) struct Parts {
    /// For each number of a kernel, which row and column it meets, counted from the position of the output.
    pub(crate) taps: Vec<(isize, isize)>,
    pub(crate) stride: Pair,
    pub(crate) groups: usize,
    /// (output, input of its group, tap)
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    /// Whether the largest value of each 2x2 window is kept.
    pub(crate) pool: bool,
    pub(crate) after: After,
}

/// A packed convolution.
pub(crate) struct Conv {
    input: Layout,
    output: Layout,
    split: Option<Split>,
    /// From one input plane and row to the next.
    plane: usize,
    row: usize,
    shifts: Vec<usize>,
    groups: usize,
    /// For each group and each tile of its channels (input, tap, channel).
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// Most channels of a tile.
    outputs: usize,
    pool: bool,
    after: After,
}

impl Conv {
    /// The border of `input` has to hold what the taps reach for.
    pub(crate) fn new(parts: Parts, input: Layout, output: Layout) -> Self {
        let Parts { taps, stride, groups, weight, bias, pool, after } = parts;
        let place = |&(y, x): &(isize, isize)| {
            ((y + input.pad.top as isize).max(0) as usize, (x + input.pad.left as isize).max(0) as usize)
        };
        let offsets: Vec<(usize, usize)> = taps.iter().map(place).collect();
        let split = (stride != Pair::ONE).then(|| Split::new(stride, &input, &offsets));
        let (plane, row, shifts) = match &split {
            Some(split) => (split.plane(), split.w, offsets.iter().map(|&offset| split.shift(offset)).collect()),
            None => {
                let row = input.row();
                (input.plane(), row, offsets.iter().map(|&(u, v)| u * row + v).collect())
            }
        };
        let vectors = computed(output.w, pool).div_ceil(LANES);
        let outputs = most_outputs(even(vectors, VECTORS).map(|(_, len)| len).max().unwrap_or(1));
        let terms = input.c / groups * taps.len();
        let groups_of = weight.chunks_exact(output.c / groups * terms);
        let weights = groups_of.flat_map(|weight| pack(weight, output.c / groups, terms, outputs)).collect();
        Self { input, output, split, plane, row, shifts, groups, weights, bias, outputs, pool, after }
    }

    /// One image without a stride to take out, or of which it has been.
    pub(crate) fn image(&self, data: &[f32], ys: &mut [f32]) {
        let (inputs, outputs) = (self.input.c / self.groups, self.output.c / self.groups);
        let terms = inputs * self.shifts.len();
        for group in 0..self.groups {
            let data = &data[group * inputs * self.plane..];
            let from = Source { data, plane: self.plane, row: self.row, shifts: &self.shifts };
            for (o, len) in even(outputs, self.outputs) {
                let o = group * outputs + o;
                let weights = &self.weights[o * terms..][..len * terms];
                match len {
                    1 => self.channels::<1>(from, o, weights, ys),
                    2 => self.channels::<2>(from, o, weights, ys),
                    3 => self.channels::<3>(from, o, weights, ys),
                    4 => self.channels::<4>(from, o, weights, ys),
                    5 => self.channels::<5>(from, o, weights, ys),
                    _ => self.channels::<OUTPUTS>(from, o, weights, ys),
                }
            }
        }
        self.after.finish(&self.output, ys);
    }

    /// `O` channels from channel `o` on.
    fn channels<const O: usize>(&self, from: Source, o: usize, weights: &[f32], ys: &mut [f32]) {
        let (weights, _) = weights.as_chunks::<O>();
        let (height, width) = (computed(self.output.h, self.pool), computed(self.output.w, self.pool));
        let (bounds, mut sums) = (self.after.bounds(), [[[Eight::ZERO; VECTORS]; 2]; O]);
        for (y, rows) in even_pairs(height) {
            for (v, vectors) in even(width.div_ceil(LANES), VECTORS) {
                let x = v * LANES;
                let (to_y, to_x) = if self.pool { (y / 2, x / 2) } else { (y, x) };
                let target = Target {
                    plane: self.output.plane(),
                    row: self.output.row(),
                    bias: &self.bias[o..o + O],
                    bounds,
                    width: self.output.w - to_x,
                };
                let to = &mut ys[self.output.at(o, to_y) + to_x..];
                let at = y * from.row + x;
                match (self.pool, rows, vectors) {
                    (true, _, 1) => pooled::<O, 1>(from, at, weights, &mut sums, to, target),
                    (true, _, 2) => pooled::<O, 2>(from, at, weights, &mut sums, to, target),
                    (true, ..) => pooled::<O, VECTORS>(from, at, weights, &mut sums, to, target),
                    (_, 1, 1) => plain::<O, 1, 1>(from, at, weights, &mut sums, to, target),
                    (_, 1, 2) => plain::<O, 1, 2>(from, at, weights, &mut sums, to, target),
                    (_, 1, _) => plain::<O, 1, VECTORS>(from, at, weights, &mut sums, to, target),
                    (_, _, 1) => plain::<O, 2, 1>(from, at, weights, &mut sums, to, target),
                    (_, _, 2) => plain::<O, 2, 2>(from, at, weights, &mut sums, to, target),
                    _ => plain::<O, 2, VECTORS>(from, at, weights, &mut sums, to, target),
                }
            }
        }
    }
}

impl Kernel for Conv {
    fn scratch(&self) -> usize {
        self.split.as_ref().map_or(0, |split| self.input.c * split.plane())
    }

    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], scratch: &mut [f32]) -> Result<()> {
        for image in 0..images {
            let (xs, ys) = (xs.image(0, &self.input, image), &mut ys[image * self.output.len()..]);
            match &self.split {
                Some(split) => {
                    split.run(&self.input, xs, scratch);
                    self.image(scratch, ys);
                }
                None => self.image(xs, ys),
            }
        }
        Ok(())
    }
}

/// Rows or columns to compute: of those before pooling, the ones that it keeps.
fn computed(out: usize, pool: bool) -> usize {
    if pool { 2 * out } else { out }
}

/// Two rows at a time, and the last one alone.
fn even_pairs(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(2).map(move |y| (y, (rows - y).min(2)))
}

/// Weights in the order in which a tile meets them.
fn pack(weight: &[f32], outputs: usize, terms: usize, most: usize) -> Vec<f32> {
    let mut packed = Vec::with_capacity(weight.len());
    for (o, len) in even(outputs, most) {
        for term in 0..terms {
            packed.extend((o..o + len).map(|o| weight[o * terms + term]));
        }
    }
    packed
}
