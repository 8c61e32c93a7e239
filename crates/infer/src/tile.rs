//! The inner loops of the convolution, on vectors along the rows of an image.

use l0_lanes::{Eight, Eights, Lanes, Level, at_best};

use crate::after::Bounds;
use crate::layout::LANES;

/// Most channels of a tile, and most vectors along a row.
pub(crate) const OUTPUTS: usize = 6;
pub(crate) const VECTORS: usize = 3;

/// Most channels of a tile of two rows so many vectors wide: 24 sums fill 32 registers, 12 fill 16.
pub(crate) fn most_outputs(vectors: usize) -> usize {
    let sums = Level::current().share_of_32(24);
    (sums / (2 * vectors)).min(OUTPUTS)
}

/// Input planes seen through shifts: term (i, k) of position (y, x) is `data[i * plane + shifts[k] + y * row + x]`.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) plane: usize,
    pub(crate) row: usize,
    pub(crate) shifts: &'a [usize],
}

/// Where the results of a tile go, and what is done to them on the way.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// From one channel to the next, from one row to the next.
    pub(crate) plane: usize,
    pub(crate) row: usize,
    /// A number for each channel of the tile.
    pub(crate) bias: &'a [f32],
    pub(crate) bounds: Bounds,
    /// Values of a row, counted from the tile's first.
    pub(crate) width: usize,
}

/// The larger one, or not a number where either is. A comparison with what is no number fails and gives the second of
/// the two, so it comes out of one order or the other, and stays none after the "or", which leaves equal bits alone:
/// cheaper than to ask.
#[inline(always)]
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    let of = |a: f32, b: f32| if a > b { a } else { b };
    f32::from_bits(of(a, b).to_bits() | of(b, a).to_bits())
}

/// The sums of a tile of `O` channels, on their way from one function to another.
pub(crate) type Sums<const O: usize> = [[[Eight; VECTORS]; 2]; O];

at_best! {
    /// Sums over all terms for `O` channels, `R` rows and `V` vectors from position `at` on. They stay in registers as
    /// long as every index into them is known to the compiler, so what is done with them is left to another function.
    fn sums[const O: usize, const R: usize, const V: usize][O, R, V](
        from: Source,
        at: usize,
        weights: &[[f32; O]],
        to: &mut Sums<O>,
    ) as L: Eight {
        let mut sums = [[[L::zero(); V]; R]; O];
        for (i, weights) in weights.chunks_exact(from.shifts.len()).enumerate() {
            let plane = &from.data[i * from.plane + at..];
            for (&shift, weights) in from.shifts.iter().zip(weights) {
                let mut xs = [[L::zero(); V]; R];
                for r in 0..R {
                    let (vectors, _) = plane[shift + r * from.row..].as_chunks::<LANES>();
                    let row: &[[f32; LANES]; V] = vectors.first_chunk().expect("buffers end with a spare vector");
                    for v in 0..V {
                        xs[r][v] = L::of(&row[v]);
                    }
                }
                for o in 0..O {
                    let weight = L::splat(weights[o]);
                    for r in 0..R {
                        for v in 0..V {
                            sums[o][r][v] = xs[r][v].mul_add(weight, sums[o][r][v]);
                        }
                    }
                }
            }
        }
        for o in 0..O {
            for r in 0..R {
                for v in 0..V {
                    sums[o][r][v].store(&mut to[o][r][v]); // and not all at once, which is a call
                }
            }
        }
    }
}

impl Target<'_> {
    /// Bias and bounds.
    #[inline(always)]
    fn finish<const N: usize>(&self, o: usize, values: [f32; N]) -> [f32; N] {
        let (bias, bounds) = (self.bias[o], self.bounds);
        let mut done = values;
        for value in &mut done {
            *value = bounds.hold(*value + bias);
        }
        done
    }

    /// Stores the values up to the end of the row: half of them at once where there are as many, and never by a call.
    #[inline(always)]
    fn store_some(&self, row: &mut [f32], mut x: usize, mut values: &[f32]) {
        if let (Some(to), Some(half)) = (row[x..self.width].first_chunk_mut::<4>(), values.first_chunk::<4>()) {
            *to = *half;
            (x, values) = (x + 4, &values[4..]);
        }
        for (to, value) in row[x..self.width].iter_mut().zip(values) {
            *to = *value;
        }
    }

    /// Stores the values that belong to the row, from its column `x` on.
    #[inline(always)]
    fn store<const N: usize>(&self, row: &mut [f32], x: usize, values: [f32; N]) {
        match row[x..].first_chunk_mut() {
            Some(to) if x + N <= self.width => *to = values,
            _ => self.store_some(row, x, &values),
        }
    }
}

at_best! {
    /// A tile of `O` channels, `R` rows and `V` vectors.
    pub(crate) fn plain[const O: usize, const R: usize, const V: usize][O, R, V](
        from: Source,
        at: usize,
        weights: &[[f32; O]],
        all: &mut Sums<O>,
        to: &mut [f32],
        target: Target,
    ) {
        sums::<O, R, V>(from, at, weights, all);
        for (o, rows) in all.iter().enumerate() {
            for (r, row) in rows[..R].iter().enumerate() {
                let to = &mut to[o * target.plane + r * target.row..];
                for (v, vector) in row[..V].iter().enumerate() {
                    target.store(to, v * LANES, target.finish(o, vector.to_array()));
                }
            }
        }
    }

    /// A tile of two rows, of which the largest value of each 2x2 window is kept. Adding a bias and ReLU do not change
    /// which value is the largest, so they come after.
    pub(crate) fn pooled[const O: usize, const V: usize][O, V](
        from: Source,
        at: usize,
        weights: &[[f32; O]],
        all: &mut Sums<O>,
        to: &mut [f32],
        target: Target,
    ) as L: Eight {
        sums::<O, 2, V>(from, at, weights, all);
        for (o, [upper, lower]) in all.iter().enumerate() {
            let to = &mut to[o * target.plane..];
            for v in 0..V {
                let (upper, lower) = (L::load(&upper[v]), L::load(&lower[v]));
                let mut rows = [0.0; LANES];
                (upper.larger(lower) | lower.larger(upper)).put(&mut rows); // as `larger`
                let mut windows = [0.0; LANES / 2];
                for l in 0..LANES / 2 {
                    windows[l] = larger(rows[2 * l], rows[2 * l + 1]);
                }
                target.store(to, v * LANES / 2, target.finish(o, windows));
            }
        }
    }
}
