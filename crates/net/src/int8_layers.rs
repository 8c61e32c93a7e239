//! Which layers of a network are int8: they read what was rounded to a grid, and their values lie on grids themselves.

use candle_core::Tensor;

use crate::layers::{Activation, Layer};
use crate::{Grid, Int8Weights, Net, NodeId, Result, Weights};

impl Net {
    /// The grid that a linear layer or a convolution reads numbers of, and the codes of its values, if it is one of
    /// whole numbers.
    ///
    /// # Errors
    /// If a parameter is missing or of another shape.
    pub fn int8(&self, weights: &Weights, id: NodeId) -> Result<Option<(Grid, Int8Weights)>> {
        let node = self.node(id);
        let has_bias = match node.layer {
            Layer::Linear(linear) => linear.bias,
            Layer::Conv2d(conv) => conv.bias,
            _ => return Ok(None),
        };
        let Layer::Activation(Activation::Quantise(grid)) = self.node(node.inputs[0]).layer else { return Ok(None) };
        let values = |leaf: &str| -> Result<Vec<f32>> { flat(weights.of(&node.name, leaf)?) };
        let bias = if has_bias { Some(values("bias")?) } else { None };
        let codes = Int8Weights::exact(&values("weight")?, bias.as_deref(), self.shape(id).units(), grid);
        Ok(codes.map(|codes| (grid, codes)))
    }
}

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}
