//! Follows closed units through a network.
//!
//! Two passes over the graph. Forward: a unit scaled by 0 is [`Unit::Zero`], and what is computed from such units alone
//! is a constant. Backward: a unit that no later layer reads is [`Unit::Unread`]. What remains is [`Unit::Computed`].
//! Because a layer whose every input is constant is constant itself, and a layer that is not read does not read, dead
//! structure disappears to a fixpoint in these two passes.

use l0_ops::Selection;

use super::{Plan, Unit};
use crate::layers::{Reads, Sources};
use crate::{Masks, Net, NodeId};

impl Plan {
    /// Follows the closed units of `masks` through `net`. In training, dropout makes a constant vary, and a
    /// normalisation learns from a pattern as from any channel, so patterns are computed.
    ///
    /// # Panics
    /// If `masks` were made for another network; [`Net::forward`] and [`Net::compact`] return an error instead.
    pub fn new(net: &Net, masks: &Masks, training: bool) -> Self {
        if let Err(error) = masks.check(net) {
            panic!("a plan needs masks of its own network: {error}");
        }
        let mut units: Vec<Vec<Unit>> = Vec::with_capacity(net.nodes().len());
        for id in 0..net.nodes().len() {
            let made = forward(net, id, &units, masks, training);
            units.push(made);
        }
        drop_unread(net, &mut units);
        let mut kept: Vec<Selection> = Vec::with_capacity(units.len());
        for (units, node) in units.iter().zip(net.nodes()) {
            let own = Selection::of(&units.iter().map(|&unit| unit == Unit::Computed).collect::<Vec<_>>());
            // Layers that keep the same units share one selection, and what a device holds of it.
            let same = node.inputs.iter().map(|&input| &kept[input]).find(|input| **input == own).cloned();
            kept.push(same.unwrap_or(own));
        }
        Self { units, kept }
    }

    /// The plan of a network without masks.
    pub fn full(net: &Net) -> Self {
        Self::new(net, &Masks::none(net), false)
    }
}

/// The units that node `id` makes of its inputs' units.
fn forward(net: &Net, id: NodeId, units: &[Vec<Unit>], masks: &Masks, training: bool) -> Vec<Unit> {
    let node = net.node(id);
    let inputs = node.inputs.iter().map(|&input| units[input].as_slice()).collect();
    let from = Sources { inputs, reads: net.reads(id), units: net.shape(id).units(), training };
    let masked = |(unit, made)| match made {
        _ if net.makes_space(id) && !masks.is_open(net.space(id), unit) => Unit::Zero,
        Unit::Pattern if training => Unit::Computed,
        Unit::Constant | Unit::Pattern if net.makes_space(id) && masks.varies(net.space(id)) => Unit::Computed,
        made => made,
    };
    node.layer.rules().becomes(&from).into_iter().enumerate().map(masked).collect()
}

/// Marks units that no later layer reads, from the output back.
fn drop_unread(net: &Net, units: &mut [Vec<Unit>]) {
    let mut read: Vec<Vec<bool>> = units.iter().map(|units| vec![false; units.len()]).collect();
    read[net.output()].fill(true);
    for id in (0..units.len()).rev() {
        for (unit, read) in units[id].iter_mut().zip(&read[id]) {
            if !read && *unit != Unit::Zero {
                *unit = Unit::Unread;
            }
        }
        let reads: Vec<bool> = units[id].iter().map(|unit| !matches!(unit, Unit::Zero | Unit::Unread)).collect();
        mark(net, id, &reads, &mut read);
    }
}

/// Marks the units of all inputs of node `id` that its units `reads` read.
fn mark(net: &Net, id: NodeId, reads: &[bool], read: &mut [Vec<bool>]) {
    let inputs = &net.node(id).inputs;
    let reading = || (0..reads.len()).filter(|&unit| reads[unit]);
    match net.reads(id) {
        Reads::All => {
            let any = reads.contains(&true);
            inputs.iter().for_each(|&input| read[input].iter_mut().for_each(|read| *read |= any));
        }
        Reads::Groups(groups) => {
            let (outputs, input) = (reads.chunks(reads.len() / groups), &mut read[inputs[0]]);
            let size = input.len() / groups;
            for (outputs, inputs) in outputs.zip(input.chunks_mut(size)) {
                let any = outputs.contains(&true);
                inputs.iter_mut().for_each(|read| *read |= any);
            }
        }
        Reads::Same => inputs.iter().for_each(|&input| reading().for_each(|unit| read[input][unit] = true)),
        Reads::Positions(n) => reading().for_each(|unit| read[inputs[0]][unit / n] = true),
        Reads::One(sources) => {
            let sources = reading().filter_map(|unit| sources[unit]);
            sources.for_each(|(input, unit)| read[inputs[input]][unit] = true);
        }
    }
}
