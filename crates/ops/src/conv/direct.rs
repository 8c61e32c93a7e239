//! Convolution without patches: eight images at a time, their numbers side by side, sums kept in registers.
//!
//! A padded image with stride s is kept as s x s planes of every s-th row and column, so that a kernel offset is a mere
//! shift of a plane; the gradient of the images is, for each of these planes, a convolution of g with the kernel
//! offsets that meet it. Good for few channels, narrow images and odd sizes, where matrix products starve.

use std::ops::Range;

use super::lanes::{pack, unpack};
use super::tile::{LANES, Meeting, OUTPUTS, POSITIONS, Source, Target, Vector, contract, correlate, even};
use super::{Backward, Geometry, Gradients};
use crate::parallel::{carve, each, scratch, split};
use crate::pointwise::mask_into;

/// Sizes that follow from a geometry.
#[derive(Clone, Copy)]
struct Plan {
    g: Geometry,
    /// Height and width of one of the s x s planes of a padded image.
    hq: usize,
    wq: usize,
    /// Rows and columns of zeros before g.
    top: usize,
    left: usize,
}

impl Plan {
    fn new(g: &Geometry) -> Self {
        let (hq, wq) = ((g.ih + 2 * g.padding).div_ceil(g.stride), (g.iw + 2 * g.padding).div_ceil(g.stride));
        Self { g: *g, hq, wq, top: (g.kh - 1) / g.stride, left: (g.kw - 1) / g.stride }
    }

    /// Vectors of a padded input channel.
    fn x_plane(&self) -> usize {
        self.g.stride * self.g.stride * self.hq * self.wq
    }

    /// Width of a row of g with its zeros.
    fn g_width(&self) -> usize {
        self.left + self.wq
    }

    /// Vectors of an output channel of g with its zeros.
    fn g_plane(&self) -> usize {
        (self.top + self.hq) * self.g_width()
    }

    /// Where kernel offset (u, v) shifts a plane to.
    fn shift(&self, u: usize, v: usize) -> usize {
        let s = self.g.stride;
        ((u % s * s + v % s) * self.hq + u / s) * self.wq + v / s
    }

    /// The rows of the kernel that meet the image at output row y, not its border of zeros.
    fn rows_inside(&self, y: usize) -> (usize, usize) {
        let g = &self.g;
        let first = g.padding.saturating_sub(g.stride * y).min(g.kh);
        (first, (g.ih + g.padding).saturating_sub(g.stride * y).clamp(first, g.kh))
    }

    fn shifts(&self) -> Vec<usize> {
        (0..self.g.kh * self.g.kw).map(|k| self.shift(k / self.g.kw, k % self.g.kw)).collect()
    }

    /// The padded planes of a group of images.
    fn pack_images(&self, images: &[f32], x: &mut [Vector]) {
        let (g, s) = (&self.g, self.g.stride);
        if g.padding > 0 || s > 1 {
            x.fill(Vector::ZERO);
        }
        let mut line = scratch(g.iw * LANES);
        let line = line.eights();
        for row in 0..g.ic * g.ih {
            let (i, y) = (row / g.ih, row % g.ih + g.padding);
            if y % s >= g.kh {
                continue; // No kernel offset meets this row.
            }
            if s == 1 {
                let at = i * self.x_plane() + y * self.wq + g.padding;
                pack(images, g.image(), row * g.iw, &mut x[at..at + g.iw]);
                continue;
            }
            pack(images, g.image(), row * g.iw, line);
            for (column, vector) in line.iter().enumerate() {
                x[i * self.x_plane() + self.shift(y, column + g.padding)] = *vector;
            }
        }
    }
}

/// Weights in the order in which a tile meets them: for each tile of outputs (input, kernel offset, output).
fn order_weights(outputs: usize, terms: usize, weight: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut ordered = Vec::with_capacity(outputs * terms);
    for (start, len) in even(outputs, OUTPUTS) {
        for term in 0..terms {
            ordered.extend((start..start + len).map(|o| weight(o, term)));
        }
    }
    ordered
}

/// Fixed groups of images.
fn groups(g: &Geometry) -> Vec<Range<usize>> {
    split(g.b, g.b.div_ceil(LANES), LANES)
}

/// Places of maxima kept per group.
pub(super) fn places_len(g: &Geometry) -> usize {
    if g.pool > 1 { g.b.next_multiple_of(LANES) * g.oc * g.pooled() } else { 0 }
}

pub(super) fn forward(g: &Geometry, xs: &[f32], weight: &[f32], bias: &[f32], ys: &mut [f32], places: &mut [u8]) {
    let (plan, groups, out) = (Plan::new(g), groups(g), g.oc * g.pooled());
    let shifts = plan.shifts();
    let weights = order_weights(g.oc, g.depth(), |o, term| weight[o * g.depth() + term]);
    let kept = if g.pool > 1 { out * LANES } else { 0 };
    let ys = carve(ys, groups.iter().map(|r| r.len() * out));
    let places = carve(places, groups.iter().map(|_| kept));
    each(groups.iter().zip(ys).zip(places).collect(), |((images, ys), places)| {
        let (mut x, mut a) = (scratch(g.ic * plan.x_plane() * LANES), scratch(g.oc * g.oh * g.ow * LANES));
        let (x, a) = (x.eights(), a.eights());
        plan.pack_images(&xs[images.start * g.image()..images.end * g.image()], x);
        for y in 0..g.oh {
            let (first, end) = plan.rows_inside(y);
            let from = Source { data: x, plane: plan.x_plane(), shifts: &shifts, first: first * g.kw, end: end * g.kw };
            for (o, len) in even(g.oc, OUTPUTS) {
                let weights = &weights[o * g.depth()..][..len * g.depth()];
                let target = Target { at: (o * g.oh + y) * g.ow, plane: g.oh * g.ow, step: 1 };
                correlate(from, y * plan.wq, g.ow, weights, len, a, target);
            }
        }
        finish(g, a, bias, ys, places.as_chunks_mut().0);
    });
}

/// Bias, ReLU and pooling of a group, back to images.
fn finish(g: &Geometry, a: &mut [Vector], bias: &[f32], ys: &mut [f32], places: &mut [[u8; LANES]]) {
    let (pooled, out) = (g.pooled(), g.oc * g.pooled());
    for (o, a) in a.chunks_exact_mut(g.oh * g.ow).enumerate() {
        if g.pool > 1 {
            max_pool(g, a, &mut places[o * pooled..][..pooled]);
        }
        let a = &mut a[..pooled];
        let bias = Vector::splat(bias[o]);
        if g.relu {
            a.iter_mut().for_each(|a| *a = rectify(*a + bias));
        } else {
            a.iter_mut().for_each(|a| *a += bias);
        }
        unpack(a, ys, out, o * pooled);
    }
}

/// `max(0, a)`; not a number stays so.
fn rectify(a: Vector) -> Vector {
    a.simd_lt(Vector::ZERO).select(Vector::ZERO, a)
}

/// Largest values of the windows of a plane, in place at its beginning, and where each was.
fn max_pool(g: &Geometry, a: &mut [Vector], places: &mut [[u8; LANES]]) {
    let (size, width) = (g.pool, g.ow / g.pool);
    for (at, places) in places.iter_mut().enumerate() {
        let corner = at / width * size * g.ow + at % width * size;
        let (mut best, mut place) = (a[corner].to_array(), [0u8; LANES]);
        for i in 1..size * size {
            let value = a[corner + i / size * g.ow + i % size].to_array();
            for l in 0..LANES {
                let larger = value[l] > best[l] || value[l].is_nan();
                best[l] = if larger { value[l] } else { best[l] };
                place[l] = if larger { i as u8 } else { place[l] };
            }
        }
        // Windows come in order, so a result never overwrites a number that is still to be read.
        (a[at], *places) = (best.into(), place);
    }
}

pub(super) fn backward(g: &Geometry, of: &Backward, to: &mut Gradients) {
    let (plan, groups) = (Plan::new(g), groups(g));
    let (dw_len, db_len) = (to.weight.len(), to.bias.len());
    // A sum over few groups at a time, as long as the sums stay small beside a cache.
    let most = ((1 << 19) / dw_len.max(1)).clamp(4, 16);
    let pieces = split(groups.len(), most, 1);
    let images = |piece: &Range<usize>| groups[piece.start].start..groups[piece.end - 1].end;
    let mut parts = vec![0.0; pieces.len() * (dw_len + db_len)];
    let dx_len = if to.xs.is_empty() { 0 } else { g.image() };
    let dx = carve(&mut to.xs, pieces.iter().map(|p| images(p).len() * dx_len));
    let phases = if dx_len > 0 { phases(&plan, of.weight) } else { vec![] };
    let part = carve(&mut parts, pieces.iter().map(|_| dw_len + db_len));
    each(pieces.iter().zip(dx).zip(part).collect(), |((piece, dx), part)| {
        let (dw, db) = part.split_at_mut(dw_len);
        let first = images(piece).start;
        for group in piece.clone() {
            let images = groups[group].clone();
            let dx = &mut dx[(images.start - first) * dx_len..(images.end - first) * dx_len];
            group_backward(&plan, of, group, images, &phases, dx, dw, db);
        }
    });
    for part in parts.chunks_exact((dw_len + db_len).max(1)) {
        let (dw, db) = part.split_at(dw_len);
        to.weight.iter_mut().zip(dw).for_each(|(sum, part)| *sum += part);
        to.bias.iter_mut().zip(db).for_each(|(sum, part)| *sum += part);
    }
}

#[allow(clippy::too_many_arguments)]
fn group_backward(
    plan: &Plan,
    of: &Backward,
    group: usize,
    images: Range<usize>,
    phases: &[Phase],
    dx: &mut [f32],
    dw: &mut [f32],
    db: &mut [f32],
) {
    let g = &plan.g;
    let mut da = scratch(g.oc * plan.g_plane() * LANES);
    let da = da.eights();
    unfinish(plan, of, group, &images, da);
    for (sum, plane) in db.iter_mut().zip(da.chunks_exact(plan.g_plane())) {
        *sum += plane.iter().fold(Vector::ZERO, |sum, &v| sum + v).reduce_add();
    }
    if !dw.is_empty() {
        let mut x = scratch(g.ic * plan.x_plane() * LANES);
        let x = x.eights();
        plan.pack_images(&of.xs[images.start * g.image()..images.end * g.image()], x);
        weight_gradient(plan, x, da, dw);
    }
    if !dx.is_empty() {
        let mut to = scratch(g.image() * LANES);
        let to = to.eights();
        image_gradient(plan, phases, da, to);
        unpack(to, dx, g.image(), 0);
    }
}

/// The gradient of a group behind pooling and ReLU, with zeros around.
fn unfinish(plan: &Plan, of: &Backward, group: usize, images: &Range<usize>, da: &mut [Vector]) {
    let g = &plan.g;
    let (pooled, out) = (g.pooled(), g.oc * g.pooled());
    let range = images.start * out..images.end * out;
    let mut masked = scratch(if g.relu { range.len() } else { 0 });
    let mut grad = &of.grad[range.clone()];
    if g.relu {
        mask_into(&mut masked, grad, &of.ys[range]);
        grad = &masked;
    }
    da.fill(Vector::ZERO);
    let mut plane = scratch(pooled * LANES);
    let plane = plane.eights();
    for (o, da) in da.chunks_exact_mut(plan.g_plane()).enumerate() {
        pack(grad, out, o * pooled, plane);
        let width = g.ow / g.pool;
        for (y, row) in plane.chunks_exact(width).enumerate() {
            let start = (plan.top + y * g.pool) * plan.g_width() + plan.left;
            if g.pool == 1 {
                da[start..start + width].copy_from_slice(row);
                continue;
            }
            let places = &of.places[((group * g.oc + o) * pooled + y * width) * LANES..][..width * LANES];
            for (x, (v, place)) in row.iter().zip(places.as_chunks::<LANES>().0).enumerate() {
                let v = v.to_array();
                for i in 0..g.pool * g.pool {
                    let at = start + x * g.pool + i / g.pool * plan.g_width() + i % g.pool;
                    da[at] = Vector::from(std::array::from_fn::<f32, LANES, _>(|l| {
                        if place[l] == i as u8 { v[l] } else { 0.0 }
                    }));
                }
            }
        }
    }
}

fn weight_gradient(plan: &Plan, x: &[Vector], da: &[Vector], dw: &mut [f32]) {
    let (g, shifts) = (&plan.g, plan.shifts());
    let meeting = Meeting { rows: g.oh, width: g.ow, x_stride: plan.wq, g_stride: plan.g_width() };
    let x_at: Vec<usize> =
        (0..g.depth()).map(|k| k / shifts.len() * plan.x_plane() + shifts[k % shifts.len()]).collect();
    let first = plan.top * plan.g_width() + plan.left;
    for (k, k_len) in even(g.depth(), POSITIONS) {
        for (o, o_len) in even(g.oc, OUTPUTS) {
            let g_at: [usize; OUTPUTS] = std::array::from_fn(|i| (o + i) * plan.g_plane() + first);
            let to = &mut dw[o * g.depth() + k..];
            contract(x, da, meeting, &x_at[k..k + k_len], &g_at[..o_len], to, g.depth());
        }
    }
}

/// One of the s x s planes of a padded image: the inputs it holds, and the kernel offsets that meet it.
struct Phase {
    /// Rows and columns of the plane inside the image.
    rows: Range<usize>,
    columns: Range<usize>,
    /// First row and column in the image.
    y: usize,
    x: usize,
    /// How far each kernel offset reaches up, in rows of g, and the shift it makes.
    up: Vec<usize>,
    shifts: Vec<usize>,
    weights: Vec<f32>,
}

fn phases(plan: &Plan, weight: &[f32]) -> Vec<Phase> {
    let (g, s) = (&plan.g, plan.g.stride);
    let inside = |r: usize, n: usize| {
        let first = g.padding.saturating_sub(r).div_ceil(s);
        (first..(g.padding + n).saturating_sub(r).div_ceil(s), (first * s + r).saturating_sub(g.padding))
    };
    let phase = |r: usize| {
        let (ry, rx) = (r / s, r % s);
        let ((rows, y), (columns, x)) = (inside(ry, g.ih), inside(rx, g.iw));
        let offsets: Vec<(usize, usize)> =
            (0..g.kh * g.kw).map(|k| (k / g.kw, k % g.kw)).filter(|&(u, v)| u % s == ry && v % s == rx).collect();
        let shift = |&(u, v): &(usize, usize)| (plan.top - u / s) * plan.g_width() + plan.left - v / s;
        let weights = order_weights(g.ic, g.oc * offsets.len(), |i, term| {
            let ((u, v), o) = (offsets[term % offsets.len()], term / offsets.len());
            weight[((o * g.ic + i) * g.kh + u) * g.kw + v]
        });
        let up = offsets.iter().map(|&(u, _)| u / s).collect();
        Phase { rows, columns, y, x, up, shifts: offsets.iter().map(shift).collect(), weights }
    };
    (0..s * s).map(phase).collect()
}

/// dxs of a group: (i, h, w), vectors of images.
fn image_gradient(plan: &Plan, phases: &[Phase], da: &[Vector], to: &mut [Vector]) {
    let (g, s) = (&plan.g, plan.g.stride);
    if s > 1 {
        to.fill(Vector::ZERO);
    }
    for phase in phases.iter().filter(|phase| !phase.shifts.is_empty()) {
        let terms = g.oc * phase.shifts.len();
        for (step, row) in phase.rows.clone().enumerate() {
            let first = phase.up.partition_point(|up| up + g.oh <= row);
            let end = phase.up.partition_point(|&up| up <= row).max(first);
            let from = Source { data: da, plane: plan.g_plane(), shifts: &phase.shifts, first, end };
            for (i, len) in even(g.ic, OUTPUTS) {
                let weights = &phase.weights[i * terms..][..len * terms];
                let at = (i * g.ih + phase.y + step * s) * g.iw + phase.x;
                let target = Target { at, plane: g.ih * g.iw, step: s };
                let start = row * plan.g_width() + phase.columns.start;
                correlate(from, start, phase.columns.len(), weights, len, to, target);
            }
        }
    }
}
