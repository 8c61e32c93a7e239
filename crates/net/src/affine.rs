//! The sub-block of a linear layer or convolution that a masked network computes.
//!
//! With masks z (on the layer's own units) and s (left over by its input), and c the constant units of its input:
//! `weight' = z W s` on kept rows and columns, `bias' = z (b + W c)`. Where zero padding makes the part `W c` of a
//! convolution uneven, it is a map, computed once for the whole batch.

use candle_core::Tensor;
use l0_ops::Selection;

use crate::activation::{Activation, scatter, sum};
use crate::{Layer, Mask, Masks, Net, NodeId, Plan, Result, Shape, Weights};

/// A linear map of the computed units.
pub(crate) struct Affine {
    /// (rows, cols) or (rows, cols, k, k); none where no input unit is computed.
    pub(crate) weight: Option<Tensor>,
    /// (rows,)
    pub(crate) bias: Option<Tensor>,
    /// What constant maps add at each position, (1, rows, h', w').
    pub(crate) map: Option<Tensor>,
}

/// The parts of a network that the layers of one pass share.
pub(crate) struct Pass<'a> {
    pub(crate) net: &'a Net,
    pub(crate) plan: &'a Plan,
    pub(crate) masks: &'a Masks,
    pub(crate) weights: &'a Weights,
}

impl Pass<'_> {
    /// The scale of all units of the space that node `id` makes, (n,).
    pub(crate) fn scale(&self, id: NodeId) -> Option<&Tensor> {
        match self.masks.get(self.net.space(id)) {
            Some(Mask::Shared(z)) if self.net.makes_space(id) => Some(z),
            _ => None,
        }
    }

    /// The sub-block of the layer `id` that makes the units `rows` from `input`.
    pub(crate) fn affine(&self, id: NodeId, rows: &Selection, input: &Activation) -> Result<Affine> {
        let name = &self.net.node(id).name;
        let weight = self.weights.of(name, "weight")?;
        let z = self.scale(id);
        let block = (!input.kept.is_empty())
            .then(|| l0_ops::select(weight, rows, &input.kept, z, input.scale.as_ref()))
            .transpose()?;
        let mut bias = match self.net.node(id).layer {
            Layer::Linear { bias: true, .. } | Layer::Conv2d { bias: true, .. } => {
                Some(l0_ops::select_vector(self.weights.of(name, "bias")?, rows, z)?)
            }
            _ => None,
        };
        let mut map = None;
        if let Some(constants) = &input.constants {
            let cols = self.plan.constants(self.net.node(id).inputs[0]);
            let values = l0_ops::take(constants, 0, &cols)?;
            let block = l0_ops::select(weight, rows, &cols, z, None)?;
            match self.spread(id, &block, &values)? {
                Spread::Even(even) => bias = Some(bias.map_or(Ok(even.clone()), |bias| bias + even)?),
                Spread::Uneven(uneven) => map = Some(uneven),
            }
        }
        Ok(Affine { weight: block, bias, map })
    }

    /// What the constants `values` of the input, (cols,) or (cols, h, w), add to the units of `block`.
    fn spread(&self, id: NodeId, block: &Tensor, values: &Tensor) -> Result<Spread> {
        let even = values.rank() == 1;
        let column = |values: &Tensor| values.unsqueeze(1);
        Ok(match (&self.net.node(id).layer, self.net.shape(self.net.node(id).inputs[0])) {
            (Layer::Conv2d { padding, stride, .. }, Shape::Image(_, h, w)) if *padding > 0 || !even => {
                let cols = values.dim(0)?;
                let image = if even { values.reshape((cols, 1, 1))? } else { values.clone() };
                let image = image.broadcast_as((cols, h, w))?.contiguous()?.unsqueeze(0)?;
                Spread::Uneven(l0_ops::conv2d(&image, block, None, *stride, *padding)?)
            }
            (Layer::Conv2d { .. }, _) => Spread::Even(block.sum((2, 3))?.matmul(&column(values)?)?.squeeze(1)?),
            _ => Spread::Even(block.matmul(&column(values)?)?.squeeze(1)?),
        })
    }

    /// The values of the constant units that the layer `id` makes, (n,) or (n, h', w'), or none.
    pub(crate) fn affine_constants(&self, id: NodeId, input: &Activation) -> Result<Option<Tensor>> {
        let constant = self.plan.constants(id);
        if constant.is_empty() {
            return Ok(None);
        }
        let nothing = Selection::of(&vec![false; input.kept.total()]);
        let made = self.affine(id, &constant, &Activation { kept: nothing, ..input.clone() })?;
        let map = made.map.map(|map| map.squeeze(0)).transpose()?;
        let values = match (made.bias, map) {
            (Some(bias), Some(map)) => Some(sum(&bias, &map)?),
            (bias, map) => bias.or(map),
        };
        values.map(|values| scatter(&values, &constant)).transpose()
    }
}

enum Spread {
    /// (rows,)
    Even(Tensor),
    /// (1, rows, h', w')
    Uneven(Tensor),
}
