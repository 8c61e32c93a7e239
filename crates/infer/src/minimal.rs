//! Convolutions with 3x3 kernels of stride 1 by minimal filtering, kernels transformed once.
//!
//! Eight tiles are the lanes of a vector, wherever they lie in the image. Over all channels the products are 36 small
//! matrix products, one for each point of a transformed tile, on the inner loops of the direct convolution.

use l0_lanes::{Lanes, Level, at_best};
use l0_net::Sides;

use crate::Result;
use crate::after::After;
use crate::filter::{OUT, POINTS, transform_kernel};
use crate::kernel::{Inputs, Kernel};
use crate::lanes::{Tile, gather, spread};
use crate::layout::{LANES, Layout, even};

/// Numbers of transformed inputs and products of a block of tiles, half a mebibyte, that a core's second cache holds.
const CACHED: usize = 1 << 17;
/// Most tiles of a block.
const BLOCK: usize = 64;
/// Most vectors and most channels of products that are summed at once: 24 fill 32 registers. With 16 only half as many
/// vectors are.
const VECTORS: usize = 4;
const CHANNELS: usize = 6;
/// Fewer inputs or outputs are not worth the transforms.
const LEAST_CHANNELS: usize = 8;

/// Whether it is worth it, for so many inputs and outputs, (h, w) each: by multiply-adds, transforms counted as those.
pub(crate) fn serves(inputs: usize, outputs: usize, h: usize, w: usize) -> bool {
    let tiles = (h.div_ceil(OUT) * w.div_ceil(OUT)).next_multiple_of(LANES);
    let (pairs, transforms) = (inputs * outputs, 300 * inputs + 200 * outputs);
    let direct = 9 * pairs * h * w.next_multiple_of(LANES);
    inputs.min(outputs) >= LEAST_CHANNELS && 3 * tiles * (POINTS * pairs + transforms) < 2 * direct
}

/// The zeros wanted around an image that becomes (h, w) with this padding, so that all tiles lie within.
pub(crate) fn border(padding: Sides, h: usize, w: usize) -> Sides {
    let more = |n: usize| n.next_multiple_of(OUT) - n;
    Sides { bottom: padding.bottom + more(h), right: padding.right + more(w), ..padding }
}

/// A packed convolution.
pub(crate) struct Minimal {
    input: Layout,
    output: Layout,
    tiles: Vec<Tile>,
    /// Most tiles of a block.
    block: usize,
    /// For each point and each tile of channels (input, channel).
    weights: Vec<f32>,
    bias: Vec<f32>,
    after: After,
}

impl Minimal {
    /// `weight` is (output, input, 3, 3); the border of `input` holds what [`border`] says for `padding`.
    pub(crate) fn new(
        padding: Sides,
        input: Layout,
        output: Layout,
        weight: &[f32],
        bias: Vec<f32>,
        after: After,
    ) -> Self {
        let start = (input.pad.top - padding.top) * input.row() + input.pad.left - padding.left;
        let tile = |(y, x): (usize, usize)| Tile {
            from: start + y * input.row() + x,
            to: output.at(0, y) + x,
            h: (output.h - y).min(OUT),
            w: (output.w - x).min(OUT),
        };
        let places = (0..output.h).step_by(OUT).flat_map(|y| (0..output.w).step_by(OUT).map(move |x| (y, x)));
        let block = CACHED / (POINTS * (input.c + output.c)) / (2 * LANES) * (2 * LANES);
        let weights = pack(weight, input.c, output.c);
        let tiles: Vec<Tile> = places.map(tile).collect();
        let block = block.clamp(2 * LANES, BLOCK).min(tiles.len().next_multiple_of(LANES));
        Self { input, output, tiles, block, weights, bias, after }
    }

    /// From one point to the next of so many channels: an odd number of cache lines, so that the points do not fall on
    /// the same places of a cache.
    fn step(&self, channels: usize) -> usize {
        ((channels * self.block).div_ceil(16) | 1) * 16
    }

    /// `v[point, input, tile]`
    fn inputs(&self, xs: &[f32], tiles: &[Tile], n: usize, v: &mut [f32]) {
        let step = self.step(self.input.c);
        for i in 0..self.input.c {
            let plane = &xs[i * self.input.plane()..];
            for (t, tiles) in tiles.chunks(LANES).enumerate() {
                spread(plane, self.input.row(), tiles, &mut v[i * n + t * LANES..], step);
            }
        }
    }

    /// `m[point, output, tile] = sum over inputs of kernel[point, output, input] v[point, input, tile]`
    fn products(&self, v: &[f32], n: usize, m: &mut [f32]) {
        let (from, to) = (self.step(self.input.c), self.step(self.output.c));
        let pairs = self.input.c * self.output.c;
        for ((v, m), weights) in v.chunks(from).zip(m.chunks_mut(to)).zip(self.weights.chunks_exact(pairs)) {
            for (o, len) in even(self.output.c, CHANNELS) {
                let (weights, m) = (&weights[o * self.input.c..][..len * self.input.c], &mut m[o * n..]);
                match len {
                    1 => product::<1>(v, n, weights, m),
                    2 => product::<2>(v, n, weights, m),
                    3 => product::<3>(v, n, weights, m),
                    4 => product::<4>(v, n, weights, m),
                    5 => product::<5>(v, n, weights, m),
                    _ => product::<CHANNELS>(v, n, weights, m),
                }
            }
        }
    }

    fn outputs(&self, m: &[f32], tiles: &[Tile], n: usize, ys: &mut [f32]) {
        let (step, bounds) = (self.step(self.output.c), self.after.bounds());
        for (o, bias) in self.bias.iter().enumerate() {
            let ys = &mut ys[o * self.output.plane()..];
            for (t, tiles) in tiles.chunks(LANES).enumerate() {
                let m = &m[o * n + t * LANES..];
                gather(m, step, *bias, bounds, tiles, ys, self.output.row());
            }
        }
    }
}

impl Kernel for Minimal {
    fn scratch(&self) -> usize {
        POINTS * (self.step(self.input.c) + self.step(self.output.c))
    }

    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], scratch: &mut [f32]) -> Result<()> {
        let (v, m) = scratch.split_at_mut(POINTS * self.step(self.input.c));
        for image in 0..images {
            let (xs, ys) = (xs.image(0, &self.input, image), &mut ys[image * self.output.len()..]);
            for tiles in self.tiles.chunks(self.block) {
                let n = tiles.len().next_multiple_of(LANES);
                self.inputs(xs, tiles, n, v);
                self.products(v, n, m);
                self.outputs(m, tiles, n, ys);
            }
            self.after.finish(&self.output, ys);
        }
        Ok(())
    }
}

/// Transformed kernels in the order in which the products meet them.
fn pack(weight: &[f32], inputs: usize, outputs_in_all: usize) -> Vec<f32> {
    let mut packed = vec![0.0; POINTS * inputs * outputs_in_all];
    let (kernels, _) = weight.as_chunks::<9>();
    for (o, len) in even(outputs_in_all, CHANNELS) {
        for (i, l) in (0..inputs).flat_map(|i| (0..len).map(move |l| (i, l))) {
            for (point, value) in transform_kernel(&kernels[(o + l) * inputs + i]).into_iter().enumerate() {
                packed[(point * outputs_in_all + o) * inputs + i * len + l] = value;
            }
        }
    }
    packed
}

/// `O` channels of all tiles of a block.
fn product<const O: usize>(v: &[f32], n: usize, weights: &[f32], m: &mut [f32]) {
    let (weights, _) = weights.as_chunks::<O>();
    let most = Level::current().share_of_32(VECTORS);
    for (start, vectors) in even(n / LANES, most) {
        let x = start * LANES;
        match vectors {
            1 => sums::<O, 1>(v, n, x, weights, m),
            2 => sums::<O, 2>(v, n, x, weights, m),
            3 => sums::<O, 3>(v, n, x, weights, m),
            _ => sums::<O, VECTORS>(v, n, x, weights, m),
        }
    }
}

at_best! {
    /// `O` channels of `V` vectors from tile `x` on.
    fn sums[const O: usize, const V: usize][O, V](v: &[f32], n: usize, x: usize, weights: &[[f32; O]], m: &mut [f32]) as L: Eight {
        let mut sums = [[L::splat(0.0); V]; O];
        for (row, weights) in v.chunks_exact(n).zip(weights) {
            let (vectors, _) = row[x..].as_chunks::<LANES>();
            let row: &[[f32; LANES]; V] = vectors.first_chunk().expect("blocks are whole vectors");
            for v in 0..V {
                let x = L::of(&row[v]);
                for o in 0..O {
                    sums[o][v] = x.mul_add(L::splat(weights[o]), sums[o][v]);
                }
            }
        }
        for o in 0..O {
            let (vectors, _) = m[o * n + x..].as_chunks_mut::<LANES>();
            let to: &mut [[f32; LANES]; V] = vectors.first_chunk_mut().expect("blocks are whole vectors");
            for v in 0..V {
                sums[o][v].put(&mut to[v]);
            }
        }
    }
}
