//! A plane as windows see it: what a window reads is then a mere shift, whatever its stride, dilation and padding.
//!
//! With strides (s, t) the plane, padding around it, is kept as planes of every s-th row and every t-th column, each
//! `width` numbers wide, row after row. Number (u, v) of the window of result (y, x) is then at
//! `shift(u, v) + y width + x`: results are computed in runs of eight across rows, however narrow the rows are, and those
//! that fall between the end of one and the beginning of the next are left out at the end.

use std::ops::Range;

use l0_lanes::{Eight, Eights, Lanes, at_best};

use crate::parallel::{Scratch, scratch};

/// Numbers side by side in a vector.
pub(crate) const LANES: usize = 8;

/// Vectors of results that a tile holds in registers.
const TILE: usize = 4;

/// One side of a plane, rows or columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side {
    /// Numbers of the image, and of the result.
    pub(crate) input: usize,
    pub(crate) output: usize,
    /// Numbers of a window, the distance between them, and that from window to window.
    pub(crate) size: usize,
    pub(crate) dilation: usize,
    pub(crate) stride: usize,
    /// Padding before the image.
    pub(crate) before: usize,
}

impl Side {
    /// How far, in strides, the last number of a window lies beyond its first.
    fn reach(&self) -> usize {
        (self.size - 1) * self.dilation / self.stride
    }

    /// Numbers of a plane of every stride-th number that windows read.
    fn read(&self) -> usize {
        self.output + self.reach()
    }

    /// The rests of the numbers that windows read, in order: no more than a window has numbers, however long the stride.
    fn rests(&self) -> Vec<usize> {
        let mut rests: Vec<usize> = (0..self.size).map(|i| i * self.dilation % self.stride).collect();
        rests.sort_unstable();
        rests.dedup();
        rests
    }

    /// Which numbers of the plane with this rest are in the image, and the first of them there.
    fn inside(&self, rest: usize) -> (Range<usize>, usize) {
        let first = self.before.saturating_sub(rest).div_ceil(self.stride);
        let end = (self.before + self.input).saturating_sub(rest).div_ceil(self.stride).min(self.read());
        if first >= end { (0..0, 0) } else { (first..end, first * self.stride + rest - self.before) }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Lattice {
    pub(crate) rows: Side,
    pub(crate) columns: Side,
    /// Where each number of a window is read, row by row.
    pub(crate) shifts: Vec<usize>,
    planes: Vec<Plane>,
}

/// One of the planes: every so manyth row and column of a padded image.
#[derive(Debug, Clone)]
struct Plane {
    /// First row and column.
    rests: (usize, usize),
    /// Which numbers of a window are read from it, and where a spread result is for them: see [`Lattice::back`].
    met: Vec<usize>,
    back: Vec<usize>,
}

impl Lattice {
    pub(crate) fn new(rows: Side, columns: Side) -> Self {
        let (down, across) = (rows.rests(), columns.rests());
        let rests = down.iter().flat_map(|&r| across.iter().map(move |&c| (r, c)));
        let planes = rests.map(|rests| Plane { rests, met: vec![], back: vec![] }).collect();
        let mut lattice = Self { rows, columns, shifts: vec![], planes };
        for i in 0..rows.size * columns.size {
            let (which, back) = (lattice.plane_of(i), lattice.after(i));
            lattice.shifts.push(which * lattice.plane() + back);
            let lead = lattice.lead();
            lattice.planes[which].met.push(i);
            lattice.planes[which].back.push(lead - back);
        }
        lattice
    }

    /// Row and column, in the image's numbers, of number i of a window.
    fn offset(&self, i: usize) -> (usize, usize) {
        (i / self.columns.size * self.rows.dilation, i % self.columns.size * self.columns.dilation)
    }

    /// Which plane number i of a window is read from.
    fn plane_of(&self, i: usize) -> usize {
        let (y, x) = self.offset(i);
        let rests = (y % self.rows.stride, x % self.columns.stride);
        self.planes.partition_point(|plane| plane.rests < rests)
    }

    /// How far after the first number of a window number i is read within its plane.
    fn after(&self, i: usize) -> usize {
        let (y, x) = self.offset(i);
        y / self.rows.stride * self.width() + x / self.columns.stride
    }

    /// Numbers of a row of a plane.
    pub(crate) fn width(&self) -> usize {
        self.columns.read()
    }

    /// Numbers of a plane.
    fn plane(&self) -> usize {
        self.rows.read() * self.width()
    }

    /// Numbers of an image of (h, w).
    pub(crate) fn input(&self) -> usize {
        self.rows.input * self.columns.input
    }

    /// Numbers of a result.
    pub(crate) fn output(&self) -> usize {
        self.rows.output * self.columns.output
    }

    /// Numbers from the first result to the last, those between rows with them, in whole vectors.
    pub(crate) fn results(&self) -> usize {
        ((self.rows.output - 1) * self.width() + self.columns.output).next_multiple_of(LANES)
    }

    /// Numbers of all planes, with what the last vector reads beyond them.
    fn packed(&self) -> usize {
        self.planes.len() * self.plane() + LANES
    }

    /// A buffer for the planes of an image, `outside` around it. One image after the other may be packed into it.
    pub(crate) fn planes(&self, outside: f32) -> Scratch {
        filled(self.packed(), outside)
    }

    /// The planes of an image.
    pub(crate) fn pack(&self, image: &[f32], to: &mut [f32]) {
        self.each_run(|at, from, len| {
            let (to, from) = (&mut to[at..at + len], &image[from..]);
            match self.columns.stride {
                1 => copy(to, &from[..len]),
                2 => copy_seconds(to, from),
                stride => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, x)| *to = *x),
            }
        });
    }

    /// What the planes hold at the places of an image; numbers of it that no window reads stay as they are.
    pub(crate) fn unpack(&self, planes: &[f32], image: &mut [f32]) {
        self.each_run(|at, to, len| {
            let (from, to) = (&planes[at..at + len], &mut image[to..]);
            match self.columns.stride {
                1 => copy(&mut to[..len], from),
                stride => to.iter_mut().step_by(stride).zip(from).for_each(|(to, x)| *to = *x),
            }
        });
    }

    /// Calls `f(place in the planes, first number of the image, numbers)` for each row of each plane.
    fn each_run(&self, mut f: impl FnMut(usize, usize, usize)) {
        for (which, plane) in self.planes.iter().enumerate() {
            let ((ys, y0), (xs, x0)) = (self.rows.inside(plane.rests.0), self.columns.inside(plane.rests.1));
            for (step, y) in ys.enumerate() {
                let from = (y0 + step * self.rows.stride) * self.columns.input + x0;
                f(which * self.plane() + y * self.width() + xs.start, from, xs.len());
            }
        }
    }

    /// Which number of the image number i of the window of result (y, x) is, if it is none of the padding.
    pub(crate) fn pixel(&self, y: usize, x: usize, i: usize) -> Option<usize> {
        let (down, right) = self.offset(i);
        let row = (y * self.rows.stride + down).checked_sub(self.rows.before)?;
        let column = (x * self.columns.stride + right).checked_sub(self.columns.before)?;
        (row < self.rows.input && column < self.columns.input).then_some(row * self.columns.input + column)
    }

    /// Zeros before results on their way back.
    pub(crate) fn lead(&self) -> usize {
        self.rows.reach() * self.width() + self.columns.reach()
    }

    /// A buffer for a result on its way back: its rows `width` apart, zeros between and around them.
    pub(crate) fn room(&self) -> Scratch {
        filled(self.lead() + self.plane() + 2 * LANES, 0.0)
    }

    /// Puts a result into its room.
    pub(crate) fn spread(&self, g: &[f32], to: &mut [f32]) {
        let rows = to[self.lead()..].chunks_mut(self.width());
        rows.zip(g.chunks_exact(self.columns.output)).for_each(|(to, g)| copy(&mut to[..g.len()], g));
    }

    /// The rows of a result, from vectors of it.
    pub(crate) fn rows_of<'a>(&self, results: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        let (rows, columns, width) = (self.rows.output, self.columns.output, self.width());
        (0..rows).map(move |y| &results[y * width..][..columns])
    }

    /// The gradient that a spread result gives the planes, added to what they hold if `add`: number j of a plane gets
    /// `weights[i] g[j - back(i)]` for each number i of a window that is read from it.
    pub(crate) fn back(&self, g: &[f32], weights: &[f32], planes: &mut [f32], add: bool) {
        if let [plane] = self.planes.as_slice() {
            return correlate(g, &plane.back, weights, &mut planes[..self.plane()], add); // in the order of the window
        }
        for (plane, to) in self.planes.iter().zip(planes.chunks_exact_mut(self.plane())) {
            let weights: Vec<f32> = plane.met.iter().map(|&i| weights[i]).collect();
            correlate(g, &plane.back, &weights, to, add);
        }
    }
}

/// Eight numbers side by side.
pub(crate) type Vector = Eight;

/// Rows longer than this are copied by the system's `memmove`, whose call costs as much as a short row.
const SHORT: usize = 96;

/// A row, eight numbers at a time; the last eight may overlap those before.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    let n = to.len().min(from.len());
    if !(LANES..=SHORT).contains(&n) {
        return to[..n].copy_from_slice(&from[..n]);
    }
    for at in (0..n).step_by(LANES) {
        let at = at.min(n - LANES);
        to[at..at + LANES].copy_from_slice(&from[at..at + LANES]);
    }
}

/// Every second number, from the first on.
fn copy_seconds(to: &mut [f32], from: &[f32]) {
    let (pairs, rest) = from.as_chunks::<2>();
    to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
    if let (Some(to), [last]) = (to.get_mut(pairs.len()), rest) {
        *to = *last;
    }
}

/// A buffer of one number.
fn filled(len: usize, x: f32) -> Scratch {
    let mut buffer = scratch(len);
    buffer.fill(x);
    buffer
}

at_best! {
    /// `to[j] = sum over i of weights[i] x[shifts[i] + j]`, added to what is there if `add`.
    pub(crate) fn correlate(x: &[f32], shifts: &[usize], weights: &[f32], to: &mut [f32], add: bool) as V: Eight {
        let (tiles, rest) = to.as_chunks_mut::<{ TILE * LANES }>();
        let done = tiles.len() * TILE * LANES;
        for (at, tile) in tiles.iter_mut().enumerate() {
            put(tile, weighted::<V, TILE>(x, at * TILE * LANES, shifts, weights), add);
        }
        let (eights, rest) = rest.as_chunks_mut::<LANES>();
        for (at, eight) in eights.iter_mut().enumerate() {
            put(eight, weighted::<V, 1>(x, done + at * LANES, shifts, weights), add);
        }
        if !rest.is_empty() {
            let [sum] = weighted::<V, 1>(x, done + eights.len() * LANES, shifts, weights);
            let mut sums = [0.0; LANES];
            sum.put(&mut sums);
            rest.iter_mut().zip(sums).for_each(|(to, sum)| *to = if add { *to + sum } else { sum });
        }
    }
}

#[inline(always)]
fn put<V: Eights, const T: usize>(to: &mut [f32], sums: [V; T], add: bool) {
    for (to, sum) in to.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
        if add { V::of(to) + sum } else { sum }.put(to);
    }
}

#[inline(always)]
fn weighted<V: Eights, const T: usize>(x: &[f32], at: usize, shifts: &[usize], weights: &[f32]) -> [V; T] {
    let mut sums = [V::zero(); T];
    for (shift, weight) in shifts.iter().zip(weights) {
        let (weight, eights) = (V::splat(*weight), eights::<V, T>(x, at + shift));
        for t in 0..T {
            sums[t] = weight.mul_add(eights[t], sums[t]);
        }
    }
    sums
}

/// T vectors from a place on.
#[inline(always)]
pub(crate) fn eights<V: Eights, const T: usize>(x: &[f32], at: usize) -> [V; T] {
    let (numbers, _) = x[at..at + T * LANES].as_chunks::<LANES>();
    let mut eights = [V::zero(); T];
    for t in 0..T {
        eights[t] = V::of(&numbers[t]);
    }
    eights
}

at_best! {
    /// Adds `x[shifts[i] + j] g[j]` for all j to vector i of the sums.
    pub(crate) fn contract(x: &[f32], shifts: &[usize], g: &[f32], sums: &mut [Vector]) as V: Eight {
        // Nine sums are work enough for the arithmetic to wait for none of them; fewer are kept in two halves each.
        let ((nines, shifts), (nine_sums, sums)) = (shifts.as_chunks(), sums.as_chunks_mut());
        for (shifts, sums) in nines.iter().zip(nine_sums) {
            dots::<V, 9, 1>(x, *shifts, g, sums);
        }
        let ((threes, shifts), (three_sums, sums)) = (shifts.as_chunks(), sums.as_chunks_mut());
        for (shifts, sums) in threes.iter().zip(three_sums) {
            dots::<V, 3, 2>(x, *shifts, g, sums);
        }
        let (ones, one_sums) = (shifts.as_chunks().0, sums.as_chunks_mut().0);
        for (shift, sum) in ones.iter().zip(one_sums) {
            dots::<V, 1, 2>(x, *shift, g, sum);
        }
    }
}

#[inline(always)]
fn dots<V: Eights, const K: usize, const PARTS: usize>(
    x: &[f32],
    shifts: [usize; K],
    g: &[f32],
    sums: &mut [Vector; K],
) {
    let mut parts = [[V::zero(); K]; PARTS];
    let (eights_of_g, _) = g.as_chunks::<LANES>();
    for (at, g) in eights_of_g.iter().enumerate() {
        let (g, part) = (V::of(g), &mut parts[at % PARTS]);
        for k in 0..K {
            part[k] = g.mul_add(eights::<V, 1>(x, shifts[k] + at * LANES)[0], part[k]);
        }
    }
    for k in 0..K {
        let mut sum = V::zero();
        for part in &parts {
            sum += part[k];
        }
        (V::load(&sums[k]) + sum).store(&mut sums[k]);
    }
}
