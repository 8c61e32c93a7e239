//! Convolution with 3x3 kernels of stride 1 by minimal filtering (see [`filters`](super::filters)).
//!
//! Over all inputs (or tiles) the products are small matrix products, one for each number of a transformed tile.
//! Everything is on vectors of eight images, like the rest of the direct convolution.

use std::ops::Range;

use l0_lanes::{Eights, Lanes, at_best};

use super::filters::{Apart, Filter, Four, Two};
use super::geometry::Geometry;
use super::tile::{LANES, Meeting, OUTPUTS, POSITIONS, Source, Target, Vector, contract, correlate, even, positions};
use crate::parallel::{Scratch, scratch};

/// Fewer inputs or outputs than this are not worth the transforms.
const LEAST_CHANNELS: usize = 8;

/// Vectors of transformed tiles and their products, 640 kB, that a core's second cache holds.
const CACHED: usize = 20 << 10;

/// Vectors of all points of tiles that wait to be multiplied with others, 2 MB.
const WAITING: usize = 1 << 16;

/// The side of a tile of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Two,
    Four,
}

/// The tiles by which a convolution and its gradients are worth computing, if they are.
pub(super) fn side(g: &Geometry) -> Option<Side> {
    let of = |side: usize| [g.oh, g.ow, g.ih, g.iw].iter().all(|n| n.is_multiple_of(side));
    let plain = g.stride == (1, 1) && g.dilation == (1, 1);
    match (g.kh, g.kw) == (3, 3) && plain && g.ic.min(g.oc) >= LEAST_CHANNELS {
        // The products want as many tiles as positions fit the registers.
        true if of(4) && (g.oh * g.ow).min(g.ih * g.iw) >= 16 * POSITIONS => Some(Side::Four),
        true if of(2) => Some(Side::Two),
        _ => None,
    }
}

impl Side {
    /// Numbers of a transformed tile or kernel.
    fn points(self) -> usize {
        match self {
            Self::Two => 16,
            Self::Four => 36,
        }
    }

    /// Numbers of the sums of a [`Contraction`].
    pub(super) fn sums_len(self, g: &Geometry) -> usize {
        self.points() * g.oc * g.ic
    }

    /// The gradients of kernels (o, i, 3, 3) from the sums of a [`Contraction`], which it adds.
    pub(super) fn add_kernel_gradients(self, sums: &[f32], to: &mut [f32]) {
        match self {
            Self::Two => add_gradients(sums, to, Two::transform_sums),
            Self::Four => add_gradients(sums, to, Four::transform_sums),
        }
    }
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
    side: Side,
    inputs: usize,
    outputs: usize,
    weights: Vec<f32>,
}

impl Kernels {
    /// Transforms the kernels `kernel(output, input)`.
    pub(super) fn new(side: Side, outputs: usize, inputs: usize, kernel: impl Fn(usize, usize) -> [f32; 9]) -> Self {
        let weights = match side {
            Side::Two => ordered(outputs, inputs, |o, i| Two::transform_kernel(kernel(o, i))),
            Side::Four => ordered(outputs, inputs, |o, i| Four::transform_kernel(kernel(o, i))),
        };
        Self { side, inputs, outputs, weights }
    }

    /// `to[o, y, x] = sum over i, u, v of kernel(o, i)[u, v] from[i, y + u, x + v]`, for (h, w) outputs, whole tiles.
    pub(super) fn correlate(&self, from: Planes, size: (usize, usize), to: &mut [Vector]) {
        match self.side {
            Side::Two => self.correlate_by::<Two, 2, 4, 16>(from, size, to),
            Side::Four => self.correlate_by::<Four, 4, 6, 36>(from, size, to),
        }
    }

    fn correlate_by<F: Filter<OUT, IN, POINTS>, const OUT: usize, const IN: usize, const POINTS: usize>(
        &self,
        from: Planes,
        (h, w): (usize, usize),
        to: &mut [Vector],
    ) {
        let Self { inputs, outputs, .. } = *self;
        let most = block(POINTS * (inputs + outputs));
        let (v_step, m_step) = (step(inputs * most), step(outputs * most));
        let (mut v, mut m) = (scratch(POINTS * v_step * LANES), scratch(POINTS * m_step * LANES));
        let (v, m) = (v.eights(), m.eights());
        // Block by block of tiles, so that what one step leaves is still in the cache when the next one reads it:
        // transform, the products, transform back.
        for tiles in blocks(h / OUT * (w / OUT), most) {
            let n = tiles.len();
            let place = Place { step: v_step, row: n, first: 0 };
            let of = Tiles { from, planes: inputs, tiles: tiles.clone(), across: w / OUT, apart: OUT };
            transform_inputs::<F, OUT, IN, POINTS>(&of, v, place);
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
            transform_outputs::<F, OUT, IN, POINTS>(m, m_step, outputs, &tiles, (h, w), to);
        }
    }
}

/// Transformed kernels in the order in which the products meet them.
fn ordered<const POINTS: usize>(
    outputs: usize,
    inputs: usize,
    transformed: impl Fn(usize, usize) -> [f32; POINTS],
) -> Vec<f32> {
    let mut weights = vec![0.0; POINTS * outputs * inputs];
    for (o, len) in even(outputs, OUTPUTS) {
        for (i, l) in (0..inputs).flat_map(|i| (0..len).map(move |l| (i, l))) {
            for (point, weight) in transformed(o + l, i).into_iter().enumerate() {
                weights[(point * outputs + o) * inputs + i * len + l] = weight;
            }
        }
    }
    weights
}

/// The sums over tiles that kernel gradients are made of: transformed tiles of images and of g wait until there are
/// enough of them for the products, whose ends cost as much as some tiles do.
pub(super) struct Contraction {
    side: Side,
    inputs: usize,
    outputs: usize,
    /// Tiles that wait, and for how many there is room.
    waiting: usize,
    most: usize,
    v: Scratch,
    s: Scratch,
}

impl Contraction {
    pub(super) fn new(side: Side, g: &Geometry) -> Self {
        let (inputs, outputs, points) = (g.ic, g.oc, side.points());
        let most = (WAITING / (points * (inputs + outputs))).clamp(2 * POSITIONS, 64);
        let room = |planes: usize| scratch(points * step(planes * most) * LANES);
        Self { side, inputs, outputs, waiting: 0, most, v: room(inputs), s: room(outputs) }
    }

    /// Adds to `sums[point, o, i]` what the tiles of `g`, planes of h x w, and the inputs that they see contribute, now
    /// or with the next ones, at the latest with [`Contraction::finish`].
    pub(super) fn add(&mut self, x: Planes, g: Planes, size: (usize, usize), sums: &mut [f32]) {
        match self.side {
            Side::Two => self.add_by::<Two, 2, 4, 16>(x, g, size, sums),
            Side::Four => self.add_by::<Four, 4, 6, 36>(x, g, size, sums),
        }
    }

    fn add_by<F: Filter<OUT, IN, POINTS>, const OUT: usize, const IN: usize, const POINTS: usize>(
        &mut self,
        x: Planes,
        g: Planes,
        (h, w): (usize, usize),
        sums: &mut [f32],
    ) {
        let (all, mut done) = (h / OUT * (w / OUT), 0);
        while done < all {
            let tiles = done..(done + self.most - self.waiting).min(all);
            let place = |planes: usize| Place { step: step(planes * self.most), row: self.most, first: self.waiting };
            let (of_x, of_g) = (place(self.inputs), place(self.outputs));
            let of = |from, planes| Tiles { from, planes, tiles: tiles.clone(), across: w / OUT, apart: OUT };
            transform_inputs::<F, OUT, IN, POINTS>(&of(x, self.inputs), self.v.eights(), of_x);
            transform_gradients::<F, OUT, IN, POINTS>(&of(g, self.outputs), self.s.eights(), of_g);
            self.waiting += tiles.len();
            if self.waiting == self.most {
                self.finish(sums);
            }
            done = tiles.end;
        }
    }

    /// Adds what waits.
    pub(super) fn finish(&mut self, sums: &mut [f32]) {
        let Self { inputs, outputs, most, .. } = *self;
        // Transformed sums of many blocks and images are added as they are; only their total is transformed back, since
        // that is linear.
        let meeting = Meeting { rows: 1, width: std::mem::take(&mut self.waiting), x_stride: 0, g_stride: 0 };
        let all =
            self.v.eights().chunks_exact(step(inputs * most)).zip(self.s.eights().chunks_exact(step(outputs * most)));
        for ((v, s), sums) in all.zip(sums.chunks_exact_mut(outputs * inputs)) {
            for (i, i_len) in even(inputs, positions()) {
                let x_at: [usize; POSITIONS] = std::array::from_fn(|k| (i + k) * most);
                for (o, o_len) in even(outputs, OUTPUTS) {
                    let g_at: [usize; OUTPUTS] = std::array::from_fn(|k| (o + k) * most);
                    let to = &mut sums[o * inputs + i..];
                    contract(v, s, meeting, &x_at[..i_len], &g_at[..o_len], to, inputs);
                }
            }
        }
    }
}

fn add_gradients<const POINTS: usize>(sums: &[f32], to: &mut [f32], back: impl Fn([f32; POINTS]) -> [f32; 9]) {
    let (to, _) = to.as_chunks_mut::<9>();
    let kernels = to.len();
    for (at, to) in to.iter_mut().enumerate() {
        let gradient = back(std::array::from_fn(|point| sums[point * kernels + at]));
        to.iter_mut().zip(gradient).for_each(|(to, gradient)| *to += gradient);
    }
}

/// Most tiles of a block, so that their transforms, of so many numbers a tile in all, stay in a cache.
fn block(numbers: usize) -> usize {
    (CACHED / numbers).clamp(POSITIONS, 64) / POSITIONS * POSITIONS
}

fn blocks(tiles: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    (0..tiles).step_by(most).map(move |start| start..(start + most).min(tiles))
}

/// Vectors from one point to the next: odd, so that the points do not fall on the same places of a cache.
fn step(vectors: usize) -> usize {
    (vectors + 2) | 1
}

/// Where transformed tiles go: number p of tile n of plane i is `p * step + i * row + first + n`.
#[derive(Clone, Copy)]
struct Place {
    step: usize,
    row: usize,
    first: usize,
}

/// Some tiles of a stack of planes.
struct Tiles<'a> {
    from: Planes<'a>,
    planes: usize,
    /// Which tiles, how many of them are beside each other, and how far apart their corners are.
    tiles: Range<usize>,
    across: usize,
    apart: usize,
}

impl<'a> Tiles<'a> {
    /// Plane i, from its first tile on.
    #[inline(always)]
    fn plane(&self, i: usize) -> &'a [Vector] {
        &self.from.data[i * self.from.plane + self.from.first..]
    }

    /// Where a tile of a plane begins.
    #[inline(always)]
    fn corner(&self, tile: usize) -> usize {
        tile / self.across * self.apart * self.from.width + tile % self.across * self.apart
    }

    /// The rows of a tile.
    #[inline(always)]
    fn rows<V: Eights, const SIDE: usize>(&self, plane: &[Vector], corner: usize) -> [[V; SIDE]; SIDE] {
        let mut rows = [[V::zero(); SIDE]; SIDE];
        for y in 0..SIDE {
            let row: &[Vector; SIDE] =
                plane[corner + y * self.from.width..].first_chunk().expect("a tile lies within its plane");
            for x in 0..SIDE {
                rows[y][x] = V::load(&row[x]);
            }
        }
        rows
    }
}

at_best! {
    /// `B' d B` of some tiles. Point by point apart, tile beside tile: each point's numbers become one matrix (plane,
    /// tile).
    fn transform_inputs[F: Filter<OUT, IN, POINTS>, const OUT: usize, const IN: usize, const POINTS: usize][F, OUT, IN, POINTS](
        of: &Tiles,
        to: &mut [Vector],
        place: Place,
    ) as V: Eight {
        for i in 0..of.planes {
            let (plane, first) = (of.plane(i), i * place.row + place.first);
            for (n, tile) in of.tiles.clone().enumerate() {
                let rows = of.rows::<V, IN>(plane, of.corner(tile));
                F::input(rows, Apart { data: &mut *to, at: first + n, step: place.step });
            }
        }
    }

    /// `A g A'` of some tiles, laid out the same way.
    fn transform_gradients[F: Filter<OUT, IN, POINTS>, const OUT: usize, const IN: usize, const POINTS: usize][F, OUT, IN, POINTS](
        of: &Tiles,
        to: &mut [Vector],
        place: Place,
    ) as V: Eight {
        for i in 0..of.planes {
            let (plane, first) = (of.plane(i), i * place.row + place.first);
            for (n, tile) in of.tiles.clone().enumerate() {
                let rows = of.rows::<V, OUT>(plane, of.corner(tile));
                F::gradient(rows, Apart { data: &mut *to, at: first + n, step: place.step });
            }
        }
    }

    /// `A' m A` of every tile, put where its outputs are.
    fn transform_outputs[F: Filter<OUT, IN, POINTS>, const OUT: usize, const IN: usize, const POINTS: usize][F, OUT, IN, POINTS](
        m: &[Vector],
        step: usize,
        outputs: usize,
        tiles: &Range<usize>,
        size: (usize, usize),
        to: &mut [Vector],
    ) as V: Eight {
        let (h, w) = size;
        for (o, plane) in to.chunks_exact_mut(h * w).take(outputs).enumerate() {
            for (n, tile) in tiles.clone().enumerate() {
                let rows = F::output::<V>(Apart { data: m, at: o * tiles.len() + n, step });
                let corner = tile / (w / OUT) * OUT * w + tile % (w / OUT) * OUT;
                for y in 0..OUT {
                    let to = &mut plane[corner + y * w..][..OUT];
                    for x in 0..OUT {
                        rows[y][x].store(&mut to[x]);
                    }
                }
            }
        }
    }
}
