//! Depthwise convolution: each channel has kernels of its own, so there is no sum over channels to share loads in, and
//! the work is plane by plane, along rows, without patches.

use std::ops::Range;

use super::geometry::Geometry;
use super::operands::{Backward, Gradients};
use crate::lattice::{Lattice, Side, Vector, contract, correlate};
use crate::loops::{add_totals, mask_into, rectify, sum};
use crate::parallel::{Scratch, carve, scratch, split};
use crate::planes::{PIECE, set_planes_with};
use crate::unset::{Set, Unset, made};

fn lattice(g: &Geometry) -> Lattice {
    let side = |input, output, size, dilation, stride, before| Side { input, output, size, dilation, stride, before };
    Lattice::new(
        side(g.ih, g.oh, g.kh, g.dilation.0, g.stride.0, g.before.0),
        side(g.iw, g.ow, g.kw, g.dilation.1, g.stride.1, g.before.1),
    )
}

pub(super) fn forward(g: &Geometry, xs: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let (lattice, taps) = (lattice(g), g.kh * g.kw);
    let (input, output, results) = (lattice.input(), lattice.output(), lattice.results());
    let buffers = || (lattice.planes(0.0), scratch(results));
    set_planes_with(g.b * g.groups, g.oc * output, g.oc * output * taps, buffers, |(x, a), at, ys| {
        lattice.pack(&xs[at * input..][..input], x);
        ys.parts((0..g.oc).map(|_| output), |o, ys| {
            let o = at % g.groups * g.oc + o;
            correlate(x, &lattice.shifts, &weight[o * taps..][..taps], a, false);
            let bias = &bias[o * g.bias_plane()..][..g.bias_plane()];
            let mut rows = lattice.rows_of(a).enumerate();
            ys.parts((0..g.oh).map(|_| g.ow), |_, ys| {
                let (y, row) = rows.next().unwrap_or_default();
                finish(row, if g.bias_map { &bias[y * g.ow..] } else { bias }, g.relu, ys)
            })
        })
    })
}

/// Bias, one or a row of them, and ReLU.
fn finish<'a>(row: &[f32], bias: &[f32], relu: bool, ys: Unset<'a>) -> Set<'a> {
    let rectified = |y: f32| if relu { rectify(y) } else { y };
    match bias {
        [bias] => ys.to(row.iter().map(|a| rectified(a + bias))),
        bias => ys.to(row.iter().zip(bias).map(|(a, bias)| rectified(a + bias))),
    }
}

pub(super) fn backward(g: &Geometry, of: &Backward, to: &mut Gradients) {
    let lattice = lattice(g);
    let (dw_len, db_len) = (to.weight.len(), to.bias.len());
    let dx_len = if of.images { g.image() } else { 0 };
    let work = g.b * g.maps() * lattice.output() * g.kh * g.kw;
    let pieces = split(g.b, (work / PIECE).clamp(1, 16), 1);
    // Image by image, so that what is read lies together; each piece sums for itself, and the sums are added in order.
    let mut parts = vec![0.0; pieces.len() * (dw_len + db_len)];
    let sums = carve(&mut parts, pieces.iter().map(|_| dw_len + db_len));
    let items = pieces.into_iter().zip(sums).map(|item| (item.0.len() * dx_len, item)).collect();
    to.xs = made(items, |(images, sums): (Range<usize>, &mut [f32]), dx| {
        let (dw, db) = sums.split_at_mut(dw_len);
        images_backward(g, &lattice, of, images, dx, dw, db);
    });
    for part in parts.chunks_exact((dw_len + db_len).max(1)) {
        let (dw, db) = part.split_at(dw_len);
        to.weight.iter_mut().zip(dw).for_each(|(sum, part)| *sum += part);
        to.bias.iter_mut().zip(db).for_each(|(sum, part)| *sum += part);
    }
}

/// The gradient of map `at` of all images, behind the ReLU.
fn gradient<'a>(g: &Geometry, of: &Backward<'a>, at: usize, masked: &'a mut Scratch) -> &'a [f32] {
    let map = at * g.oh * g.ow..(at + 1) * g.oh * g.ow;
    if !g.relu {
        return &of.grad[map];
    }
    mask_into(masked, &of.grad[map.clone()], &of.ys[map]);
    masked
}

/// The gradients of some images, and what these add to those of kernels and biases.
fn images_backward(
    g: &Geometry,
    lattice: &Lattice,
    of: &Backward,
    images: Range<usize>,
    dx: &mut [f32],
    dw: &mut [f32],
    db: &mut [f32],
) {
    let (input, results, taps) = (lattice.input(), lattice.results(), g.kh * g.kw);
    let mut masked = scratch(lattice.output());
    let (mut x, mut spread, mut planes) = (lattice.planes(0.0), lattice.room(), lattice.planes(0.0));
    let mut sums = vec![Vector::ZERO; dw.len()];
    let first = images.start * g.groups;
    for plane in first..images.end * g.groups {
        if !dw.is_empty() {
            lattice.pack(&of.xs[plane * input..][..input], &mut x);
        }
        for o in 0..g.oc {
            let map = plane % g.groups * g.oc + o;
            let g_map = gradient(g, of, plane * g.oc + o, &mut masked);
            if !dw.is_empty() || of.images {
                lattice.spread(g_map, &mut spread);
            }
            if !dw.is_empty() {
                let g_run = &spread[lattice.lead()..][..results];
                contract(&x, &lattice.shifts, g_run, &mut sums[map * taps..][..taps]);
            }
            if of.images {
                lattice.back(&spread, &of.weight[map * taps..][..taps], &mut planes, o > 0);
            }
            match db.len() / g.maps() {
                0 => {}
                1 => db[map] += sum(g_map),
                len => db[map * len..][..len].iter_mut().zip(g_map).for_each(|(sum, g)| *sum += g),
            }
        }
        if of.images {
            lattice.unpack(&planes, &mut dx[(plane - first) * input..][..input]);
        }
    }
    add_totals(dw, &sums);
}
