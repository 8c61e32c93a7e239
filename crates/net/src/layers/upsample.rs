//! A larger image, by whole factors: (b, c, h, w) -> (b, c, fh h, fw w).

use serde::{Deserialize, Serialize};

use super::Rules;
use crate::forward::{At, Flow};
use crate::geometry::Pair;
use crate::onnx::{Attribute, Graph};
use crate::{Place, Result, Shape};

/// Where the values between positions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum UpsampleMode {
    /// Each value is repeated.
    Nearest,
    /// Between the four values around it.
    Bilinear {
        /// Whether the corner values of both images lie at one place, and not the corners of both images.
        align_corners: bool,
    },
}

/// A larger image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upsample {
    /// How many times larger.
    pub factor: Pair,
    /// Where the values between positions come from.
    pub mode: UpsampleMode,
}

impl Rules for Upsample {
    fn kind(&self) -> &'static str {
        "upsample"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let sides = match inputs[0] {
            Shape::Image(_, h, w) => h.checked_mul(self.factor.h).zip(w.checked_mul(self.factor.w)),
            Shape::Features(_) => None,
        };
        let expected = format!("an image (c, h, w) and factors of 1 or more (are {})", self.factor);
        let image = |(h, w)| Shape::Image(inputs[0].units(), h, w);
        let sides = sides.filter(|_| !self.factor.has_zero());
        sides.map(image).ok_or_else(|| super::wrong(self, &expected, inputs[0]))
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        at.each(inputs[0], false, |xs, _| match self.mode {
            UpsampleMode::Nearest => l0_ops::upsample_nearest(xs, self.factor.tuple()),
            UpsampleMode::Bilinear { align_corners } => {
                l0_ops::upsample_bilinear(xs, self.factor.tuple(), align_corners)
            }
        })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let (mode, coordinates) = match self.mode {
            UpsampleMode::Nearest => ("nearest", "asymmetric"),
            UpsampleMode::Bilinear { align_corners: true } => ("linear", "align_corners"),
            UpsampleMode::Bilinear { align_corners: false } => ("linear", "half_pixel"),
        };
        let scales = [1.0, 1.0, self.factor.h as f32, self.factor.w as f32];
        let scales = graph.numbers(&format!("{}.scales", place.name), &scales);
        let text = |value: &str| Attribute::Text(value.into());
        let attributes = [
            ("mode", text(mode)),
            ("coordinate_transformation_mode", text(coordinates)),
            ("nearest_mode", text("floor")),
        ];
        Ok(graph.operator("Resize", place.name, &[inputs[0].clone(), String::new(), scales], &attributes))
    }
}
