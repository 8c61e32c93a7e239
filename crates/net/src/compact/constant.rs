//! Whether a network's output depends on its input at all.

use candle_core::DType;

use super::Model;
use crate::{Layer, NodeId, Result};

impl Model {
    /// Whether the output is the same for every input, read from the weights: no path from the input to the output is
    /// left that does not pass a zero.
    ///
    /// # Errors
    /// If a parameter cannot be read.
    pub fn is_constant(&self) -> Result<bool> {
        let mut depends: Vec<Vec<bool>> = Vec::with_capacity(self.net.nodes().len());
        for id in 0..self.net.nodes().len() {
            let made = self.depends(id, &depends)?;
            depends.push(made);
        }
        Ok(!depends[self.net.output()].contains(&true))
    }

    /// Which units of a node depend on the network's input.
    fn depends(&self, id: NodeId, before: &[Vec<bool>]) -> Result<Vec<bool>> {
        let node = self.net.node(id);
        let input = node.inputs.first().map_or(&[][..], |&input| &before[input]);
        Ok(match &node.layer {
            Layer::Input { .. } => vec![true; self.net.shape(id).units()],
            Layer::Linear { .. } | Layer::Conv2d { .. } => {
                let weight = self.weights.of(&node.name, "weight")?.to_dtype(DType::F32)?;
                let (rows, cols) = (weight.dim(0)?, input.len());
                let sizes = weight.abs()?.reshape((rows, cols, ()))?.max(2)?.to_vec2::<f32>()?;
                sizes.iter().map(|row| row.iter().zip(input).any(|(&size, &depends)| depends && size != 0.0)).collect()
            }
            Layer::BatchNorm { .. } => {
                let scale = self.weights.of(&node.name, "weight")?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                scale.iter().zip(input).map(|(&scale, &depends)| depends && scale != 0.0).collect()
            }
            Layer::Add => input.iter().zip(&before[node.inputs[1]]).map(|(&a, &b)| a || b).collect(),
            Layer::Flatten => {
                let positions = self.net.shape(node.inputs[0]).positions();
                input.iter().flat_map(|&depends| std::iter::repeat_n(depends, positions)).collect()
            }
            Layer::Take { units } => units.iter().map(|&unit| input[unit as usize]).collect(),
            _ => input.to_vec(),
        })
    }
}
