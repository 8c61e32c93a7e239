//! The product of two inputs: of equal shape, or an image and a number for each of its channels, as in
//! squeeze-and-excitation.
//!
//! The output has the space of the image. The other factor keeps its own: where a channel of the image is closed, so is
//! the product, and what makes the factor of that channel is read by nobody.

use serde::{Deserialize, Serialize};

use super::facts::sum;
use super::{Rules, Sources, SpaceOf};
use crate::forward::{At, Flow, product};
use crate::onnx::Graph;
use crate::{Place, Result, Shape, Unit};

/// The product of two inputs: of equal shape, or (c, h, w) with (c, 1, 1) or (c,).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mul;

/// Which input is the image.
fn image(inputs: &[Shape]) -> usize {
    let rank = |shape: Shape| (shape.positions(), shape.dims().len());
    usize::from(rank(inputs[1]) > rank(inputs[0]))
}

impl Rules for Mul {
    fn kind(&self) -> &'static str {
        "multiply"
    }

    fn arity(&self) -> (usize, usize) {
        (2, 2)
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let image = inputs[image(inputs)];
        let fits = |shape: Shape| shape == image || (shape.positions() == 1 && shape.units() == image.units());
        match inputs.iter().all(|&input| fits(input)) {
            true => Ok(image),
            false => Err(format!(
                "multiply expects equal shapes, or an image and a number for each channel, found {} and {}",
                inputs[0], inputs[1]
            )),
        }
    }

    fn space(&self, inputs: &[Shape]) -> SpaceOf {
        SpaceOf::Input(image(inputs))
    }

    fn becomes(&self, from: &Sources) -> Vec<Unit> {
        let product =
            |(&a, &b): (&Unit, &Unit)| if a == Unit::Zero || b == Unit::Zero { Unit::Zero } else { sum(a, b) };
        from.inputs[0].iter().zip(from.inputs[1]).map(product).collect()
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let shapes = [at.input_shape(0), at.input_shape(1)];
        let (like, image) = (shapes[0] == shapes[1], image(&shapes));
        let constants = match (&inputs[0].constants, &inputs[1].constants) {
            (Some(a), Some(b)) => Some(product(a, b, shapes[image])?),
            _ => None,
        };
        let (a, b) = (at.expanded(0, inputs[0])?, at.expanded(1, inputs[1])?);
        let (image, factor) = if image == 0 { (a, b) } else { (b, a) };
        let made = at.computed(|_| {
            let features = !like && factor.rank() == 2 && image.rank() == 4;
            let factor = if features { factor.unsqueeze(2)?.unsqueeze(3)? } else { factor.clone() };
            l0_ops::mul(&image, &factor)
        })?;
        Ok(Flow { constants: at.layer.masked_constants(constants)?, ..made })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let (shapes, mut inputs) = (&place.inputs, inputs.to_vec());
        if let (Shape::Image(..), Some(at)) = (shapes[image(shapes)], features(shapes)) {
            let (name, axes) = (place.name, graph.ints(&format!("{}.axes", place.name), &[2, 3]));
            inputs[at] = graph.operator("Unsqueeze", &format!("{name}.factor"), &[inputs[at].clone(), axes], &[]);
        }
        Ok(graph.operator("Mul", place.name, &inputs, &[]))
    }
}

/// Which input is features beside an image.
fn features(shapes: &[Shape]) -> Option<usize> {
    shapes.iter().position(|shape| matches!(shape, Shape::Features(_)))
}
