//! Tiles of minimal filtering as lanes of vectors: from an image to points, from points to an image.
//!
//! Rows of eight tiles are loaded and transposed, so that vectors hold one number of each.

use l0_lanes::{Eights, Lanes, at_best};

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
fn load<V: Eights>(from: &[f32]) -> V {
    V::of(from.first_chunk().expect("buffers end with a spare vector"))
}

/// Writes eight numbers.
#[inline(always)]
fn store<V: Eights>(to: &mut [f32], values: V) {
    values.put(to.first_chunk_mut().expect("blocks are whole vectors"));
}

/// A row of eight tiles, by columns.
#[inline(always)]
fn lines<V: Eights>(plane: &[f32], starts: &[usize; LANES], row: usize) -> [V; IN] {
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
    let [a, b, c, d, e, f, ..] = V::transpose(lines);
    [a, b, c, d, e, f]
}

/// A row of points of eight tiles.
#[inline(always)]
fn points<V: Eights>(m: &[f32], step: usize, y: usize) -> [V; IN] {
    let m = &m[y * IN * step..];
    [load(m), load(&m[step..]), load(&m[2 * step..]), load(&m[3 * step..]), load(&m[4 * step..]), load(&m[5 * step..])]
}

/// Stores a column of points of eight tiles.
#[inline(always)]
fn put<V: Eights>(v: &mut [f32], step: usize, column: [V; IN]) {
    let [a, b, c, d, e, f] = column;
    store(v, a);
    store(&mut v[IN * step..], b);
    store(&mut v[2 * IN * step..], c);
    store(&mut v[3 * IN * step..], d);
    store(&mut v[4 * IN * step..], e);
    store(&mut v[5 * IN * step..], f);
}

at_best! {
    /// Transforms the inputs of eight tiles; of fewer, the first one stands in for those that do not exist.
    pub(crate) fn spread(plane: &[f32], row: usize, tiles: &[Tile], v: &mut [f32], step: usize) as V: Eight {
        let mut starts = [tiles[0].from; LANES];
        starts.iter_mut().zip(tiles).for_each(|(start, tile)| *start = tile.from);
        let rows = [
            lines::<V>(plane, &starts, 0),
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

    /// Transforms the products of eight tiles, and stores what exists of their outputs, with bias and bounds.
    pub(crate) fn gather(
        m: &[f32],
        step: usize,
        bias: f32,
        bounds: Bounds,
        tiles: &[Tile],
        ys: &mut [f32],
        row: usize,
    ) as V: Eight {
        let made = transform_output([
            points::<V>(m, step, 0),
            points(m, step, 1),
            points(m, step, 2),
            points(m, step, 3),
            points(m, step, 4),
            points(m, step, 5),
        ]);
        let bias = V::splat(bias);
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
            let columns = V::transpose(rows);
            for l in 0..tiles.len().min(LANES) {
                let (tile, mut values) = (tiles[l], [0.0; LANES]);
                columns[l].put(&mut values);
                let (values, _) = values.as_chunks::<OUT>();
                tile.store(2 * pair, values[0], ys, row);
                tile.store(2 * pair + 1, values[1], ys, row);
            }
        }
    }
}
