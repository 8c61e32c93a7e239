//! A plane as windows see it: what a window reads is then a mere shift, whatever its stride, dilation and padding.
//!
//! With strides (s, t) the plane, padding around it, is kept as planes of every s-th row and every t-th column, each
//! `width` numbers wide, row after row. Number (u, v) of the window of result (y, x) is then at
//! `shift(u, v) + y width + x`: results are computed in runs of eight across rows, however narrow the rows are, and those
//! that fall between the end of one and the beginning of the next are left out at the end.

use std::ops::Range;

use wide::f32x8;

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

    /// Whether windows read the numbers with this rest.
    fn meets(&self, rest: usize) -> bool {
        (0..self.size).any(|i| i * self.dilation % self.stride == rest)
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
    /// Which numbers of a window are read from it, and where a spread result is for them: see [`Lattice::add_back`].
    met: Vec<usize>,
    back: Vec<usize>,
}

impl Lattice {
    pub(crate) fn new(rows: Side, columns: Side) -> Self {
        let rests = (0..rows.stride).flat_map(|r| (0..columns.stride).map(move |c| (r, c)));
        let met = rests.filter(|&(r, c)| rows.meets(r) && columns.meets(c));
        let planes = met.map(|rests| Plane { rests, met: vec![], back: vec![] }).collect();
        let mut lattice = Self { rows, columns, shifts: vec![], planes };
        for i in 0..rows.size * columns.size {
            let (which, back) = (lattice.plane_of(i), lattice.back(i));
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
    fn back(&self, i: usize) -> usize {
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
    pub(crate) fn packed(&self) -> usize {
        self.planes.len() * self.plane() + LANES
    }

    /// The planes of an image, `outside` around it.
    pub(crate) fn pack(&self, image: &[f32], outside: f32, to: &mut [f32]) {
        to.fill(outside);
        self.each_run(|at, from, len| {
            let (to, from) = (&mut to[at..at + len], &image[from..]);
            match self.columns.stride {
                1 => to.copy_from_slice(&from[..len]),
                2 => copy_every(to, from, 2), // the compiler unrolls it
                stride => copy_every(to, from, stride),
            }
        });
    }

    /// Adds up what the planes hold at the places of the image.
    pub(crate) fn add_unpacked(&self, planes: &[f32], image: &mut [f32]) {
        self.each_run(|at, to, len| {
            let runs = image[to..].iter_mut().step_by(self.columns.stride).zip(&planes[at..at + len]);
            runs.for_each(|(to, x)| *to += x);
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

    /// Numbers of a result on its way back: see [`Self::spread`].
    pub(crate) fn spread_len(&self) -> usize {
        self.lead() + self.plane() + 2 * LANES
    }

    /// A result with its rows `width` apart, zeros between and around them.
    pub(crate) fn spread(&self, g: &[f32], to: &mut [f32]) {
        to.fill(0.0);
        let rows = to[self.lead()..].chunks_mut(self.width());
        rows.zip(g.chunks_exact(self.columns.output)).for_each(|(to, g)| to[..g.len()].copy_from_slice(g));
    }

    /// The rows of a result, from vectors of it.
    pub(crate) fn rows_of<'a>(&self, results: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        let (rows, columns, width) = (self.rows.output, self.columns.output, self.width());
        (0..rows).map(move |y| &results[y * width..][..columns])
    }

    /// Adds to the planes the gradient that a spread result gives them: number j of a plane gets
    /// `weights[i] g[j - back(i)]` for each number i of a window that is read from it.
    pub(crate) fn add_back(&self, g: &[f32], weights: &[f32], planes: &mut [f32]) {
        for (plane, to) in self.planes.iter().zip(planes.chunks_exact_mut(self.plane())) {
            let weights: Vec<f32> = plane.met.iter().map(|&i| weights[i]).collect();
            correlate(g, &plane.back, &weights, to);
        }
    }
}

/// Eight numbers side by side.
pub(crate) type Vector = f32x8;

fn copy_every(to: &mut [f32], from: &[f32], stride: usize) {
    to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, x)| *to = *x);
}

/// `to[j] += sum over i of weights[i] x[shifts[i] + j]`.
pub(crate) fn correlate(x: &[f32], shifts: &[usize], weights: &[f32], to: &mut [f32]) {
    let (tiles, rest) = to.as_chunks_mut::<{ TILE * LANES }>();
    let done = tiles.len() * TILE * LANES;
    for (at, tile) in tiles.iter_mut().enumerate() {
        add::<TILE>(tile, weighted(x, at * TILE * LANES, shifts, weights));
    }
    let (eights, rest) = rest.as_chunks_mut::<LANES>();
    for (at, eight) in eights.iter_mut().enumerate() {
        add::<1>(eight, weighted(x, done + at * LANES, shifts, weights));
    }
    if !rest.is_empty() {
        let [sum] = weighted(x, done + eights.len() * LANES, shifts, weights);
        rest.iter_mut().zip(sum.to_array()).for_each(|(to, sum)| *to += sum);
    }
}

#[inline(always)]
fn add<const T: usize>(to: &mut [f32], sums: [Vector; T]) {
    for (to, sum) in to.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
        *to = (Vector::from(*to) + sum).to_array();
    }
}

#[inline(always)]
fn weighted<const T: usize>(x: &[f32], at: usize, shifts: &[usize], weights: &[f32]) -> [Vector; T] {
    let mut sums = [Vector::ZERO; T];
    for (shift, weight) in shifts.iter().zip(weights) {
        let (weight, eights) = (Vector::splat(*weight), eights::<T>(x, at + shift));
        for t in 0..T {
            sums[t] = weight.mul_add(eights[t], sums[t]);
        }
    }
    sums
}

/// T vectors from a place on.
#[inline(always)]
pub(crate) fn eights<const T: usize>(x: &[f32], at: usize) -> [Vector; T] {
    let (eights, _) = x[at..at + T * LANES].as_chunks::<LANES>();
    std::array::from_fn(|t| Vector::from(eights[t]))
}

/// Adds `x[shifts[i] + j] g[j]` for all j to vector i of the sums.
pub(crate) fn contract(x: &[f32], shifts: &[usize], g: &[f32], sums: &mut [Vector]) {
    let (shifts, rest) = shifts.as_chunks::<3>();
    let (sums, sums_rest) = sums.as_chunks_mut::<3>();
    shifts.iter().zip(sums).for_each(|(shifts, sums)| dots(x, *shifts, g, sums));
    rest.as_chunks().0.iter().zip(sums_rest.as_chunks_mut().0).for_each(|(shift, sum)| dots::<1>(x, *shift, g, sum));
}

#[inline(always)]
fn dots<const K: usize>(x: &[f32], shifts: [usize; K], g: &[f32], sums: &mut [Vector; K]) {
    let mut two = [[Vector::ZERO; K]; 2];
    let (eights_of_g, _) = g.as_chunks::<LANES>();
    for (at, g) in eights_of_g.iter().enumerate() {
        let (g, half) = (Vector::from(*g), &mut two[at % 2]);
        for k in 0..K {
            half[k] = g.mul_add(eights::<1>(x, shifts[k] + at * LANES)[0], half[k]);
        }
    }
    for k in 0..K {
        sums[k] += two[0][k] + two[1][k];
    }
}
