//! The sub-block of a linear layer or convolution that a masked network computes.
//!
//! With masks z (on the layer's own units) and s (left over by its input), and c the constant units of its input:
//! `weight' = z W s` on kept rows and columns, `bias' = z (b + W c)`. Where zero padding makes the part `W c` of a
//! convolution uneven, it is a map, computed once for the whole batch.

use candle_core::Tensor;
use l0_ops::Selection;

use crate::activation::{Activation, scatter};
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

    /// What the constants `values`, (cols,), of the input add to the units of `block`.
    fn spread(&self, id: NodeId, block: &Tensor, values: &Tensor) -> Result<Spread> {
        let column = values.unsqueeze(1)?;
        Ok(match (&self.net.node(id).layer, self.net.shape(self.net.node(id).inputs[0])) {
            (Layer::Conv2d { padding, stride, .. }, Shape::Image(_, h, w)) if *padding > 0 => {
                let image =
                    values.reshape((1, (), 1, 1))?.broadcast_as((1, values.elem_count(), h, w))?.contiguous()?;
                Spread::Uneven(l0_ops::conv2d(&image, block, None, *stride, *padding)?)
            }
            (Layer::Conv2d { .. }, _) => Spread::Even(block.sum((2, 3))?.matmul(&column)?.squeeze(1)?),
            _ => Spread::Even(block.matmul(&column)?.squeeze(1)?),
        })
    }

    /// The values of the constant units that the layer `id` makes, (n,), or none.
    pub(crate) fn affine_constants(&self, id: NodeId, input: &Activation) -> Result<Option<Tensor>> {
        let constant = self.plan.constants(id);
        if constant.is_empty() {
            return Ok(None);
        }
        let bias = self
            .affine(
                id,
                &constant,
                &Activation { kept: Selection::of(&vec![false; input.kept.total()]), ..input.clone() },
            )?
            .bias;
        bias.map(|bias| scatter(&bias, &constant)).transpose()
    }
}

enum Spread {
    /// (rows,)
    Even(Tensor),
    /// (1, rows, h', w')
    Uneven(Tensor),
}
