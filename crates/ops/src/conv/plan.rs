//! How a group of eight images lies in memory for the direct convolution, and the order in which it meets its weights.

use std::ops::Range;

use super::geometry::Geometry;
use super::lanes::pack;
use super::tile::{LANES, OUTPUTS, Vector, even};
use super::winograd::Planes;
use crate::parallel::{scratch, split};

/// Sizes that follow from a geometry.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// The geometry, with strides as far as they are met.
    pub(super) g: Geometry,
    /// Height and width of one of the s x s planes of a padded image.
    pub(super) hq: usize,
    pub(super) wq: usize,
    /// Rows and columns of zeros before g.
    pub(super) top: usize,
    pub(super) left: usize,
}

impl Plan {
    pub(super) fn new(g: &Geometry) -> Self {
        let (h, w) = (g.before.0 + g.ih + g.after.0, g.before.1 + g.iw + g.after.1);
        let g = Geometry { stride: (met(g.stride.0, h), met(g.stride.1, w)), ..*g };
        let (top, left) = ((g.kh - 1) * g.dilation.0 / g.stride.0, (g.kw - 1) * g.dilation.1 / g.stride.1);
        Self { g, hq: h.div_ceil(g.stride.0), wq: w.div_ceil(g.stride.1), top, left }
    }

    /// Vectors of a padded input channel.
    pub(super) fn x_plane(&self) -> usize {
        self.g.stride.0 * self.g.stride.1 * self.hq * self.wq
    }

    /// Width of a row of g with its zeros.
    pub(super) fn g_width(&self) -> usize {
        self.left + self.wq
    }

    /// Vectors of an output channel of g with its zeros.
    pub(super) fn g_plane(&self) -> usize {
        (self.top + self.hq) * self.g_width()
    }

    /// Where number (y, x) of a padded image is.
    pub(super) fn shift(&self, y: usize, x: usize) -> usize {
        let (rows, columns) = self.g.stride;
        ((y % rows * columns + x % columns) * self.hq + y / rows) * self.wq + x / columns
    }

    /// The rows of the kernel that meet the image at output row y, not its border of zeros.
    pub(super) fn rows_inside(&self, y: usize) -> (usize, usize) {
        let g = &self.g;
        let kernel_row = |row: usize| row.saturating_sub(g.stride.0 * y).div_ceil(g.dilation.0);
        let first = kernel_row(g.before.0).min(g.kh);
        (first, kernel_row(g.ih + g.before.0).clamp(first, g.kh))
    }

    /// The planes of a group of images, for kernels of stride 1.
    pub(super) fn x_planes<'a>(&self, x: &'a [Vector]) -> Planes<'a> {
        Planes { data: x, plane: self.x_plane(), first: 0, width: self.wq }
    }

    /// The planes of g, from this many rows and columns after their first.
    pub(super) fn g_planes<'a>(&self, g: &'a [Vector], (rows, columns): (usize, usize)) -> Planes<'a> {
        let first = rows * self.g_width() + columns;
        Planes { data: g, plane: self.g_plane(), first, width: self.g_width() }
    }

    pub(super) fn shifts(&self) -> Vec<usize> {
        let (g, (rows, columns)) = (&self.g, self.g.dilation);
        (0..g.kh * g.kw).map(|k| self.shift(k / g.kw * rows, k % g.kw * columns)).collect()
    }

    /// The padded planes of a group of images, from the first channel of a group on.
    pub(super) fn pack_images(&self, images: &[f32], x: &mut [Vector]) {
        let (g, plain) = (&self.g, self.g.stride == (1, 1));
        let ((top, left), (stride, dilation)) = (g.before, (g.stride.0, g.dilation.0));
        if !plain {
            x.fill(Vector::ZERO);
        } else if (g.before, g.after) != ((0, 0), (0, 0)) {
            x.chunks_exact_mut(self.x_plane()).for_each(|x| frame(x, self.wq, top..top + g.ih, left..left + g.iw));
        }
        let met: Vec<bool> = (0..stride).map(|rest| (0..g.kh).any(|u| u * dilation % stride == rest)).collect();
        let mut line = scratch(g.iw * LANES);
        let line = line.eights();
        for row in 0..g.ic * g.ih {
            let (i, y) = (row / g.ih, row % g.ih + top);
            if !met[y % stride] {
                continue; // No kernel offset meets this row.
            }
            if plain {
                let at = i * self.x_plane() + y * self.wq + left;
                pack(images, g.image(), row * g.iw, &mut x[at..at + g.iw]);
                continue;
            }
            pack(images, g.image(), row * g.iw, line);
            for (column, vector) in line.iter().enumerate() {
                x[i * self.x_plane() + self.shift(y, column + left)] = *vector;
            }
        }
    }
}

/// The stride as far as it is met: one beyond the padded image leads nowhere, and there are as many planes as it is
/// long.
fn met(stride: usize, padded: usize) -> usize {
    if stride > padded { 1 } else { stride }
}

/// Zero padding of the `rows` and `columns` of a plane.
pub(super) fn frame(plane: &mut [Vector], width: usize, rows: Range<usize>, columns: Range<usize>) {
    for (y, row) in plane.chunks_exact_mut(width).enumerate() {
        if rows.contains(&y) {
            row[..columns.start].fill(Vector::ZERO);
            row[columns.end..].fill(Vector::ZERO);
        } else {
            row.fill(Vector::ZERO);
        }
    }
}

/// Weights in the order in which a tile meets them: for each tile of outputs (input, kernel offset, output).
pub(super) fn order_weights(outputs: usize, terms: usize, weight: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut ordered = Vec::with_capacity(outputs * terms);
    for (start, len) in even(outputs, OUTPUTS) {
        for term in 0..terms {
            ordered.extend((start..start + len).map(|o| weight(o, term)));
        }
    }
    ordered
}

/// Fixed groups of images.
pub(super) fn groups(g: &Geometry) -> Vec<Range<usize>> {
    split(g.b, g.b.div_ceil(LANES), LANES)
}

/// Places of maxima kept per group.
pub(super) fn places_len(g: &Geometry) -> usize {
    if g.pool > 1 { g.b.next_multiple_of(LANES) * g.out() } else { 0 }
}
