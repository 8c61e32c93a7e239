//! Convolution with all that follows it at once: bias, ReLU, 2x2 max pooling.
//!
//! No patches are built: a kernel offset is a shift of a padded plane. For a stride of s the input is first laid out as
//! planes of every s-th row and column, which turns the stride into 1.

use crate::kernel::Kernel;
use crate::layout::{LANES, Layout, even};
use crate::tile::{OUTPUTS, Source, Target, VECTORS, most_outputs, plain, pooled};

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    /// Whether the largest value of each 2x2 window is kept.
    pub(crate) pool: bool,
}

/// A packed convolution.
pub(crate) struct Conv {
    input: Layout,
    output: Layout,
    split: Option<Split>,
    /// Where the padded image begins, from one plane and one row to the next.
    start: usize,
    plane: usize,
    row: usize,
    shifts: Vec<usize>,
    /// For each tile of channels (input, kernel offset, channel).
    weights: Vec<f32>,
    bias: Vec<f32>,
    outputs: usize,
    relu: bool,
    pool: bool,
}

impl Conv {
    /// `weight` is (output, input, kernel, kernel).
    pub(crate) fn new(g: Geometry, input: Layout, output: Layout, weight: &[f32], bias: Vec<f32>, relu: bool) -> Self {
        let offsets: Vec<(usize, usize)> = (0..g.kernel * g.kernel).map(|k| (k / g.kernel, k % g.kernel)).collect();
        let split = (g.stride > 1).then(|| Split::new(&g, input, &offsets));
        let (start, plane, row, shifts) = match &split {
            Some(split) => (0, split.plane(), split.w, offsets.iter().map(|&offset| split.shift(offset)).collect()),
            None => {
                let start = (input.pad - g.padding) * (input.row() + 1);
                let shifts = offsets.iter().map(|&(u, v)| u * input.row() + v).collect();
                (start, input.plane(), input.row(), shifts)
            }
        };
        let vectors = computed(output.w, g.pool).div_ceil(LANES);
        let widest = even(vectors, VECTORS).map(|(_, len)| len).max().unwrap_or(1);
        let outputs = most_outputs(widest);
        let weights = pack(weight, output.c, input.c * offsets.len(), outputs);
        Self { input, output, split, start, plane, row, shifts, weights, bias, outputs, relu, pool: g.pool }
    }

    fn image(&self, data: &[f32], ys: &mut [f32]) {
        let from = Source { data: &data[self.start..], plane: self.plane, row: self.row, shifts: &self.shifts };
        let terms = self.input.c * self.shifts.len();
        for (o, len) in even(self.output.c, self.outputs) {
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

    /// `O` channels from channel `o` on.
    fn channels<const O: usize>(&self, from: Source, o: usize, weights: &[f32], ys: &mut [f32]) {
        let (weights, _) = weights.as_chunks::<O>();
        let (height, width) = (computed(self.output.h, self.pool), computed(self.output.w, self.pool));
        for (y, rows) in even_pairs(height) {
            for (v, vectors) in even(width.div_ceil(LANES), VECTORS) {
                let x = v * LANES;
                let (to_y, to_x) = if self.pool { (y / 2, x / 2) } else { (y, x) };
                let target = Target {
                    plane: self.output.plane(),
                    row: self.output.row(),
                    bias: &self.bias[o..o + O],
                    relu: self.relu,
                    width: self.output.w - to_x,
                };
                let to = &mut ys[self.output.at(o, to_y) + to_x..];
                let at = y * from.row + x;
                match (self.pool, rows, vectors) {
                    (true, _, 1) => pooled::<O, 1>(from, at, weights, to, target),
                    (true, _, 2) => pooled::<O, 2>(from, at, weights, to, target),
                    (true, ..) => pooled::<O, VECTORS>(from, at, weights, to, target),
                    (_, 1, 1) => plain::<O, 1, 1>(from, at, weights, to, target),
                    (_, 1, 2) => plain::<O, 1, 2>(from, at, weights, to, target),
                    (_, 1, _) => plain::<O, 1, VECTORS>(from, at, weights, to, target),
                    (_, _, 1) => plain::<O, 2, 1>(from, at, weights, to, target),
                    (_, _, 2) => plain::<O, 2, 2>(from, at, weights, to, target),
                    _ => plain::<O, 2, VECTORS>(from, at, weights, to, target),
                }
            }
        }
    }
}

impl Kernel for Conv {
    fn scratch(&self) -> usize {
        self.split.as_ref().map_or(0, |split| self.input.c * split.plane())
    }

    fn run(&self, images: usize, xs: [&[f32]; 2], ys: &mut [f32], scratch: &mut [f32]) {
        for image in 0..images {
            let ys = &mut ys[image * self.output.len()..];
            let xs = &xs[0][image * self.input.len()..];
            match &self.split {
                Some(split) => {
                    split.run(&self.input, xs, scratch);
                    self.image(scratch, ys);
                }
                None => self.image(xs, ys),
            }
        }
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

/// A padded image as planes of every s-th row and column: one for each remainder that a kernel offset has.
struct Split {
    stride: usize,
    padding: usize,
    remainders: Vec<(usize, usize)>,
    h: usize,
    w: usize,
}

impl Split {
    fn new(g: &Geometry, input: Layout, offsets: &[(usize, usize)]) -> Self {
        let s = g.stride;
        let mut remainders: Vec<(usize, usize)> = offsets.iter().map(|&(u, v)| (u % s, v % s)).collect();
        remainders.sort_unstable();
        remainders.dedup();
        let side = |n: usize| (n + 2 * g.padding).div_ceil(s);
        Self { stride: s, padding: g.padding, remainders, h: side(input.h), w: side(input.w) }
    }

    /// From one channel to the next.
    fn plane(&self) -> usize {
        self.remainders.len() * self.h * self.w
    }

    /// Where the positions begin that meet a kernel offset.
    fn shift(&self, (u, v): (usize, usize)) -> usize {
        let remainder = (u % self.stride, v % self.stride);
        let place = self.remainders.iter().position(|&r| r == remainder).unwrap_or(0);
        (place * self.h + u / self.stride) * self.w + v / self.stride
    }

    fn run(&self, input: &Layout, xs: &[f32], to: &mut [f32]) {
        let border = input.pad - self.padding;
        let (h, w) = (input.h + 2 * self.padding, input.w + 2 * self.padding);
        let planes = to.chunks_exact_mut(self.h * self.w);
        for (i, plane) in planes.take(input.c * self.remainders.len()).enumerate() {
            let (c, (ry, rx)) = (i / self.remainders.len(), self.remainders[i % self.remainders.len()]);
            for (y, row) in (ry..h).step_by(self.stride).zip(plane.chunks_exact_mut(self.w)) {
                let from = c * input.plane() + (y + border) * input.row() + border;
                let values = xs[from..from + w].iter().skip(rx).step_by(self.stride);
                row.iter_mut().zip(values).for_each(|(to, x)| *to = *x);
            }
        }
    }
}
