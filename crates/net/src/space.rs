//! Places in a network, and the spaces of units that its layers share.

/// The place of a node in its network.
pub type NodeId = usize;

/// The place of a space in its network.
pub type SpaceId = usize;

/// A set of units that layers share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The name of the first node that makes the space.
    pub name: String,
    /// How many units it has.
    pub units: usize,
}
