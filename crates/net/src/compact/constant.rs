//! Whether a network's output depends on its input at all.

use super::Model;
use crate::layers::Dependence;
use crate::weights::Values;
use crate::{NodeId, Result};

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
        let inputs = node.inputs.iter().map(|&input| before[input].as_slice()).collect();
        let from = Dependence { inputs, reads: self.net.reads(id), units: self.net.shape(id).units() };
        node.layer.rules().depends(&Values { weights: &self.weights, node: &node.name }, &from)
    }
}
