//! Convolution as matrix products, image by image: each patch of the image becomes a column.
//!
//! With C (i k k, h' w') the patches of an image: `a = W C`, `dW += g C^T`, `dC = W^T g`, and dxs adds up dC where
//! patches overlap. Good where the products are large: many channels, or few images.

use std::ops::Range;

use super::geometry::Geometry;
use super::operands::{Backward, Gradients};
use crate::gemm::{Mat, gemm};
use crate::loops::{mask_into, rectify};
use crate::parallel::{carve, scratch, split};
use crate::unset::made;

/// Where a kernel offset of one dimension stays inside the image: the range of outputs, and the input of the first.
fn inside(offset: usize, stride: usize, padding: usize, input: usize, outputs: usize) -> (Range<usize>, usize) {
    let first = padding.saturating_sub(offset).div_ceil(stride);
    let end = (input + padding).saturating_sub(offset).div_ceil(stride).min(outputs);
    if first >= end { (0..0, 0) } else { (first..end, first * stride + offset - padding) }
}

impl Geometry {
    fn positions(&self) -> usize {
        self.oh * self.ow
    }

    /// Whether the patches are the image itself.
    fn pointwise(&self) -> bool {
        (self.kh, self.kw, self.stride) == (1, 1, (1, 1)) && (self.before, self.after) == ((0, 0), (0, 0))
    }

    /// Calls `f(row of patches, output row, output columns, first input)` for every run of numbers the image has.
    fn runs(&self, mut f: impl FnMut(usize, usize, Range<usize>, usize)) {
        for row in 0..self.depth() {
            let (i, u, v) = (row / (self.kh * self.kw), row / self.kw % self.kh, row % self.kw);
            let (ys, y0) = inside(u * self.dilation.0, self.stride.0, self.before.0, self.ih, self.oh);
            let (xs, x0) = inside(v * self.dilation.1, self.stride.1, self.before.1, self.iw, self.ow);
            for (step, y) in ys.enumerate() {
                f(row, y, xs.clone(), (i * self.ih + y0 + step * self.stride.0) * self.iw + x0);
            }
        }
    }

    /// The patches of an image: (i, h, w) -> (i k k, h' w').
    fn patches(&self, image: &[f32], cols: &mut [f32]) {
        if (self.before, self.after) != ((0, 0), (0, 0)) {
            cols.fill(0.0);
        }
        self.runs(|row, y, xs, from| {
            let to = &mut cols[row * self.positions() + y * self.ow..][xs];
            if self.stride.1 == 1 {
                to.copy_from_slice(&image[from..from + to.len()]);
            } else {
                to.iter_mut().zip(image[from..].iter().step_by(self.stride.1)).for_each(|(to, x)| *to = *x);
            }
        });
    }

    /// The patches as a matrix (i k k, h' w'), in `cols` unless they are the image itself.
    fn columns<'a>(&self, image: &'a [f32], cols: &'a mut [f32]) -> Mat<'a> {
        if self.pointwise() {
            return Mat::new(image, self.depth(), self.positions());
        }
        self.patches(image, cols);
        Mat::new(cols, self.depth(), self.positions())
    }

    /// Adds up what the patches give to each number of the image: (i k k, h' w') -> (i, h, w).
    fn add_patches(&self, cols: &[f32], image: &mut [f32]) {
        self.runs(|row, y, xs, start| {
            let from = &cols[row * self.positions() + y * self.ow..][xs];
            if self.stride.1 == 1 {
                image[start..start + from.len()].iter_mut().zip(from).for_each(|(x, c)| *x += c);
            } else {
                image[start..].iter_mut().step_by(self.stride.1).zip(from).for_each(|(x, c)| *x += c);
            }
        });
    }

    /// Bias, ReLU and pooling of one image: (o, h', w') -> (o, pooled).
    fn finish(&self, a: &mut [f32], bias: &[f32], ys: &mut [f32], places: &mut [u8]) {
        let pooled = self.pooled();
        for (o, (a, ys)) in a.chunks_exact_mut(self.positions()).zip(ys.chunks_exact_mut(pooled)).enumerate() {
            if self.bias_map {
                let bias = &bias[o * a.len()..][..a.len()];
                a.iter_mut().zip(bias).for_each(|(a, bias)| *a += bias);
            }
            let bias = if self.bias_map { 0.0 } else { bias[o] };
            if self.pool > 1 {
                self.windows().forward(a, ys, &mut places[o * pooled..][..pooled]);
            } else {
                ys.copy_from_slice(a);
            }
            let relu = self.relu;
            ys.iter_mut().for_each(|y| *y = if relu { rectify(*y + bias) } else { *y + bias });
        }
    }

    /// The gradient of one image behind pooling and ReLU: (o, pooled) -> (o, h', w').
    fn unfinish(&self, g: &[f32], ys: &[f32], places: &[u8], masked: &mut [f32], a: &mut [f32]) {
        let direct = if self.pool > 1 { &mut *masked } else { &mut *a };
        if self.relu {
            mask_into(direct, g, ys);
        } else {
            direct.copy_from_slice(g);
        }
        if self.pool > 1 {
            a.fill(0.0);
            let pooled = self.pooled();
            let planes = masked.chunks_exact(pooled).zip(places.chunks_exact(pooled));
            for (a, (g, places)) in a.chunks_exact_mut(self.positions()).zip(planes) {
                self.windows().backward(g, places, a);
            }
        }
    }
}

/// Fixed ranges of images.
fn pieces(g: &Geometry, most: usize) -> Vec<Range<usize>> {
    let macs = g.b * g.maps() * g.depth() * g.positions();
    split(g.b, (macs / 200_000).clamp(1, most), 1)
}

pub(super) fn forward(g: &Geometry, xs: &[f32], weight: &[f32], bias: &[f32], places: &mut [u8]) -> Vec<f32> {
    let (out, pieces) = (g.out(), pieces(g, 16));
    let kept = if g.pool > 1 { out } else { 0 };
    let places = carve(places, pieces.iter().map(|p| p.len() * kept));
    let items = pieces.iter().zip(places).map(|(piece, places)| (piece.len() * out, (piece, places))).collect();
    made(items, |(piece, places): (&Range<usize>, &mut [u8]), ys| {
        let mut cols = scratch(if g.pointwise() { 0 } else { g.depth() * g.positions() });
        let mut a = scratch(g.maps() * g.positions());
        for (n, ys) in piece.clone().zip(ys.chunks_exact_mut(out)) {
            let parts = xs[n * g.image()..].chunks_exact(g.group_image()).zip(weight.chunks_exact(g.weights()));
            for ((image, weight), a) in parts.zip(a.chunks_exact_mut(g.oc * g.positions())) {
                let cols = g.columns(image, &mut cols);
                gemm(a, false, Mat::new(weight, g.oc, g.depth()), cols);
            }
            g.finish(&mut a, bias, ys, &mut places[(n - piece.start) * kept..][..kept]);
        }
    })
}

pub(super) fn backward(g: &Geometry, of: &Backward, to: &mut Gradients) {
    let pieces = pieces(g, 4);
    let (dw_len, db_len) = (to.weight.len(), to.bias.len());
    let mut parts = vec![0.0; pieces.len() * (dw_len + db_len)];
    let dx_len = if of.images { g.image() } else { 0 };
    let parts_of = carve(&mut parts, pieces.iter().map(|_| dw_len + db_len));
    let items = pieces.iter().cloned().zip(parts_of).map(|item| (item.0.len() * dx_len, item)).collect();
    to.xs = made(items, |(piece, part): (Range<usize>, &mut [f32]), dx| {
        let (dw, db) = part.split_at_mut(dw_len);
        piece_backward(g, of, piece, dx, dw, db);
    });
    for part in parts.chunks_exact((dw_len + db_len).max(1)) {
        let (dw, db) = part.split_at(dw_len);
        to.weight.iter_mut().zip(dw).for_each(|(sum, part)| *sum += part);
        to.bias.iter_mut().zip(db).for_each(|(sum, part)| *sum += part);
    }
}

fn piece_backward(g: &Geometry, of: &Backward, piece: Range<usize>, dx: &mut [f32], dw: &mut [f32], db: &mut [f32]) {
    let (out, patches) = (g.out(), g.depth() * g.positions());
    let mut cols = scratch(if g.pointwise() { 0 } else { patches });
    let (mut a, mut masked) = (scratch(g.maps() * g.positions()), scratch(out));
    for n in piece.clone() {
        let (grad, ys) = (&of.grad[n * out..][..out], &of.ys[n * out..][..out]);
        let places = if g.pool > 1 { &of.places[n * out..][..out] } else { &[] };
        g.unfinish(grad, ys, places, &mut masked, &mut a);
        if g.bias_map {
            db.iter_mut().zip(&*a).for_each(|(sum, a)| *sum += a);
        } else {
            for (sum, plane) in db.iter_mut().zip(a.chunks_exact(g.positions())) {
                *sum += plane.iter().sum::<f32>();
            }
        }
        for (part, da) in a.chunks_exact(g.oc * g.positions()).enumerate() {
            let da = Mat::new(da, g.oc, g.positions());
            let image = part * g.group_image()..(part + 1) * g.group_image();
            let weights = part * g.weights()..(part + 1) * g.weights();
            if !dw.is_empty() {
                let xs = &of.xs[n * g.image()..][image.clone()];
                gemm(&mut dw[weights.clone()], true, da, g.columns(xs, &mut cols).t());
            }
            if dx.is_empty() {
                continue;
            }
            let dx = &mut dx[(n - piece.start) * g.image()..][image];
            let weight = Mat::new(&of.weight[weights], g.oc, g.depth()).t();
            if g.pointwise() {
                gemm(dx, false, weight, da);
            } else {
                gemm(&mut cols, false, weight, da);
                g.add_patches(&cols, dx);
            }
        }
    }
}
