//! The gradients of the direct convolution, group by group of eight images.

use std::ops::Range;

use l0_lanes::{Eights, Lanes, at_best};

use super::geometry::Geometry;
use super::lanes::pack;
use super::operands::{Backward, Gradients};
use super::plan::{Plan, frame, groups, order_weights};
use super::tile::{LANES, Meeting, OUTPUTS, Source, Target, Vector, contract, correlate, even, positions};
use super::winograd::{Contraction, Kernels, side};
use crate::loops::{add_totals, mask_into};
use crate::parallel::{carve, scratch, split};
use crate::unset::{Images, filled};

pub(super) fn backward(g: &Geometry, of: &Backward, to: &mut Gradients) {
    let (plan, groups) = (Plan::new(g), groups(g));
    let g = &plan.g;
    let (tiled, db_len) = (side(g).filter(|_| !to.weight.is_empty()), to.bias.len());
    let dw_len = tiled.map_or(to.weight.len(), |side| g.groups * side.sums_len(g));
    // A sum over few groups at a time, as long as the sums stay small beside a cache.
    let most = ((1 << 19) / dw_len.max(1)).clamp(4, 16);
    let pieces = split(groups.len(), most, 1);
    let images = |piece: &Range<usize>| groups[piece.start].start..groups[piece.end - 1].end;
    // Each piece sums for itself, and the sums are added in their order: the bits do not depend on who was faster.
    let mut parts = vec![0.0; pieces.len() * (dw_len + db_len)];
    let dx_len = if of.images { g.image() } else { 0 };
    let weights: Vec<Weights> =
        of.weight.chunks_exact(g.weights()).map(|weight| Weights::new(&plan, weight, of.images)).collect();
    let part = carve(&mut parts, pieces.iter().map(|_| dw_len + db_len));
    let items = pieces.iter().zip(part).map(|item| (images(item.0).len() * dx_len, item)).collect();
    to.xs = filled(items, |(piece, part): (&Range<usize>, &mut [f32]), dx| {
        let (dw, db) = part.split_at_mut(dw_len);
        let mut tiles = tiled.map(|side| Contraction::new(side, g));
        dx.parts(piece.clone().map(|group| groups[group].len() * dx_len), |which, dx| {
            let group = piece.start + which;
            let mut dx = dx.images(dx_len);
            for (part, weights) in weights.iter().enumerate() {
                let (dw_len, db_len) = (dw.len() / g.groups, db.len() / g.groups);
                let dw = &mut dw[part * dw_len..][..dw_len];
                let db = &mut db[part * db_len..][..db_len];
                group_backward(&plan, of, (group, part), &groups[group], weights, &mut dx, (&mut tiles, dw), db);
                // The tiles of several groups of images may wait together, if they add to the same sums.
                if let Some(tiles) = tiles.as_mut().filter(|_| g.groups > 1 || group + 1 == piece.end) {
                    tiles.finish(dw);
                }
            }
            dx.set()
        })
    });
    let mut sums = if tiled.is_some() { vec![0.0; dw_len] } else { std::mem::take(&mut to.weight) };
    for part in parts.chunks_exact((dw_len + db_len).max(1)) {
        let (dw, db) = part.split_at(dw_len);
        sums.iter_mut().zip(dw).for_each(|(sum, part)| *sum += part);
        to.bias.iter_mut().zip(db).for_each(|(sum, part)| *sum += part);
    }
    if let Some(side) = tiled {
        let parts = sums.chunks_exact(side.sums_len(g)).zip(to.weight.chunks_exact_mut(g.weights()));
        parts.for_each(|(sums, dw)| side.add_kernel_gradients(sums, dw));
    } else {
        to.weight = sums;
    }
}

#[allow(clippy::too_many_arguments)]
fn group_backward(
    plan: &Plan,
    of: &Backward,
    at: (usize, usize),
    images: &Range<usize>,
    weights: &Weights,
    dx: &mut Images,
    (tiles, dw): (&mut Option<Contraction>, &mut [f32]),
    db: &mut [f32],
) {
    let g = &plan.g;
    let mut da = scratch(g.oc * plan.g_plane() * LANES);
    let da = da.eights();
    unfinish(plan, of, at, images, da);
    for (sums, plane) in db.chunks_exact_mut(g.bias_plane()).zip(da.chunks_exact(plan.g_plane())) {
        if !g.bias_map {
            sums[0] += total(plane);
            continue;
        }
        for (sums, row) in
            sums.chunks_exact_mut(g.ow).zip(plane[plan.top * plan.g_width()..].chunks_exact(plan.g_width()))
        {
            add_totals(sums, &row[plan.left..]);
        }
    }
    if !dw.is_empty() {
        let mut x = scratch(g.ic * plan.x_plane() * LANES);
        let x = x.eights();
        let xs = &of.xs[images.start * g.image()..images.end * g.image()];
        plan.pack_images(&xs[at.1 * g.group_image()..], x);
        if let Some(tiles) = tiles {
            let (x, da) = (plan.x_planes(x), plan.g_planes(da, (plan.top, plan.left)));
            tiles.add(x, da, (g.oh, g.ow), dw);
        } else {
            weight_gradient(plan, x, da, dw);
        }
    }
    if of.images {
        let mut to = scratch(g.group_image() * LANES);
        let to = to.eights();
        match weights {
            Weights::Transformed(kernels) => kernels.correlate(plan.g_planes(da, g.before), (g.ih, g.iw), to),
            Weights::Phases(phases) => image_gradient(plan, phases, da, to),
        }
        dx.put(to);
    }
}

/// The gradient of a part of the channels of a group behind pooling and ReLU, with zeros around.
fn unfinish(plan: &Plan, of: &Backward, (group, part): (usize, usize), images: &Range<usize>, da: &mut [Vector]) {
    let g = &plan.g;
    let (pooled, out, first) = (g.pooled(), g.out(), part * g.oc);
    let range = images.start * out..images.end * out;
    let mut masked = scratch(if g.relu { range.len() } else { 0 });
    let mut grad = &of.grad[range.clone()];
    if g.relu {
        mask_into(&mut masked, grad, &of.ys[range]);
        grad = &masked;
    }
    let (rows, columns) = (plan.top..plan.top + g.oh, plan.left..plan.left + g.ow);
    if g.pool == 1 {
        da.chunks_exact_mut(plan.g_plane()).for_each(|da| frame(da, plan.g_width(), rows.clone(), columns.clone()));
    } else {
        da.fill(Vector::ZERO);
    }
    let mut plane = scratch(pooled * LANES);
    let plane = plane.eights();
    for (o, da) in (first..).zip(da.chunks_exact_mut(plan.g_plane())) {
        pack(grad, out, o * pooled, plane);
        let width = g.ow / g.pool;
        for (y, row) in plane.chunks_exact(width).enumerate() {
            let start = (plan.top + y * g.pool) * plan.g_width() + plan.left;
            if g.pool == 1 {
                da[start..start + width].copy_from_slice(row);
                continue;
            }
            let places = &of.places[((group * g.maps() + o) * pooled + y * width) * LANES..][..width * LANES];
            scatter(row, places.as_chunks().0, g.pool, &mut da[start..], plan.g_width());
        }
    }
}

at_best! {
    /// The sum of all numbers.
    fn total(plane: &[Vector]) -> f32 as V: Eight {
        let mut sum = V::zero();
        for v in plane {
            sum += V::load(v);
        }
        sum.sum()
    }

    /// Each number to its place in its window, zeros to the others; windows of a row side by side, from the first of
    /// `to` on.
    fn scatter(row: &[Vector], places: &[[u8; LANES]], size: usize, to: &mut [Vector], width: usize) {
        for (x, (v, places)) in row.iter().zip(places).enumerate() {
            let v = v.to_array();
            for i in 0..size * size {
                let mut numbers = [0.0; LANES];
                for l in 0..LANES {
                    numbers[l] = if places[l] == i as u8 { v[l] } else { 0.0 };
                }
                to[x * size + i / size * width + i % size] = Vector::new(numbers);
            }
        }
    }
}

fn weight_gradient(plan: &Plan, x: &[Vector], da: &[Vector], dw: &mut [f32]) {
    let (g, shifts) = (&plan.g, plan.shifts());
    let meeting = match (plan.wq, plan.g_width()) == (g.ow, g.ow) {
        true => Meeting { rows: 1, width: g.oh * g.ow, x_stride: 0, g_stride: 0 }, // nothing between rows
        false => Meeting { rows: g.oh, width: g.ow, x_stride: plan.wq, g_stride: plan.g_width() },
    };
    let x_at: Vec<usize> =
        (0..g.depth()).map(|k| k / shifts.len() * plan.x_plane() + shifts[k % shifts.len()]).collect();
    let first = plan.top * plan.g_width() + plan.left;
    for (k, k_len) in even(g.depth(), positions()) {
        for (o, o_len) in even(g.oc, OUTPUTS) {
            let g_at: [usize; OUTPUTS] = std::array::from_fn(|i| (o + i) * plan.g_plane() + first);
            let to = &mut dw[o * g.depth() + k..];
            contract(x, da, meeting, &x_at[k..k + k_len], &g_at[..o_len], to, g.depth());
        }
    }
}

/// The weights as the gradient of the images wants them.
enum Weights {
    Phases(Vec<Phase>),
    Transformed(Kernels),
}

impl Weights {
    fn new(plan: &Plan, weight: &[f32], wanted: bool) -> Self {
        let g = &plan.g;
        if !wanted {
            return Self::Phases(vec![]);
        }
        let Some(side) = side(g) else { return Self::Phases(phases(plan, weight)) };
        let (kernels, _) = weight.as_chunks();
        let turned = |i, o| {
            let mut kernel: [f32; 9] = kernels[o * g.ic + i];
            kernel.reverse();
            kernel
        };
        Self::Transformed(Kernels::new(side, g.ic, g.oc, turned))
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
    let (g, (rows, columns)) = (&plan.g, plan.g.stride);
    let inside = |r: usize, n: usize, s: usize, before: usize| {
        let first = before.saturating_sub(r).div_ceil(s);
        (first..(before + n).saturating_sub(r).div_ceil(s), (first * s + r).saturating_sub(before))
    };
    let reach = |u: usize, v: usize| (u * g.dilation.0, v * g.dilation.1);
    let phase = |r: usize| {
        let (ry, rx) = (r / columns, r % columns);
        let ((inside_rows, y), (inside_columns, x)) =
            (inside(ry, g.ih, rows, g.before.0), inside(rx, g.iw, columns, g.before.1));
        let meets = |&(u, v): &(usize, usize)| (reach(u, v).0 % rows, reach(u, v).1 % columns) == (ry, rx);
        let offsets: Vec<(usize, usize)> = (0..g.kh * g.kw).map(|k| (k / g.kw, k % g.kw)).filter(meets).collect();
        let back = |&(u, v): &(usize, usize)| (reach(u, v).0 / rows, reach(u, v).1 / columns);
        let shift = |offset| (plan.top - back(offset).0) * plan.g_width() + plan.left - back(offset).1;
        let weights = order_weights(g.ic, g.oc * offsets.len(), |i, term| {
            let ((u, v), o) = (offsets[term % offsets.len()], term / offsets.len());
            weight[((o * g.ic + i) * g.kh + u) * g.kw + v]
        });
        let up = offsets.iter().map(|offset| back(offset).0).collect();
        Phase {
            rows: inside_rows,
            columns: inside_columns,
            y,
            x,
            up,
            shifts: offsets.iter().map(shift).collect(),
            weights,
        }
    };
    (0..rows * columns).map(phase).collect()
}

/// dxs of a group: (i, h, w), vectors of images.
fn image_gradient(plan: &Plan, phases: &[Phase], da: &[Vector], to: &mut [Vector]) {
    let (g, (down, right)) = (&plan.g, plan.g.stride);
    if (down, right) != (1, 1) {
        to.fill(Vector::ZERO);
    }
    // Each input number belongs to one of the s x s planes, and only every s-th kernel offset meets that plane: per
    // plane this is an ordinary convolution of g, with the offsets that meet it, and no zeros are multiplied.
    for phase in phases.iter().filter(|phase| !phase.shifts.is_empty()) {
        let terms = g.oc * phase.shifts.len();
        for (step, row) in phase.rows.clone().enumerate() {
            let first = phase.up.partition_point(|up| up + g.oh <= row);
            let end = phase.up.partition_point(|&up| up <= row).max(first);
            let from = Source { data: da, plane: plan.g_plane(), shifts: &phase.shifts, first, end };
            for (i, len) in even(g.ic, OUTPUTS) {
                let weights = &phase.weights[i * terms..][..len * terms];
                let at = (i * g.ih + phase.y + step * down) * g.iw + phase.x;
                let target = Target { at, plane: g.ih * g.iw, step: right };
                let start = row * plan.g_width() + phase.columns.start;
                correlate(from, start, phase.columns.len(), weights, len, to, target);
            }
        }
    }
}
