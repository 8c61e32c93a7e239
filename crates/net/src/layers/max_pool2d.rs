//! The largest value of each window: (b, c, h, w) -> (b, c, h', w'). Padding is minus infinity, that is, it is never
//! chosen.

use l0_ops::{Epilogue, Window};
use serde::{Deserialize, Serialize};

use super::Rules;
use crate::forward::{At, Flow};
use crate::geometry::{Pair, Sides};
use crate::onnx::{Attribute, Graph};
use crate::{Place, Result, Shape};

/// Largest value of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool2d {
    /// Sides of the window.
    pub size: Pair,
    /// Steps from window to window; none where they lie side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<Pair>,
    /// Rows and columns around the image that hold no value.
    #[serde(default, skip_serializing_if = "Sides::is_empty")]
    pub padding: Sides,
    /// Whether a window may reach beyond the end, as long as it starts before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ceil: bool,
}

impl MaxPool2d {
    /// Windows side by side.
    pub fn new(size: impl Into<Pair>) -> Self {
        Self { size: size.into(), stride: None, padding: Sides::default(), ceil: false }
    }

    /// The side of square windows that lie side by side, without padding and complete.
    pub fn side_by_side(&self) -> Option<usize> {
        let Self { size, stride, padding, ceil } = self;
        let plain = stride.is_none_or(|stride| stride == *size) && padding.is_empty() && !ceil;
        size.square().filter(|&side| plain && side > 1)
    }

    fn window(&self) -> Window {
        window(self.size, self.stride, self.padding, self.ceil)
    }
}

/// The windows of a pooling layer.
pub(super) fn window(size: Pair, stride: Option<Pair>, padding: Sides, ceil: bool) -> Window {
    Window { size: size.tuple(), stride: stride.unwrap_or(size).tuple(), padding: padding.array(), ceil }
}

/// Whether a pool makes an image of several positions out of one, as padding on all sides does.
pub(super) fn grows(at: &At, window: &Window) -> bool {
    matches!(at.input_shape(0), Shape::Image(_, 1, 1)) && window.output(1, 1) != Some((1, 1))
}

/// A file may ask for any window, and what pools makes room for one.
const LARGEST_WINDOW: usize = 1 << 24;

/// The shape that pooling makes, or what is wrong.
pub(super) fn pooled(layer: &dyn Rules, window: &Window, input: Shape) -> Result<Shape, String> {
    let [top, left, bottom, right] = window.padding;
    let (h, w) = window.size;
    let small = top.max(bottom) < h.max(1) && left.max(right) < w.max(1);
    let sane = |(h, w): (usize, usize)| h.checked_mul(w).is_some_and(|positions| positions <= LARGEST_WINDOW);
    let sides = match input {
        Shape::Image(_, h, w) if small && sane(window.size) && sane(window.stride) => window.output(h, w),
        _ => None,
    };
    let expected = || {
        format!(
            "a large enough image (c, h, w), windows and steps of 1 to {LARGEST_WINDOW} positions (are {:?} and {:?}) and \
             padding below the window's sides (is {:?})",
            window.size, window.stride, window.padding
        )
    };
    let image = |(h, w)| Shape::Image(input.units(), h, w);
    sides.map(image).ok_or_else(|| super::wrong(layer, &expected(), input))
}

/// Attributes of a pooling operator.
pub(super) fn attributes(window: &Window) -> Vec<(&'static str, Attribute)> {
    let pair = |(h, w): (usize, usize)| Pair { h, w }.ints().into();
    let mut attributes = vec![("kernel_shape", pair(window.size)), ("strides", pair(window.stride))];
    if window.padding != [0; 4] {
        attributes.push(("pads", Sides::from(window.padding).ints().into()));
    }
    if window.ceil {
        attributes.push(("ceil_mode", 1.into()));
    }
    attributes
}

impl Rules for MaxPool2d {
    fn epilogue(&self) -> Option<Epilogue> {
        self.side_by_side().map(|max_pool| Epilogue { relu: false, max_pool })
    }

    fn kind(&self) -> &'static str {
        "max pool"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        pooled(self, &self.window(), inputs[0])
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let (side_by_side, grows) = (self.side_by_side(), grows(at, &self.window()));
        at.each(inputs[0], false, |xs, _| match side_by_side {
            _ if !grows && xs.dim(2)? * xs.dim(3)? == 1 => Ok(xs.clone()), // a constant, or an image of one position
            Some(side) => l0_ops::max_pool2d(xs, side),
            None => l0_ops::max_pool(xs, &self.window()),
        })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        Ok(graph.operator("MaxPool", place.name, inputs, &attributes(&self.window())))
    }
}
