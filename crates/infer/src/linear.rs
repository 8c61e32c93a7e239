//! A linear layer with its bias and what follows: tiles of several examples by vectors of outputs.

use l0_lanes::{Lanes, Level, Sixteen, at_best};

use crate::Result;
use crate::after::{After, Bounds};
use crate::kernel::{Inputs, Kernel};
use crate::layout::{Layout, even};

/// Outputs of a vector. Weights of outputs that do not exist are 0: at 10 or 25 outputs whole vectors win by far.
const WIDE: usize = 16;
/// Most vectors and most examples of a tile: 24 sums fill the registers of AVX-512; elsewhere half as many of each, 6
/// sums of two registers.
const VECTORS: usize = 4;
const EXAMPLES: usize = 6;

/// A packed linear layer.
pub(crate) struct Linear {
    inputs: usize,
    outputs: usize,
    /// For each tile of outputs (input, vector).
    weights: Vec<Sixteen>,
    bias: Vec<Sixteen>,
    after: After,
    /// Most vectors and most examples of a tile on this CPU.
    vectors: usize,
    examples: usize,
}

impl Linear {
    /// `weight` is (output, input).
    pub(crate) fn new(inputs: usize, weight: &[f32], bias: &[f32], after: After) -> Self {
        let outputs = bias.len();
        let vectors = outputs.div_ceil(WIDE);
        let share = |most: usize| Level::current().share_of_32(most);
        let vector = |i: usize, v: usize| {
            Sixteen::new(std::array::from_fn(|l| match v * WIDE + l {
                o if o < outputs => weight[o * inputs + i],
                _ => 0.0,
            }))
        };
        let mut weights = Vec::with_capacity(vectors * inputs);
        for (v, len) in even(vectors, share(VECTORS)) {
            (0..inputs).for_each(|i| weights.extend((v..v + len).map(|v| vector(i, v))));
        }
        let bias = |v: usize| Sixteen::new(std::array::from_fn(|l| bias.get(v * WIDE + l).copied().unwrap_or(0.0)));
        let bias = (0..vectors).map(bias).collect();
        Self { inputs, outputs, weights, bias, after, vectors: share(VECTORS), examples: share(EXAMPLES) }
    }

    /// All examples through the outputs of vectors `v..v + V`, whose weights stay in the cache meanwhile.
    fn outputs<const V: usize>(&self, images: usize, xs: &[f32], v: usize, ys: &mut [f32]) {
        for (start, len) in even(images, self.examples) {
            let (xs, ys) = (&xs[start * self.inputs..], &mut ys[start * self.outputs..]);
            match len {
                1 => self.tile::<1, V>(xs, v, ys),
                2 => self.tile::<2, V>(xs, v, ys),
                3 => self.tile::<3, V>(xs, v, ys),
                4 => self.tile::<4, V>(xs, v, ys),
                5 => self.tile::<5, V>(xs, v, ys),
                _ => self.tile::<EXAMPLES, V>(xs, v, ys),
            }
        }
    }

    fn tile<const E: usize, const V: usize>(&self, xs: &[f32], v: usize, ys: &mut [f32]) {
        let (weights, _) = self.weights[v * self.inputs..][..V * self.inputs].as_chunks::<V>();
        let bias: &[Sixteen; V] = self.bias[v..].first_chunk().expect("a tile has V vectors of outputs");
        let rest = self.outputs - v * WIDE;
        tile::<E, V>(xs, weights, bias, self.after.bounds(), &mut ys[v * WIDE..], (self.outputs, rest));
    }
}

at_best! {
    /// `E` examples and `V` vectors of outputs, of which an example has so many in all and so many from here on. An
    /// example's sums run over its inputs in order, whatever the tile, so its result does not depend on the batch.
    fn tile[const E: usize, const V: usize][E, V](
        xs: &[f32],
        weights: &[[Sixteen; V]],
        bias: &[Sixteen; V],
        bounds: Bounds,
        ys: &mut [f32],
        outputs: (usize, usize),
    ) as L: Sixteen {
        let inputs = weights.len();
        let mut sums = [[L::splat(0.0); V]; E];
        let mut rows = [xs; E];
        for e in 0..E {
            rows[e] = &xs[e * inputs..][..inputs];
        }
        for (i, weights) in weights.iter().enumerate() {
            for e in 0..E {
                let x = L::splat(rows[e][i]);
                for v in 0..V {
                    sums[e][v] = L::load(&weights[v]).mul_add(x, sums[e][v]);
                }
            }
        }
        for e in 0..E {
            let ys = &mut ys[e * outputs.0..][..outputs.1];
            let mut done = [[0.0; WIDE]; V];
            for v in 0..V {
                (sums[e][v] + L::load(&bias[v])).put(&mut done[v]);
            }
            for (ys, done) in ys.chunks_mut(WIDE).zip(&done) {
                ys.iter_mut().zip(done).for_each(|(y, done)| *y = bounds.hold(*done));
            }
        }
    }
}

impl Kernel for Linear {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let xs = xs.all(0);
        for (v, len) in even(self.bias.len(), self.vectors) {
            match len {
                1 => self.outputs::<1>(images, xs, v, ys),
                2 => self.outputs::<2>(images, xs, v, ys),
                3 => self.outputs::<3>(images, xs, v, ys),
                _ => self.outputs::<VECTORS>(images, xs, v, ys),
            }
        }
        let layout = Layout::bare(self.outputs, 1, 1);
        ys.chunks_exact_mut(self.outputs).take(images).for_each(|ys| self.after.finish(&layout, ys));
        Ok(())
    }
}
