//! Transposed convolution: the gradient of a convolution with respect to its input, as a layer that enlarges images.
//!
//! `ys[o, s i + d u - p, s j + d v - p] += W[c, o, u, v] xs[c, i, j]` over all c, i, j, u, v, plus b[o]: xs (b, in, h,
//! w), W (in, out, kh, kw), b (out,) -> (b, out, h', w'), h' = (h - 1) s + d (kh - 1) + 1 + output padding - pads.

use candle_core::Tensor;
use l0_ops::{Epilogue, TransposedSettings};
use serde::{Deserialize, Serialize};

use super::facts::{Declared, nonzero_rows};
use super::{Dependence, LinearMap, Per, Reads, Rules, Sources, SpaceOf, Work};
use crate::forward::{At, Flow};
use crate::geometry::{Pair, Sides};
use crate::onnx::Graph;
use crate::weights::Values;
use crate::{Place, Result, Shape, Unit};

/// The gradient of a convolution, as a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose2d {
    /// Number of output channels.
    pub out: usize,
    /// Sides of the kernel.
    pub kernel: Pair,
    /// Distances at which inputs lay down the kernel.
    #[serde(default = "Pair::one")]
    pub stride: Pair,
    /// Rows and columns taken off each side of the output.
    #[serde(default)]
    pub padding: Sides,
    /// Rows and columns added below and to the right.
    #[serde(default, skip_serializing_if = "Pair::is_zero")]
    pub output_padding: Pair,
    /// Distances between the kernel's rows and columns.
    #[serde(default = "Pair::one", skip_serializing_if = "Pair::is_one")]
    pub dilation: Pair,
    /// Whether there is a bias.
    pub bias: bool,
}

impl ConvTranspose2d {
    /// A transposed convolution with a bias that enlarges images `stride` times where its kernel has that size.
    pub fn new(out: usize, kernel: impl Into<Pair>, stride: impl Into<Pair>) -> Self {
        let (kernel, stride, padding) = (kernel.into(), stride.into(), Sides::default());
        Self { out, kernel, stride, padding, output_padding: 0.into(), dilation: Pair::ONE, bias: true }
    }

    fn sides(&self, h: usize, w: usize) -> Option<(usize, usize)> {
        let side = |n: usize, kernel: usize, stride: usize, dilation: usize, more: usize, pads: usize| {
            let reach = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
            let all = n.checked_sub(1)?.checked_mul(stride)?.checked_add(reach)?.checked_add(more)?;
            all.checked_sub(pads).filter(|&side| side > 0 && all <= Shape::LIMIT)
        };
        let (Self { kernel, stride, dilation, output_padding: more, .. }, (ph, pw)) =
            (self, self.padding.around(0, 0)?);
        Some((
            side(h, kernel.h, stride.h, dilation.h, more.h, ph)?,
            side(w, kernel.w, stride.w, dilation.w, more.w, pw)?,
        ))
    }
}

impl Rules for ConvTranspose2d {
    fn kind(&self) -> &'static str {
        "transposed conv2d"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let sides = match inputs[0] {
            Shape::Image(_, h, w) => self.sides(h, w),
            Shape::Features(_) => None,
        };
        let zero = self.out == 0 || self.stride.has_zero() || self.dilation.has_zero();
        sides.filter(|_| !zero).map(|(h, w)| Shape::Image(self.out, h, w)).ok_or_else(|| {
            let Self { kernel, stride, dilation, padding, .. } = self;
            let expected = format!(
                "an image (c, h, w), a kernel, stride and dilation of 1 or more (are {kernel}, {stride} and {dilation}), \
                 padding that leaves something (is {padding:?}) and one output or more (is {})",
                self.out
            );
            super::wrong(self, &expected, inputs[0])
        })
    }

    fn parameters(&self, inputs: &[Shape], _: Shape) -> Vec<Declared> {
        let (inputs, kernel) = (inputs[0].units(), self.kernel);
        // Each output is reached by a kernel's share of every input.
        let fan_in = (inputs * kernel.area()).div_ceil(self.stride.area());
        let weight = Declared::weight(vec![inputs, self.out, kernel.h, kernel.w], fan_in);
        std::iter::once(weight).chain(self.bias.then(|| Declared::bias(vec![self.out]))).collect()
    }

    fn space(&self, _: &[Shape]) -> SpaceOf {
        SpaceOf::Own
    }

    fn reads(&self, _: &[Shape], _: Shape) -> Reads {
        Reads::All
    }

    fn becomes(&self, from: &Sources) -> Vec<Unit> {
        from.mixed(1, self.bias, true)
    }

    fn work(&self, inputs: &[Shape], output: Shape) -> Option<Work> {
        Some(Work::affine(Per::Pair(1), self.kernel.area(), inputs[0].positions(), self.bias, output))
    }

    fn depends(&self, values: &Values, from: &Dependence) -> Result<Vec<bool>> {
        nonzero_rows(values.of("weight")?, from.inputs[0], true)
    }

    fn is_affine(&self) -> bool {
        true
    }

    fn row_dim(&self) -> Option<usize> {
        Some(1)
    }

    fn bias(&self) -> Option<bool> {
        Some(self.bias)
    }

    fn set_bias(&mut self, bias: bool) {
        self.bias = bias;
    }

    fn linear_map(&self) -> Option<&dyn LinearMap> {
        Some(self)
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        at.linear_map(self, inputs[0])
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let stored = graph.weight_and_bias(place.name, self.bias)?;
        let attributes = [
            ("kernel_shape", self.kernel.ints().into()),
            ("strides", self.stride.ints().into()),
            ("pads", self.padding.ints().into()),
            ("dilations", self.dilation.ints().into()),
            ("output_padding", self.output_padding.ints().into()),
        ];
        Ok(graph.operator("ConvTranspose", place.name, &[inputs, &stored].concat(), &attributes))
    }
}

impl LinearMap for ConvTranspose2d {
    fn is_transposed(&self) -> bool {
        true
    }

    fn is_uneven(&self) -> bool {
        true
    }

    fn summed(&self, weight: &Tensor) -> candle_core::Result<Tensor> {
        weight.sum((2, 3))?.t()
    }

    fn apply(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        epilogue: Epilogue,
    ) -> candle_core::Result<Tensor> {
        let settings = TransposedSettings {
            stride: self.stride.tuple(),
            padding: self.padding.array(),
            output_padding: self.output_padding.tuple(),
            dilation: self.dilation.tuple(),
            groups: 1,
        };
        let ys = l0_ops::conv_transpose(xs, weight, bias, &settings)?;
        if epilogue.relu { l0_ops::relu(&ys) } else { Ok(ys) }
    }
}
