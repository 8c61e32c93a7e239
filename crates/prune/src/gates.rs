//! Where the gates of a pruning are: on the spaces that can shrink, with the stream of a residual network or without
//! it, and, where that is asked for, on the numbers that a network reads.

use std::collections::VecDeque;

use l0::{GatedNet, Placement, Side};
use l0_net::{Net, NodeId, Prunable, Shape, Unprunable};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which gates there are to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    /// On these layers alone, if any are named.
    pub(crate) only: Vec<String>,
    /// Not on these.
    pub(crate) except: Vec<String>,
    /// On the numbers that the network reads, too.
    pub(crate) inputs: bool,
}

impl Choice {
    /// Gates on the numbers that the network reads, and nowhere else.
    pub(crate) fn on_inputs_alone(net: &Net, droprate_init: f64) -> Result<GatedNet> {
        let first = reader_of_inputs(net)?;
        let placement = Placement { droprate_init, ..Placement::new(net.node(first).name.clone(), Side::Input) };
        Ok(GatedNet::new(net.clone(), &[placement])?)
    }

    /// The gates on a network, as nearly open as `droprate_init` says.
    pub(crate) fn on(&self, net: &Net, droprate_init: f64, stream: ResidualStream) -> Result<GatedNet> {
        if net.prunable().is_empty() && !self.inputs {
            return Err(Error::Nothing { why: unprunable(net) });
        }
        let all = Prunable::of(net);
        let some = if self.only.is_empty() { all } else { all.only(&self.only)? };
        let some = if self.except.is_empty() { some } else { some.except(&self.except)? };
        let some = if stream == ResidualStream::Whole { self.beside_the_stream(some)? } else { some };
        let network = GatedNet::on(&some, droprate_init)?;
        if self.inputs { with_inputs(network, droprate_init) } else { Ok(network) }
    }

    /// Of these spaces all but the residual stream, on which nothing may be that is named.
    fn beside_the_stream<'a>(&self, spaces: Prunable<'a>) -> Result<Prunable<'a>> {
        for name in &self.only {
            if Prunable::of(spaces.net()).only(&[name])?.without_sums().is_err() {
                return Err(Error::Setting {
                    name: "the residual stream",
                    found: "to stay whole".into(),
                    expected: format!("to be pruned where {name:?} is named, whose channels shortcuts carry"),
                });
            }
        }
        Ok(spaces.without_sums()?)
    }
}

/// What becomes of the stream of a residual network: of the channels that shortcuts carry past its blocks. A network
/// without additions has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResidualStream {
    /// It has no gates.
    Whole,
    /// It has gates as all that can be pruned.
    Pruned,
}

/// A quarter of the gates of each set, in multiples: fewer are left of no set before a stream is pruned, too.
pub(crate) fn quarter(network: &GatedNet, multiple: usize) -> Vec<usize> {
    let of = |units: usize| units.div_ceil(4).next_multiple_of(multiple.max(1)).min(units);
    network.gated_units().iter().copied().map(of).collect()
}

/// What speaks against pruning each space.
fn unprunable(net: &Net) -> String {
    let reason = |(space, why): (usize, Option<Unprunable>)| Some(format!("{:?} ({})", net.spaces()[space].name, why?));
    net.unprunable().into_iter().enumerate().filter_map(reason).collect::<Vec<_>>().join(", ")
}

/// The same gates, and some on the input.
fn with_inputs(network: GatedNet, droprate_init: f64) -> Result<GatedNet> {
    let net = network.net();
    let first = reader_of_inputs(net)?;
    let mut placements: Vec<Placement> = network.placements().cloned().collect();
    let place = |id: NodeId, side| Placement { droprate_init, ..Placement::new(net.node(id).name.clone(), side) };
    // A layer holds one set: what the first one held moves on to the layer that reads its units, and so forth.
    let mut moving = VecDeque::from([(first, Side::Input)]);
    while let Some((id, side)) = moving.pop_front() {
        let name = &net.node(id).name;
        let held = placements.iter().position(|placement| placement.layer == *name);
        let held = held.map(|at| placements.remove(at));
        placements.push(place(id, side));
        if held.is_some_and(|held| held.side == Side::Coupled) {
            moving.extend(elsewhere(net, id));
        }
    }
    Ok(GatedNet::new(network.net().clone(), &placements)?)
}

/// The layer that reads the numbers of an example.
fn reader_of_inputs(net: &Net) -> Result<NodeId> {
    let first = readers(net, 0).into_iter().next().filter(|_| matches!(net.shape(0), Shape::Features(_)));
    first.ok_or_else(|| Error::Setting {
        name: "the input to be gated",
        found: net.shape(0).to_string(),
        expected: "a vector that a linear layer reads".into(),
    })
}

/// Another layer for the gates on the units that a layer makes: one that makes them, too, or else one that reads them.
fn elsewhere(net: &Net, id: NodeId) -> Option<(NodeId, Side)> {
    let space = net.space(id);
    let other = net.coupled(space).into_iter().find(|&other| other != id && net.weights_of(other).is_some());
    let reader = || readers(net, space).into_iter().next().map(|reader| (reader, Side::Input));
    other.map(|other| (other, Side::Coupled)).or_else(reader)
}

/// The linear layers and convolutions that mix the units of a space.
fn readers(net: &Net, space: usize) -> Vec<NodeId> {
    let reads = |&id: &NodeId| net.space(net.node(id).inputs[0]) == space;
    let mixes = |&id: &NodeId| net.weights_of(id).is_some_and(|weights| weights.mixes);
    net.affine().filter(reads).filter(mixes).collect()
}
