//! Which units are left at every layer once a network is masked.
//!
//! How that is found, `follow` says.

mod follow;

use l0_ops::Selection;

use crate::NodeId;

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
        constants(&self.units[node])
    }
}

/// Those of `units` that are the same for every input but not zero, and read.
pub(crate) fn constants(units: &[Unit]) -> Selection {
    let constant = units.iter().map(|unit| matches!(unit, Unit::Constant | Unit::Pattern));
    Selection::of(&constant.collect::<Vec<_>>())
}
