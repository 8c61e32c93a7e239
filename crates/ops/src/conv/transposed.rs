//! Transposed convolution: each number of the image adds its multiple of a kernel to the result.
//!
//! `ys[n, o, j, l] = b[o] + sum of W[i, o, u, v] xs[n, i, y, x]` over all terms with `s y + d u - p = j` and
//! `s x + d v - p = l`: the gradient of a convolution with respect to its images, with xs for the gradient of its outputs. So
//! its own gradients are that convolution of g, and the gradient of that convolution's kernels.

use candle_core::{CpuStorage, Result, Shape, Tensor};

use super::geometry::Geometry;
use super::operands::{Backward as Operands, Gradients};
use super::paths;
use crate::chain::{Operation, apply_all};
use crate::cpu::{bias_or_zeros, numbers, output, serves, tensor};
use crate::gradients::Backward;
use crate::parallel::{carve, each, split};
use crate::portable;
use crate::settings::TransposedSettings;

struct Transposed {
    /// The convolution whose gradient this is.
    of: Geometry,
    /// Numbers of the bias of a channel.
    bias: usize,
}

impl Transposed {
    /// Gradients of the convolution for images and for the gradient of its outputs: of its images, or of its kernels.
    fn gradients(&self, images: &[f32], maps: &[f32], weight: &[f32], of_images: bool) -> Vec<f32> {
        let kernels = if of_images { vec![] } else { vec![0.0; self.of.groups * self.of.weights()] };
        let operands = Operands { xs: images, weight, ys: maps, grad: maps, places: &[], images: of_images };
        let mut to = Gradients { xs: vec![], weight: kernels, bias: vec![] };
        paths::backward(&self.of, &operands, &mut to);
        if of_images { to.xs } else { to.weight }
    }

    fn add_bias(&self, bias: &[f32], ys: &mut [f32]) {
        let (image, plane) = (self.of.image(), self.of.ih * self.of.iw);
        let images = split(self.of.b, 16, 1);
        each(carve(ys, images.iter().map(|images| images.len() * image)), |ys| {
            for (plane, bias) in ys.chunks_exact_mut(plane).zip(bias.chunks_exact(self.bias).cycle()) {
                match bias {
                    [bias] => plane.iter_mut().for_each(|y| *y += bias),
                    bias => plane.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias),
                }
            }
        });
    }

    fn bias_gradient(&self, g: &[f32]) -> Vec<f32> {
        let (channels, plane) = (self.of.groups * self.of.ic, self.of.ih * self.of.iw);
        let mut sums = vec![0f64; channels * self.bias];
        for image in g.chunks_exact(channels * plane) {
            for (sums, plane) in sums.chunks_exact_mut(self.bias).zip(image.chunks_exact(plane)) {
                match sums {
                    [sum] => *sum += plane.iter().map(|&g| f64::from(g)).sum::<f64>(),
                    sums => sums.iter_mut().zip(plane).for_each(|(sum, &g)| *sum += f64::from(g)),
                }
            }
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }
}

impl Operation for Transposed {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let ys = numbers([&args[0], &args[1], &args[2]], |[xs, weight, bias]| {
            let mut ys = self.gradients(&[], xs, weight, true);
            self.add_bias(bias, &mut ys);
            ys
        });
        output(ys?, (self.of.b, self.of.groups * self.of.ic, self.of.ih, self.of.iw))
    }
}

impl Backward for Transposed {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let [xs, weight, bias] = [&args[0], &args[1], &args[2]];
        let none = vec![0.0; self.of.maps()];
        let dxs = || {
            let dxs = numbers([grad, weight], |[g, weight]| paths::forward(&self.of, g, weight, &none, &mut []));
            tensor(dxs?, xs.shape())
        };
        let dweight = || {
            let dweight = numbers([grad, xs, weight], |[g, xs, weight]| self.gradients(g, xs, weight, false));
            tensor(dweight?, weight.shape())
        };
        let dbias = || tensor(numbers([grad], |[g]| self.bias_gradient(g))?, bias.shape());
        Ok(vec![
            xs.track_op().then(dxs).transpose()?,
            weight.track_op().then(dweight).transpose()?,
            bias.track_op().then(dbias).transpose()?,
        ])
    }
}

/// Transposed convolution: (b, i, h, w), (i, o / groups, kh, kw), (o,) or (o, h', w') -> (b, o, h', w') with
/// h' = (h - 1) stride + dilation (kh - 1) + 1 + output_padding - top - bottom.
///
/// # Errors
/// If the shapes do not fit together, a stride or dilation is 0, the groups do not divide the channels, or the result
/// has no pixels.
pub fn conv_transpose(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    settings: &TransposedSettings,
) -> Result<Tensor> {
    let of = Geometry::transposed(xs, weight, bias, settings)?;
    let empty = xs.elem_count() == 0 || weight.elem_count() == 0;
    if empty || !serves(&[xs, weight]) || bias.is_some_and(|bias| !serves(&[bias])) {
        return portable::conv_transpose(xs, weight, bias, settings);
    }
    let bias = bias_or_zeros(bias, of.groups * of.ic, xs)?;
    let per_channel = bias.elem_count() / (of.groups * of.ic);
    apply_all(vec![xs.contiguous()?, weight.contiguous()?, bias], Transposed { of, bias: per_channel })
}
