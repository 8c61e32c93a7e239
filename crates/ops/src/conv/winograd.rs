//! Convolution with 3x3 kernels of stride 1 by minimal filtering: 16 multiplications for four outputs in place of 36.
//!
//! A tile of 2x2 outputs Y sees 4x4 inputs d. With w the kernel, `*` number by number and `'` transposed,
//! `Y = A' [(G w G') * (B' d B)] A` (Winograd 1980; Lavin and Gray 2015, arXiv 1509.09308), and so for a gradient g of Y
//! `dw = G' [(A g A') * (B' d B)] G`. Over all inputs (or tiles) the products are 16 small matrix products, one for each
//! number of a 4x4 tile. Everything is on vectors of eight images, like the rest of the direct convolution.

use std::ops::Range;

use super::geometry::Geometry;
use super::tile::{LANES, Meeting, OUTPUTS, POSITIONS, Source, Target, Vector, contract, correlate, even};
use crate::parallel::scratch;

/// Numbers of a transformed tile or kernel.
const POINTS: usize = 16;

/// Fewer inputs or outputs than this are not worth the transforms.
const LEAST_CHANNELS: usize = 8;

/// Vectors of one point of transformed tiles, 256 kB, that a core's second cache holds beside what it streams.
const CACHED: usize = 1 << 13;

type Tile<const N: usize> = [[Vector; N]; N];

/// Whether a convolution and its gradients are worth computing so.
pub(super) fn serves(g: &Geometry) -> bool {
    let even = [g.oh, g.ow, g.ih, g.iw].iter().all(|side| side.is_multiple_of(2));
    let plain = g.stride == (1, 1) && g.dilation == (1, 1);
    (g.kh, g.kw) == (3, 3) && plain && even && g.ic.min(g.oc) >= LEAST_CHANNELS
}

/// Stacked planes of vectors: number (y, x) of plane i is `data[i * plane + first + y * width + x]`.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a> {
    pub(super) data: &'a [Vector],
    pub(super) plane: usize,
    pub(super) first: usize,
    pub(super) width: usize,
}

/// Transformed kernels, for each point and each tile of outputs (input, output).
pub(super) struct Kernels {
    inputs: usize,
    outputs: usize,
    weights: Vec<f32>,
}

impl Kernels {
    /// Transforms the kernels `kernel(output, input)`.
    pub(super) fn new(outputs: usize, inputs: usize, kernel: impl Fn(usize, usize) -> [f32; 9]) -> Self {
        let mut weights = vec![0.0; POINTS * outputs * inputs];
        for (o, len) in even(outputs, OUTPUTS) {
            for i in 0..inputs {
                for l in 0..len {
                    for (point, weight) in transform_kernel(kernel(o + l, i)).into_iter().enumerate() {
                        weights[(point * outputs + o) * inputs + i * len + l] = weight;
                    }
                }
            }
        }
        Self { inputs, outputs, weights }
    }

    /// `to[o, y, x] = sum over i, u, v of kernel(o, i)[u, v] from[i, y + u, x + v]`, for (h, w) outputs, both even.
    pub(super) fn correlate(&self, from: Planes, (h, w): (usize, usize), to: &mut [Vector]) {
        let Self { inputs, outputs, .. } = *self;
        let most = block(inputs + outputs);
        let (v_step, m_step) = (step(inputs * most), step(outputs * most));
        let (mut v, mut m) = (scratch(POINTS * v_step * LANES), scratch(POINTS * m_step * LANES));
        let (v, m) = (v.eights(), m.eights());
        // Block by block of tiles, so that what one step leaves is still in the cache when the next one reads it:
        // transform, sixteen products, transform back.
        for tiles in blocks(h / 2 * (w / 2), most) {
            let n = tiles.len();
            transform_tiles((from, inputs), (&tiles, w / 2), transform_input, v, v_step);
            // A product of matrices is a convolution of one plane whose "kernel offsets" are the inputs: the same tile
            // of sums in registers serves both.
            let shifts: Vec<usize> = (0..inputs).map(|i| i * n).collect();
            let all = v.chunks_exact(v_step).zip(m.chunks_exact_mut(m_step));
            for ((v, m), weights) in all.zip(self.weights.chunks_exact(outputs * inputs)) {
                let v = &v[..inputs * n];
                let from = Source { data: v, plane: v.len(), shifts: &shifts, first: 0, end: inputs };
                for (o, len) in even(outputs, OUTPUTS) {
                    let weights = &weights[o * inputs..][..len * inputs];
                    correlate(from, 0, n, weights, len, m, Target { at: o * n, plane: n, step: 1 });
                }
            }
            transform_outputs(m, m_step, outputs, &tiles, (h, w), to);
        }
    }
}

/// Adds to `sums[point, o, i]` what the tiles of `g` (`outputs` planes of h x w) and the inputs that they see contribute.
pub(super) fn contract_tiles(
    x: Planes,
    g: Planes,
    (outputs, inputs): (usize, usize),
    (h, w): (usize, usize),
    sums: &mut [f32],
) {
    let most = block(inputs + outputs);
    let (x_step, g_step) = (step(inputs * most), step(outputs * most));
    let (mut v, mut s) = (scratch(POINTS * x_step * LANES), scratch(POINTS * g_step * LANES));
    let (v, s) = (v.eights(), s.eights());
    for tiles in blocks(h / 2 * (w / 2), most) {
        let n = tiles.len();
        transform_tiles((x, inputs), (&tiles, w / 2), transform_input, v, x_step);
        transform_tiles((g, outputs), (&tiles, w / 2), transform_gradient, s, g_step);
        // Transformed sums of many blocks and images are added as they are; only their total is transformed back, since
        // that is linear.
        let meeting = Meeting { rows: 1, width: n, x_stride: 0, g_stride: 0 };
        let all = v.chunks_exact(x_step).zip(s.chunks_exact(g_step));
        for ((v, s), sums) in all.zip(sums.chunks_exact_mut(outputs * inputs)) {
            for (i, i_len) in even(inputs, POSITIONS) {
                let x_at: [usize; POSITIONS] = std::array::from_fn(|k| (i + k) * n);
                for (o, o_len) in even(outputs, OUTPUTS) {
                    let g_at: [usize; OUTPUTS] = std::array::from_fn(|k| (o + k) * n);
                    let to = &mut sums[o * inputs + i..];
                    contract(v, s, meeting, &x_at[..i_len], &g_at[..o_len], to, inputs);
                }
            }
        }
    }
}

/// Numbers of the sums of [`contract_tiles`].
pub(super) fn sums_len(g: &Geometry) -> usize {
    POINTS * g.oc * g.ic
}

/// The gradients of kernels (o, i, 3, 3) from the sums of [`contract_tiles`], which it adds.
pub(super) fn add_kernel_gradients(sums: &[f32], to: &mut [f32]) {
    let (to, _) = to.as_chunks_mut::<9>();
    let kernels = to.len();
    for (at, to) in to.iter_mut().enumerate() {
        let gradient = transform_sums(std::array::from_fn(|point| sums[point * kernels + at]));
        to.iter_mut().zip(gradient).for_each(|(to, gradient)| *to += gradient);
    }
}

/// Most tiles of a block, so that one point of their transforms, of so many planes in all, stays in a cache.
fn block(planes: usize) -> usize {
    (CACHED / planes).clamp(2 * POSITIONS, 64) / POSITIONS * POSITIONS
}

fn blocks(tiles: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    (0..tiles).step_by(most).map(move |start| start..(start + most).min(tiles))
}

/// Vectors from one point to the next: odd, so that the points do not fall on the same places of a cache.
fn step(vectors: usize) -> usize {
    (vectors + 2) | 1
}

/// `B' d B`: what the products want of a tile of inputs.
#[inline(always)]
fn transform_input(d: Tile<4>) -> Tile<4> {
    // One dimension of B', applied to rows and, turned, to columns: four differences, no multiplication.
    let see = |[a, b, c, d]: [Vector; 4]| [a - c, b + c, c - b, b - d];
    transposed(transposed(d.map(see)).map(see))
}

/// `A g A'`: what the products want of a tile of gradients.
#[inline(always)]
fn transform_gradient(g: Tile<2>) -> Tile<4> {
    let spread = |[a, b]: [Vector; 2]| [a, a + b, a - b, -b];
    let [top, bottom] = g.map(spread);
    transposed(std::array::from_fn(|x| spread([top[x], bottom[x]])))
}

/// Transforms some of the tiles, `across` of them beside each other, of so many planes: point, plane, tile.
fn transform_tiles<const N: usize>(
    (from, planes): (Planes, usize),
    (tiles, across): (&Range<usize>, usize),
    transform: impl Fn(Tile<N>) -> Tile<4>,
    to: &mut [Vector],
    step: usize,
) {
    let mut points = points_mut(to, step);
    for i in 0..planes {
        let plane = &from.data[i * from.plane + from.first..];
        // Point by point apart, tile beside tile: each point's numbers become one matrix (plane, tile).
        let mut places = points.each_mut().map(|point| &mut point[i * tiles.len()..][..tiles.len()]);
        for (n, tile) in tiles.clone().enumerate() {
            let corner = tile / across * 2 * from.width + tile % across * 2;
            let seen: Tile<N> = std::array::from_fn(|y| std::array::from_fn(|x| plane[corner + y * from.width + x]));
            let transformed = transform(seen);
            for (place, value) in places.iter_mut().zip(transformed.as_flattened()) {
                place[n] = *value;
            }
        }
    }
}

/// `A' m A` of every tile, put where its outputs are.
fn transform_outputs(
    m: &[Vector],
    step: usize,
    outputs: usize,
    tiles: &Range<usize>,
    (h, w): (usize, usize),
    to: &mut [Vector],
) {
    let gather = |[a, b, c, d]: [Vector; 4]| [a + b + c, b - c - d];
    for (o, plane) in to.chunks_exact_mut(h * w).take(outputs).enumerate() {
        let places: [&[Vector]; POINTS] =
            std::array::from_fn(|point| &m[point * step + o * tiles.len()..][..tiles.len()]);
        for (n, tile) in tiles.clone().enumerate() {
            let m: Tile<4> = std::array::from_fn(|y| std::array::from_fn(|x| places[4 * y + x][n]));
            let rows = m.map(gather);
            let corner = tile / (w / 2) * 2 * w + tile % (w / 2) * 2;
            for x in 0..2 {
                let [top, bottom] = gather(rows.map(|row| row[x]));
                (plane[corner + x], plane[corner + w + x]) = (top, bottom);
            }
        }
    }
}

/// `G w G'`.
fn transform_kernel(w: [f32; 9]) -> [f32; POINTS] {
    let widen = |[a, b, c]: [f32; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let rows: [[f32; 4]; 3] = std::array::from_fn(|y| widen([w[3 * y], w[3 * y + 1], w[3 * y + 2]]));
    let columns: [[f32; 4]; 4] = std::array::from_fn(|x| widen(rows.map(|row| row[x])));
    std::array::from_fn(|point| columns[point % 4][point / 4])
}

/// `G' s G`.
fn transform_sums(s: [f32; POINTS]) -> [f32; 9] {
    let narrow = |[a, b, c, d]: [f32; 4]| [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d];
    let rows: [[f32; 3]; 4] = std::array::from_fn(|y| narrow([s[4 * y], s[4 * y + 1], s[4 * y + 2], s[4 * y + 3]]));
    let columns: [[f32; 3]; 3] = std::array::from_fn(|x| narrow(rows.map(|row| row[x])));
    std::array::from_fn(|at| columns[at % 3][at / 3])
}

/// The parts of the points, one after the other.
fn points_mut(data: &mut [Vector], step: usize) -> [&mut [Vector]; POINTS] {
    let mut points = data.chunks_exact_mut(step);
    std::array::from_fn(|_| points.next().unwrap_or_default())
}

fn transposed(tile: Tile<4>) -> Tile<4> {
    std::array::from_fn(|y| std::array::from_fn(|x| tile[x][y]))
}
