//! Where gates are: which layer a set of them belongs to, and on which side.

use candle_core::Tensor;
use l0_net::{Layer, Net, NodeId, SpaceId, Weights};
use serde::{Deserialize, Serialize};

use crate::Result;

/// Which units of a layer a set of gates switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The units that the layer reads.
    Input,
    /// The units that the layer makes.
    Output,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// A set of gates on one layer of a network, which has no other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// The name of a linear layer or a convolution.
    pub layer: String,
    /// Which of its units are gated.
    pub side: Side,
    /// The gates start open with probability sigmoid(ln((1 - d) / d) + 1.5986).
    pub droprate_init: f64,
}

impl Placement {
    /// Gates that start as those of the paper do, with a drop rate of 0.5: open with probability 0.832.
    pub fn new(layer: impl Into<String>, side: Side) -> Self {
        Self { layer: layer.into(), side, droprate_init: 0.5 }
    }
}

/// A set of gates in its place.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) placement: Placement,
    pub(crate) node: NodeId,
    pub(crate) space: SpaceId,
    pub(crate) units: usize,
    pub(crate) group: usize,
}

impl Placed {
    pub(crate) fn new(net: &Net, placement: &Placement) -> Result<Self> {
        let node = net.find(&placement.layer)?;
        let (kernel, bias) = match net.node(node).layer {
            Layer::Linear(linear) => (1, linear.bias),
            Layer::Conv2d(conv) => (conv.kernel.area(), conv.bias),
            ref other => {
                let problem = format!("gates belong to a linear layer or a convolution, this is a {}", other.kind());
                return Err(l0_net::Error::Layer { node: placement.layer.clone(), problem }.into());
            }
        };
        let input = net.node(node).inputs[0];
        let (inputs, outputs) = (net.shape(input).units(), net.shape(node).units());
        let (space, units, group) = match placement.side {
            Side::Input => (net.space(input), inputs, outputs * kernel),
            Side::Output => (net.space(node), outputs, inputs * kernel + usize::from(bias)),
        };
        if is_output(net, space) {
            let problem =
                "its gates are on the outputs of the network, none of which can be left out; gate what it reads";
            return Err(l0_net::Error::Layer { node: placement.layer.clone(), problem: problem.into() }.into());
        }
        Ok(Self { placement: placement.clone(), node, space, units, group })
    }

    /// How many numbers the gates of the set can switch off.
    pub(crate) fn weights(&self) -> usize {
        self.group * self.units
    }

    pub(crate) fn parameter(&self) -> String {
        format!("{}.log_alpha", self.placement.layer)
    }

    pub(crate) fn has_bias(&self, net: &Net) -> bool {
        match net.node(self.node).layer {
            Layer::Linear(linear) => linear.bias,
            Layer::Conv2d(conv) => conv.bias,
            _ => false,
        }
    }

    /// The tensors that the gates switch, with the dimension along which gates are counted.
    pub(crate) fn members(&self, net: &Net, weights: &Weights) -> Result<Vec<(Tensor, usize)>> {
        let part = |leaf: &str| weights.get(&format!("{}.{leaf}", self.placement.layer)).cloned();
        Ok(match self.placement.side {
            Side::Input => vec![(part("weight")?, 1)],
            Side::Output if self.has_bias(net) => vec![(part("weight")?, 0), (part("bias")?, 0)],
            Side::Output => vec![(part("weight")?, 0)],
        })
    }
}

/// Whether the units of a space are outputs of the network, or become some one by one, under whatever space.
fn is_output(net: &Net, space: SpaceId) -> bool {
    let back = |&id: &NodeId| match (&net.node(id).layer, net.node(id).inputs.as_slice()) {
        (Layer::Linear(_) | Layer::Conv2d(_), _) => None,
        (_, &[input]) => Some(input),
        _ => None,
    };
    std::iter::successors(Some(net.output()), back).any(|id| net.space(id) == space)
}
