//! The mean of each window: (b, c, h, w) -> (b, c, h', w').

use l0_ops::Window;
use serde::{Deserialize, Serialize};

use super::Rules;
use super::facts::uneven;
use super::max_pool2d::{attributes, grows, pooled, window};
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
        let mut attributes = attributes(&self.window());
        if self.count_include_pad {
            attributes.push(("count_include_pad", 1.into()));
        }
        Ok(graph.operator("AveragePool", place.name, inputs, &attributes))
    }
}
