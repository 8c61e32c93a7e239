//! Depthwise convolution: each channel has kernels of its own, so there is no sum over channels to share loads in, and
//! the work is plane by plane, along rows, without patches.

use super::geometry::Geometry;
use super::operands::{Backward, Gradients};
use crate::lattice::{LANES, Lattice, Side, Vector, contract, correlate};
use crate::loops::{mask_into, rectify};
use crate::parallel::{Scratch, scratch};
use crate::planes::{each_plane, each_plane_with};

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
    each_plane_with(g.b * g.groups, g.oc * output, g.oc * output * taps, buffers, |(x, a), at, ys| {
        lattice.pack(&xs[at * input..][..input], x);
        for (o, ys) in (at % g.groups * g.oc..).zip(ys.chunks_exact_mut(output)) {
            correlate(x, &lattice.shifts, &weight[o * taps..][..taps], a, false);
            let bias = &bias[o * g.bias_plane()..][..g.bias_plane()];
            for (y, (row, ys)) in lattice.rows_of(a).zip(ys.chunks_exact_mut(g.ow)).enumerate() {
                finish(row, if g.bias_map { &bias[y * g.ow..] } else { bias }, g.relu, ys);
            }
        }
    })
}

/// Bias, one or a row of them, and ReLU.
fn finish(row: &[f32], bias: &[f32], relu: bool, ys: &mut [f32]) {
    match bias {
        [bias] => ys.iter_mut().zip(row).for_each(|(y, a)| *y = a + bias),
        bias => ys.iter_mut().zip(row).zip(bias).for_each(|((y, a), bias)| *y = a + bias),
    }
    if relu {
        ys.iter_mut().for_each(|y| *y = rectify(*y));
    }
}

pub(super) fn backward(g: &Geometry, of: &Backward, to: &mut Gradients) {
    let lattice = lattice(g);
    if of.images {
        to.xs = image_gradient(g, &lattice, of);
    }
    let (dw, db) = (to.weight.len() / g.groups, to.bias.len() / g.groups);
    if dw + db == 0 {
        return;
    }
    let work = g.b * g.oc * lattice.output() * g.kh * g.kw;
    let sums = each_plane(g.groups, dw + db, work, |channel, sums| {
        let (dw, db) = sums.split_at_mut(dw);
        channel_gradients(g, &lattice, of, channel, dw, db);
    });
    for (channel, sums) in sums.chunks_exact(dw + db).enumerate() {
        to.weight[channel * dw..][..dw].copy_from_slice(&sums[..dw]);
        to.bias[channel * db..][..db].copy_from_slice(&sums[dw..]);
    }
}

/// The gradient of channel `at` of all images, behind the ReLU.
fn gradient<'a>(g: &Geometry, of: &Backward<'a>, at: usize, masked: &'a mut Scratch) -> &'a [f32] {
    let map = at * g.oh * g.ow..(at + 1) * g.oh * g.ow;
    if !g.relu {
        return &of.grad[map];
    }
    mask_into(masked, &of.grad[map.clone()], &of.ys[map]);
    masked
}

fn image_gradient(g: &Geometry, lattice: &Lattice, of: &Backward) -> Vec<f32> {
    let taps = g.kh * g.kw;
    let buffers = || (scratch(lattice.output()), lattice.room(), lattice.planes(0.0));
    each_plane_with(
        g.b * g.groups,
        lattice.input(),
        g.oc * lattice.output() * taps,
        buffers,
        |(masked, spread, planes), at, dx| {
            for o in 0..g.oc {
                lattice.spread(gradient(g, of, at * g.oc + o, masked), spread);
                let weight = &of.weight[(at % g.groups * g.oc + o) * taps..][..taps];
                lattice.back(spread, weight, planes, o > 0);
            }
            lattice.unpack(planes, dx);
        },
    )
}

/// The gradients of the kernels of a channel, image by image, and of its biases.
fn channel_gradients(g: &Geometry, lattice: &Lattice, of: &Backward, channel: usize, dw: &mut [f32], db: &mut [f32]) {
    let (input, results, taps) = (lattice.input(), lattice.results(), g.kh * g.kw);
    let mut masked = scratch(lattice.output());
    let (mut x, mut spread) = (lattice.planes(0.0), lattice.room());
    let mut sums = vec![Vector::ZERO; dw.len()];
    for plane in (0..g.b).map(|n| n * g.groups + channel) {
        if !dw.is_empty() {
            lattice.pack(&of.xs[plane * input..][..input], &mut x);
        }
        for o in 0..g.oc {
            let g_map = gradient(g, of, plane * g.oc + o, &mut masked);
            if !dw.is_empty() {
                lattice.spread(g_map, &mut spread);
                let g_run = &spread[lattice.lead()..][..results];
                contract(&x, &lattice.shifts, g_run, &mut sums[o * taps..][..taps]);
            }
            match db.len() / g.oc {
                0 => {}
                1 => db[o] += sum(g_map),
                map => db[o * map..][..map].iter_mut().zip(g_map).for_each(|(sum, g)| *sum += g),
            }
        }
    }
    dw.iter_mut().zip(&sums).for_each(|(dw, sum)| *dw = sum.reduce_add());
}

/// The sum of some numbers, eight side by side.
fn sum(xs: &[f32]) -> f32 {
    let (eights, rest) = xs.as_chunks::<LANES>();
    let eights = eights.iter().fold(Vector::ZERO, |sum, &x| sum + Vector::from(x));
    eights.reduce_add() + rest.iter().sum::<f32>()
}
