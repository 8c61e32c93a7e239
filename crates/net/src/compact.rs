//! Compaction: a masked network becomes a plain one with smaller shapes and equal outputs.
//!
//! The forward pass is the specification. One pass over a single example of zeros leaves, for every node, the units
//! that are computed ([`Plan`]) and the values of those that are the same for every input. The compact network is
//! written from that, node by node, with the very sub-blocks, biases and values near borders that the masked pass
//! computes:
//!
//! - values of masks are multiplied into weights; a space that something else than linear maps reads gets a scale of
//!   its own (`NAME.scale`);
//! - constants of closed units go into the bias of the next linear map, or, where zero padding makes them uneven, into
//!   a bias per position after it (`NAME.border`), of which only the distinct values are kept ([`Layer::Border`]);
//! - of a flattening only some features may be left: a [`Layer::Take`] picks them (`NAME.kept`). Its indices take far
//!   less room than the columns of zeros that would stand in for it: 65 of 288 features before 25 units are 65 indices
//!   instead of 5,575 weights. Where the features of whole channels are left, nothing is needed;
//! - an addition of terms with different units left fills the gaps with constants (`NAME.filled`), as does the output;
//! - dropout vanishes, and a normalisation or bias directly after a linear map is multiplied into it.
//!
//! Layers keep their names.

mod constant;
mod conv2d;
mod draft;
mod fold;
mod kinds;
mod walk;
mod writer;

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::forward::{Keep, Pass};
use crate::{Error, Masks, Mode, Net, Plan, Result, Weights};

/// A plain network and its values: nothing masked, running statistics in its normalisations.
#[derive(Debug, Clone)]
pub struct Model {
    /// The description.
    pub net: Net,
    /// A value for every parameter of the description.
    pub weights: Weights,
    /// What is left of each layer of the network that this one was compacted from; empty if it was not.
    pub kept: Vec<Kept>,
}

/// The units of one layer that are left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The name of the layer.
    pub layer: String,
    /// How many units it had.
    pub of: usize,
    /// Indices of the units left, ascending; none where all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<Vec<u32>>,
}

impl Kept {
    /// How many units are left.
    pub fn len(&self) -> usize {
        self.units.as_ref().map_or(self.of, Vec::len)
    }

    /// Whether no unit is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Net {
    /// The plain network that computes what this one computes in evaluation under `masks`.
    ///
    /// A network of which nothing is left becomes one with a constant output; [`Model::is_constant`] tells.
    ///
    /// # Errors
    /// If a parameter is missing, of another shape or another type, masks belong to another network, or one differs
    /// between examples. Values that the description does not name play no part.
    pub fn compact(&self, weights: &Weights, masks: &Masks) -> Result<Model> {
        let weights = weights.of_net(self)?;
        masks.check(self)?;
        if let Some(space) = (0..self.spaces().len()).find(|&space| masks.varies(space)) {
            let name = &self.spaces()[space].name;
            return Err(Error::mask(name, "differs between examples; compact needs one for all (Mask::Shared)"));
        }
        let plain: Vec<Tensor> = weights.iter().map(|(_, value)| value.detach()).collect();
        let weights = weights.with(plain)?;
        let plan = Plan::new(self, masks, false);
        let pass = Pass { net: self, plan: &plan, masks, weights: &weights };
        let zeros = Tensor::zeros(self.shape(0).batch(1), DType::F32, &weights.device())?;
        let made = pass.flows(&zeros, Mode::Eval, Keep::All, &mut Vec::new())?;
        let (mut nodes, mut values) = walk::write(&pass, made)?;
        fold::fold(&mut nodes, &mut values)?;
        fold::borders(&mut nodes, &mut values)?;
        let net = Net::new(nodes)?;
        let named = net.parameters().into_iter().map(|(name, ..)| {
            let value = values.remove(&name).ok_or_else(|| Error::layer(&name, "was not written"))?;
            Ok((name, value.detach().copy()?)) // never the storage of a variable that may still be trained
        });
        let weights = Weights::new(named.collect::<Result<_>>()?)?;
        Ok(Model { net, weights, kept: self.kept(&plan) })
    }

    /// What `plan` leaves of the output and of every layer that holds parameters or makes units.
    fn kept(&self, plan: &Plan) -> Vec<Kept> {
        let told = |id: &usize| *id == self.output() || self.makes_space(*id) || self.work(*id).is_some();
        let kept = |id: usize| {
            let units = plan.kept(id).indices().map(<[u32]>::to_vec);
            Kept { layer: self.node(id).name.clone(), of: self.shape(id).units(), units }
        };
        (0..self.nodes().len()).filter(told).map(kept).collect()
    }
}

impl Model {
    /// A network that was never masked. Values that the description does not name are left out.
    ///
    /// # Errors
    /// If a parameter is missing, of another shape or another type.
    pub fn new(net: Net, weights: Weights) -> Result<Self> {
        let weights = weights.of_net(&net)?;
        Ok(Self { net, weights, kept: Vec::new() })
    }

    /// A table of the layers: their shapes, parameters and multiply-accumulates.
    pub fn summary(&self) -> String {
        self.net.summary(&Plan::full(&self.net))
    }

    /// Runs the network on `xs`, (b, features) or (b, c, h, w): (b, n) or (b, c', h', w').
    ///
    /// # Errors
    /// If `xs` does not have the network's input shape.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        Ok(self.net.forward(&self.weights, xs, &Masks::none(&self.net), Mode::Eval)?.ys)
    }
}
