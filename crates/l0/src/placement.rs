//! Where gates are: which layer a set of them belongs to, and on which side.

use candle_core::Tensor;
use l0_net::{Net, NodeId, SpaceId, Weights};
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
    /// The units that the layer makes, together with all other layers whose units are the same ones: both sides of an
    /// addition, a depthwise convolution and what feeds it.
    Coupled,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Coupled => "coupled",
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
    /// How many numbers a gate switches.
    pub(crate) group: usize,
    /// The parameters that the gates switch, with the dimension along which gates are counted.
    members: Vec<(String, usize)>,
}

impl Placed {
    pub(crate) fn new(net: &Net, placement: &Placement) -> Result<Self> {
        let node = net.find(&placement.layer)?;
        let Some(weights) = net.weights_of(node) else {
            let kind = net.node(node).layer.kind();
            return wrong(placement, format!("gates belong to a linear layer or a convolution, this is a {kind}"));
        };
        let space = match placement.side {
            Side::Input => net.space(net.node(node).inputs[0]),
            Side::Output | Side::Coupled => net.space(node),
        };
        if net.is_output(space) {
            let problem =
                "its gates are on the outputs of the network, none of which can be left out; gate what it reads";
            return wrong(placement, problem.into());
        }
        let (members, units) = match placement.side {
            Side::Input if !weights.mixes => {
                return wrong(placement, "acts channel by channel; gate the layer that feeds it".into());
            }
            Side::Input => (vec![weights.weight(1 - weights.rows)], net.shape(net.node(node).inputs[0]).units()),
            Side::Output => (weights.of_outputs(), net.shape(node).units()),
            Side::Coupled => {
                let makers = net.coupled(space).into_iter().filter_map(|id| net.weights_of(id));
                (makers.flat_map(|weights| weights.of_outputs()).collect(), net.shape(node).units())
            }
        };
        let shapes = net.parameters();
        let size = |name: &str| shapes.iter().find(|(other, ..)| other == name).map_or(0, |p| p.2.iter().product());
        let group = members.iter().map(|(name, _)| size(name) / units).sum();
        Ok(Self { placement: placement.clone(), node, space, units, group, members })
    }

    /// How many numbers the gates of the set can switch off.
    pub(crate) fn weights(&self) -> usize {
        self.group * self.units
    }

    pub(crate) fn parameter(&self) -> String {
        format!("{}.log_alpha", self.placement.layer)
    }

    /// The names of the parameters that the gates switch.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_str())
    }

    /// The tensors that the gates switch, with the dimension along which gates are counted.
    pub(crate) fn members(&self, weights: &Weights) -> Result<Vec<(Tensor, usize)>> {
        let member = |(name, dim): &(String, usize)| Ok((weights.get(name)?.clone(), *dim));
        self.members.iter().map(member).collect()
    }
}

fn wrong<T>(placement: &Placement, problem: String) -> Result<T> {
    Err(l0_net::Error::Layer { node: placement.layer.clone(), problem }.into())
}
