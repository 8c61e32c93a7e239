//! The mean of each window: (b, c, h, w) -> (b, c, h', w').

use l0_ops::Window;
use serde::{Deserialize, Serialize};

use super::Rules;
use super::facts::uneven;
use super::max_pool2d::{attributes, grows, pooled, window};
use super::pad::padded;
use crate::forward::{At, Flow};
use crate::geometry::{Pair, Sides};
use crate::onnx::Graph;
use crate::{Place, Result, Shape, Unit};

/// Mean of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvgPool2d {
    /// Sides of the window.
    pub size: Pair,
    /// Steps from window to window; none where they lie side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<Pair>,
    /// Rows and columns of zeros around the image.
    #[serde(default, skip_serializing_if = "Sides::is_empty")]
    pub padding: Sides,
    /// Whether a window may reach beyond the end, as long as it starts before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ceil: bool,
    /// Whether the zeros around the image count; else the mean is that of the values inside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub count_include_pad: bool,
}

impl AvgPool2d {
    /// Windows side by side.
    pub fn new(size: impl Into<Pair>) -> Self {
        Self { size: size.into(), stride: None, padding: Sides::default(), ceil: false, count_include_pad: false }
    }

    fn window(&self) -> Window {
        window(self.size, self.stride, self.padding, self.ceil)
    }

    /// Zeros around the image, and windows without padding over both together, which give the same: where zeros count
    /// and a window may reach beyond them, runtimes do not agree on what it is divided by. None if nothing is to be
    /// gained, or another number of windows would be made, as steps over gaps may.
    fn padded_before(&self, image: Shape) -> Option<(Sides, Window)> {
        let Shape::Image(_, h, w) = image else { return None };
        if !self.ceil || !self.counts_zeros() {
            return None;
        }
        let window = self.window();
        let (rows, columns) = window.output(h, w)?;
        let [top, left, bottom, right] = window.padding;
        let ends = |windows: usize, size: usize, stride: usize| (windows - 1) * stride + size;
        let (end_h, end_w) =
            (ends(rows, window.size.0, window.stride.0), ends(columns, window.size.1, window.stride.1));
        // Zeros that no window reaches would make one more.
        let bottom = end_h.saturating_sub(h + top).min(bottom);
        let right = end_w.saturating_sub(w + left).min(right);
        let (h, w) = (h + top + bottom, w + left + right);
        let bare = Window { padding: [0; 4], ceil: end_h > h || end_w > w, ..window };
        let is_same = bare.output(h, w) == Some((rows, columns));
        is_same.then(|| ([top, left, bottom, right].into(), bare))
    }

    /// Whether zeros are averaged with values.
    fn counts_zeros(&self) -> bool {
        self.count_include_pad && !self.padding.is_empty()
    }
}

impl Rules for AvgPool2d {
    fn kind(&self) -> &'static str {
        "average pool"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        pooled(self, &self.window(), inputs[0])
    }

    fn unit(&self, unit: Unit, _: bool) -> Unit {
        if self.counts_zeros() { uneven(unit) } else { unit }
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let (counts, grows) = (self.counts_zeros(), grows(at, &self.window()));
        at.each(inputs[0], counts, |xs, _| match xs.dim(2)? * xs.dim(3)? {
            1 if !counts && !grows => Ok(xs.clone()), // a constant, or an image of one position
            _ => l0_ops::avg_pool(xs, &self.window(), self.count_include_pad),
        })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        if let Some((padding, window)) = self.padded_before(place.inputs[0]) {
            let padded = padded(graph, &format!("{}.padded", place.name), inputs[0].clone(), padding);
            return Ok(graph.operator("AveragePool", place.name, &[padded], &attributes(&window)));
        }
        let mut attributes = attributes(&self.window());
        if self.counts_zeros() {
            // Without padding the flag says nothing, and runtimes differ in what they make of it where windows reach beyond.
            attributes.push(("count_include_pad", 1.into()));
        }
        Ok(graph.operator("AveragePool", place.name, inputs, &attributes))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn zeros_put_around_first_and_windows_without_padding_give_the_same() -> Result<()> {
        let all = (1..7).flat_map(|n| (1..4).map(move |size| (n, size)));
        let all = all.flat_map(|(n, size)| (1..4).map(move |stride| (n, size, stride)));
        let all = all.flat_map(|(n, size, stride)| (0..size * size).map(move |pads| (n, size, stride, pads)));
        for (n, size, stride, pads) in all {
            let (before, after) = (pads / size, pads % size);
            let padding = Sides::from([before, 0, after, 0]);
            let (size, stride) = (Pair { h: size, w: 2 }, Pair { h: stride, w: 2 });
            let pool = AvgPool2d { size, stride: Some(stride), padding, ceil: true, count_include_pad: true };
            let case = format!("{n} rows, {pool:?}");
            if pool.window().output(n, 3).is_none() || !pool.counts_zeros() {
                continue;
            }
            let Some((padding, window)) = pool.padded_before(Shape::Image(1, n, 3)) else {
                assert!(stride.h > size.h, "{case}");
                continue;
            };
            assert!(window.padding == [0; 4], "{case}");
            let xs = (Tensor::arange(0f32, 3.0 * n as f32, &Device::Cpu)?.reshape((1, 1, n, 3))? + 1.0)?;
            let expected = l0_ops::avg_pool(&xs, &pool.window(), true)?;
            let found = l0_ops::avg_pool(&l0_ops::pad(&xs, padding.array())?, &window, false)?;
            assert_eq!(found.dims(), expected.dims(), "{case}");
            let off = (found - expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(off < 1e-5, "{case}: off by {off}");
        }
        Ok(())
    }
}
