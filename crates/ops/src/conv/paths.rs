//! A convolution and its pass back, the way that its geometry chose.

use super::geometry::{Geometry, Path};
use super::operands::{Backward, Gradients};
use super::{depthwise, direct, gradients, im2col, plan};

pub(super) fn forward(g: &Geometry, xs: &[f32], weight: &[f32], bias: &[f32], places: &mut [u8]) -> Vec<f32> {
    match g.path {
        Path::Products => im2col::forward(g, xs, weight, bias, places),
        Path::Direct => direct::forward(g, xs, weight, bias, places),
        Path::Depthwise => depthwise::forward(g, xs, weight, bias),
    }
}

pub(super) fn backward(g: &Geometry, of: &Backward, to: &mut Gradients) {
    match g.path {
        Path::Products => im2col::backward(g, of, to),
        Path::Direct => gradients::backward(g, of, to),
        Path::Depthwise => depthwise::backward(g, of, to),
    }
}

/// Places of maxima that are kept.
pub(super) fn places_len(g: &Geometry) -> usize {
    match g.path {
        _ if g.pool == 1 => 0,
        Path::Direct => plan::places_len(g),
        Path::Products | Path::Depthwise => g.b * g.out(),
    }
}
