//! Convolution without patches: eight images at a time, their numbers side by side, sums kept in registers.
//!
//! A padded image with stride s is kept as s x s planes of every s-th row and column, so that a kernel offset is a mere
//! shift of a plane; the gradient of the images is, for each of these planes, a convolution of g with the kernel
//! offsets that meet it. Good for few channels, narrow images and odd sizes, where matrix products starve.

use std::ops::Range;

use l0_lanes::{Eights, Lanes, at_best};

use super::geometry::Geometry;
use super::plan::{Plan, groups, order_weights};
use super::tile::{LANES, OUTPUTS, Source, Target, Vector, correlate, even};
use super::winograd::{Kernels, side};
use crate::parallel::{carve, scratch};
use crate::unset::{Images, filled};

pub(super) fn forward(g: &Geometry, xs: &[f32], weight: &[f32], bias: &[f32], places: &mut [u8]) -> Vec<f32> {
    let (plan, groups, out) = (Plan::new(g), groups(g), g.out());
    let weights: Vec<Weights> = weight.chunks_exact(g.weights()).map(|weight| Weights::new(&plan, weight)).collect();
    let kept = if g.pool > 1 { out * LANES } else { 0 };
    let places = carve(places, groups.iter().map(|_| kept));
    let items = groups.iter().zip(places).map(|(images, places)| (images.len() * out, (images, places))).collect();
    filled(items, |(images, places): (&Range<usize>, &mut [u8]), ys| {
        let mut ys = ys.images(out);
        let (mut x, mut a) = (scratch(g.ic * plan.x_plane() * LANES), scratch(g.oc * g.oh * g.ow * LANES));
        let (x, a) = (x.eights(), a.eights());
        let (xs, places) = (&xs[images.start * g.image()..images.end * g.image()], places.as_chunks_mut().0);
        for (part, weights) in weights.iter().enumerate() {
            plan.pack_images(&xs[part * g.group_image()..], x);
            weights.correlate(&plan, x, a);
            finish(g, part, a, bias, &mut ys, places);
        }
        ys.set()
    })
}

/// The weights of a convolution as its inner loops want them.
enum Weights {
    /// In the order in which they are met, with the shifts of the kernel's offsets.
    Ordered(Vec<f32>, Vec<usize>),
    Transformed(Kernels),
}

impl Weights {
    fn new(plan: &Plan, weight: &[f32]) -> Self {
        let g = &plan.g;
        if let Some(side) = side(g) {
            let (kernels, _) = weight.as_chunks();
            return Self::Transformed(Kernels::new(side, g.oc, g.ic, |o, i| kernels[o * g.ic + i]));
        }
        let weights = order_weights(g.oc, g.depth(), |o, term| weight[o * g.depth() + term]);
        Self::Ordered(weights, plan.shifts())
    }

    /// From the padded planes of a group of images, its output channels (o, h', w').
    fn correlate(&self, plan: &Plan, x: &[Vector], a: &mut [Vector]) {
        let g = &plan.g;
        let (weights, shifts) = match self {
            Self::Transformed(kernels) => return kernels.correlate(plan.x_planes(x), (g.oh, g.ow), a),
            Self::Ordered(weights, shifts) => (weights, shifts),
        };
        for y in 0..g.oh {
            let (first, end) = plan.rows_inside(y);
            let from = Source { data: x, plane: plan.x_plane(), shifts, first: first * g.kw, end: end * g.kw };
            for (o, len) in even(g.oc, OUTPUTS) {
                let weights = &weights[o * g.depth()..][..len * g.depth()];
                let target = Target { at: (o * g.oh + y) * g.ow, plane: g.oh * g.ow, step: 1 };
                correlate(from, y * plan.wq, g.ow, weights, len, a, target);
            }
        }
    }
}

/// Bias, ReLU and pooling of the outputs of a part of the channels, back to images.
fn finish(g: &Geometry, part: usize, a: &mut [Vector], bias: &[f32], ys: &mut Images, places: &mut [[u8; LANES]]) {
    let (pooled, first) = (g.pooled(), part * g.oc);
    for (o, a) in (first..).zip(a.chunks_exact_mut(g.oh * g.ow)) {
        if g.bias_map {
            add_map(a, &bias[o * a.len()..]);
        }
        if g.pool > 1 {
            max_pool(g, a, &mut places[o * pooled..][..pooled]);
        }
        let a = &mut a[..pooled];
        add_bias(a, if g.bias_map { 0.0 } else { bias[o] }, g.relu);
        ys.put(a);
    }
}

at_best! {
    /// Adds a number for each position.
    fn add_map(a: &mut [Vector], bias: &[f32]) as V: Eight {
        for (a, &bias) in a.iter_mut().zip(bias) {
            (V::load(a) + V::splat(bias)).store(a);
        }
    }

    /// `a + bias`, then `max(0, a)` if asked; not a number stays so.
    fn add_bias(a: &mut [Vector], bias: f32, relu: bool) as V: Eight {
        let (bias, zero) = (V::splat(bias), V::zero());
        for a in a {
            let sum = V::load(a) + bias;
            if relu { zero.larger(sum) } else { sum }.store(a);
        }
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
}
