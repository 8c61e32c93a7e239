//! Which units are left at every layer once a network is masked.
//!
//! Two passes over the graph. Forward: a unit scaled by 0 is [`Unit::Zero`], and what is computed from such units alone
//! is a constant. Backward: a unit that no later layer reads is [`Unit::Unread`]. What remains is [`Unit::Computed`].
//! Because a layer whose every input is constant is constant itself, and a layer that is not read does not read, dead
//! structure disappears to a fixpoint in these two passes.

use l0_ops::Selection;

use crate::{ClosedMaps, Layer, Masks, Net, NodeId};

/// What becomes of one unit of a layer's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// It depends on the input and is read: it must be computed.
    Computed,
    /// It is the same value for every input, at every position.
    Constant,
    /// It is the same for every input, but not at every position: a constant that met zero padding.
    Pattern,
    /// It is zero for every input.
    Zero,
    /// No later layer reads it.
    Unread,
}

/// The units of every node of a masked network.
#[derive(Debug, Clone)]
pub struct Plan {
    units: Vec<Vec<Unit>>,
    kept: Vec<Selection>,
}

impl Plan {
    /// Follows the closed units of `masks` through `net`. In training, dropout makes a constant vary, and a normalisation
    /// learns from a pattern as from any map, so patterns are computed.
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

    /// What becomes of each unit of a node.
    pub fn units(&self, node: NodeId) -> &[Unit] {
        &self.units[node]
    }

    /// The units of a node that are computed.
    pub fn kept(&self, node: NodeId) -> &Selection {
        &self.kept[node]
    }

    /// The units of a node that are the same for every input but not zero, and read.
    pub(crate) fn constants(&self, node: NodeId) -> Selection {
        let constant = self.units[node].iter().map(|unit| matches!(unit, Unit::Constant | Unit::Pattern));
        Selection::of(&constant.collect::<Vec<_>>())
    }
}

/// The units that node `id` makes of its inputs' units.
fn forward(net: &Net, id: NodeId, units: &[Vec<Unit>], masks: &Masks, training: bool) -> Vec<Unit> {
    let node = net.node(id);
    let n = net.shape(id).units();
    let input = node.inputs.first().map_or(&[][..], |&input| &units[input]);
    let made: Vec<Unit> = match &node.layer {
        Layer::Input { .. } => vec![Unit::Computed; n],
        Layer::Linear { bias, .. } => vec![affine(input, *bias, false); n],
        Layer::Conv2d { bias, padding, .. } => vec![affine(input, *bias, *padding > 0); n],
        Layer::BatchNorm { closed, .. } => each(input, |unit| match (unit, closed) {
            (Unit::Zero, ClosedMaps::Constant) => Unit::Constant,
            (unit, _) => unit,
        }),
        Layer::Dropout { .. } if training => each(input, |unit| match unit {
            Unit::Constant => Unit::Computed,
            unit => unit,
        }),
        Layer::Bias { per_position: true } | Layer::Border { .. } => each(input, |unit| match unit {
            Unit::Computed => Unit::Computed,
            _ => Unit::Pattern,
        }),
        Layer::Bias { per_position: false } => each(input, |unit| match unit {
            Unit::Zero => Unit::Constant,
            unit => unit,
        }),
        Layer::Add => input.iter().zip(&units[node.inputs[1]]).map(|(&a, &b)| sum(a, b)).collect(),
        Layer::AvgPool => each(input, even),
        Layer::Flatten => (0..n).map(|unit| even(input[unit / net.shape(node.inputs[0]).positions()])).collect(),
        Layer::Take { units } => units.iter().map(|&unit| input[unit as usize]).collect(),
        Layer::Relu | Layer::MaxPool2d { .. } | Layer::Dropout { .. } | Layer::Identity => input.to_vec(),
    };
    let masked = |(unit, made)| match made {
        _ if net.makes_space(id) && !masks.is_open(net.space(id), unit) => Unit::Zero,
        Unit::Pattern if training => Unit::Computed,
        Unit::Constant | Unit::Pattern if net.makes_space(id) && masks.varies(net.space(id)) => Unit::Computed,
        made => made,
    };
    made.into_iter().enumerate().map(masked).collect()
}

/// What a unit becomes when each of its positions becomes a unit, or their mean does.
fn even(unit: Unit) -> Unit {
    if unit == Unit::Pattern { Unit::Constant } else { unit }
}

fn each(input: &[Unit], f: impl Fn(Unit) -> Unit) -> Vec<Unit> {
    input.iter().map(|&unit| f(unit)).collect()
}

/// A unit that is a linear map of `input`, plus a bias. A constant is uneven after zero padding.
fn affine(input: &[Unit], bias: bool, padded: bool) -> Unit {
    let any = |unit| input.contains(&unit);
    match () {
        () if any(Unit::Computed) => Unit::Computed,
        () if any(Unit::Pattern) || (padded && any(Unit::Constant)) => Unit::Pattern,
        () if bias || any(Unit::Constant) => Unit::Constant,
        () => Unit::Zero,
    }
}

fn sum(a: Unit, b: Unit) -> Unit {
    match (a, b) {
        (Unit::Computed, _) | (_, Unit::Computed) => Unit::Computed,
        (Unit::Pattern, _) | (_, Unit::Pattern) => Unit::Pattern,
        (Unit::Zero, Unit::Zero) => Unit::Zero,
        _ => Unit::Constant,
    }
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
        for &input in &net.node(id).inputs {
            mark(net, id, input, &reads, &mut read[input]);
        }
    }
}

/// Marks the units of `input` that the units `reads` of node `id` read.
fn mark(net: &Net, id: NodeId, input: NodeId, reads: &[bool], read: &mut [bool]) {
    let reading = (0..reads.len()).filter(|&unit| reads[unit]);
    match &net.node(id).layer {
        layer if layer.is_affine() => read.iter_mut().for_each(|read| *read |= reads.contains(&true)),
        Layer::Flatten => reading.for_each(|unit| read[unit / net.shape(input).positions()] = true),
        Layer::Take { units } => reading.for_each(|unit| read[units[unit] as usize] = true),
        _ => reading.for_each(|unit| read[unit] = true),
    }
}
