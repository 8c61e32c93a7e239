//! Tiles of minimal filtering as lanes of vectors: from an image to points, from points to an image.
//!
//! Rows of eight tiles are loaded and transposed, so that vectors hold one number of each.

use wide::f32x8;

use crate::after::Bounds;
use crate::filter::{IN, OUT, transform_input, transform_output};
use crate::layout::LANES;

/// Where a tile lies.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// Its first number in the input plane, and in the output plane.
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Rows and columns that exist.
    pub(crate) h: usize,
    pub(crate) w: usize,
}

impl Tile {
    /// Stores row `y` of its outputs, as far as it exists.
    #[inline(always)]
    fn store(&self, y: usize, values: [f32; OUT], ys: &mut [f32], row: usize) {
        if y >= self.h {
            return;
        }
        let to = &mut ys[self.to + y * row..];
        match to.first_chunk_mut() {
            Some(to) if self.w == OUT => *to = values,
            _ => (0..self.w).for_each(|x| to[x] = values[x]),
        }
    }
}

/// Eight numbers; buffers end with a spare vector.
#[inline(always)]
fn load(from: &[f32]) -> f32x8 {
    f32x8::new(*from.first_chunk().expect("buffers end with a spare vector"))
}

/// A row of eight tiles, by columns.
#[inline(always)]
fn lines(plane: &[f32], starts: &[usize; LANES], row: usize) -> [f32x8; IN] {
    let plane = &plane[row..];
    let [a, b, c, d, e, f, g, h] = *starts;
    let lines = [
        load(&plane[a..]),
        load(&plane[b..]),
        load(&plane[c..]),
        load(&plane[d..]),
        load(&plane[e..]),
        load(&plane[f..]),
        load(&plane[g..]),
        load(&plane[h..]),
    ];
    let [a, b, c, d, e, f, ..] = f32x8::transpose(lines);
    [a, b, c, d, e, f]
}

/// A row of points of eight tiles.
#[inline(always)]
fn points(m: &[f32], step: usize, y: usize) -> [f32x8; IN] {
    let m = &m[y * IN * step..];
    [load(m), load(&m[step..]), load(&m[2 * step..]), load(&m[3 * step..]), load(&m[4 * step..]), load(&m[5 * step..])]
}

/// Transforms the inputs of eight tiles; of fewer, the first one stands in for those that do not exist.
#[inline(never)]
pub(crate) fn spread(plane: &[f32], row: usize, tiles: &[Tile], v: &mut [f32], step: usize) {
    let mut starts = [tiles[0].from; LANES];
    starts.iter_mut().zip(tiles).for_each(|(start, tile)| *start = tile.from);
    let rows = [
        lines(plane, &starts, 0),
        lines(plane, &starts, row),
        lines(plane, &starts, 2 * row),
        lines(plane, &starts, 3 * row),
        lines(plane, &starts, 4 * row),
        lines(plane, &starts, 5 * row),
    ];
    let [a, b, c, d, e, f] = transform_input(rows);
    put(v, step, a);
    put(&mut v[step..], step, b);
    put(&mut v[2 * step..], step, c);
    put(&mut v[3 * step..], step, d);
    put(&mut v[4 * step..], step, e);
    put(&mut v[5 * step..], step, f);
}

/// Stores a column of points of eight tiles.
#[inline(always)]
fn put(v: &mut [f32], step: usize, column: [f32x8; IN]) {
    let [a, b, c, d, e, f] = column;
    let mut store = |y: usize, value: f32x8| {
        let to = v[y * IN * step..].first_chunk_mut().expect("blocks are whole vectors");
        *to = value.to_array();
    };
    store(0, a);
    store(1, b);
    store(2, c);
    store(3, d);
    store(4, e);
    store(5, f);
}

/// Transforms the products of eight tiles, and stores what exists of their outputs, with bias and bounds.
#[inline(never)]
pub(crate) fn gather(
    m: &[f32],
    step: usize,
    (bias, bounds): (f32, Bounds),
    tiles: &[Tile],
    ys: &mut [f32],
    row: usize,
) {
    let made = transform_output([
        points(m, step, 0),
        points(m, step, 1),
        points(m, step, 2),
        points(m, step, 3),
        points(m, step, 4),
        points(m, step, 5),
    ]);
    let bias = f32x8::splat(bias);
    for pair in 0..OUT / 2 {
        let [upper, lower] = [made[2 * pair], made[2 * pair + 1]];
        let rows = [
            bounds.hold_all(upper[0] + bias),
            bounds.hold_all(upper[1] + bias),
            bounds.hold_all(upper[2] + bias),
            bounds.hold_all(upper[3] + bias),
            bounds.hold_all(lower[0] + bias),
            bounds.hold_all(lower[1] + bias),
            bounds.hold_all(lower[2] + bias),
            bounds.hold_all(lower[3] + bias),
        ];
        let values = f32x8::transpose(rows);
        for l in 0..tiles.len().min(LANES) {
            let (tile, values) = (tiles[l], values[l].to_array());
            let (values, _) = values.as_chunks::<OUT>();
            tile.store(2 * pair, values[0], ys, row);
            tile.store(2 * pair + 1, values[1], ys, row);
        }
    }
}
