//! The compact network while it is written: nodes, values, and where units of the original are found.

use std::collections::{HashMap, HashSet};

use candle_core::Tensor;

use crate::layers::{Bias, Identity, Layer, PadUnits, Scale, Take};
use crate::{Error, Net, Node, NodeId, Result};

/// Values of parameters by name.
pub(super) type Values = HashMap<String, Tensor>;

/// A node of the compact network and the units of an original node that it holds, in its order.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) node: NodeId,
    pub(super) units: Vec<u32>,
    /// The name of the layer that fills in zeros around these units, if the original network has one.
    pub(super) padded_by: Option<String>,
}

impl Held {
    pub(super) fn new(node: NodeId, units: Vec<u32>) -> Self {
        Self { node, units, padded_by: None }
    }

    /// The places of original units.
    ///
    /// # Errors
    /// If one of them is not held: another in its place would be another network.
    pub(super) fn places(&self, units: &[u32]) -> Result<Vec<u32>> {
        let places: HashMap<u32, u32> = self.units.iter().zip(0..).map(|(&unit, place)| (unit, place)).collect();
        let place = |unit: &u32| {
            let place = places.get(unit).copied();
            place.ok_or_else(|| Error::layer("", format!("unit {unit} is read, and not held by what is left")))
        };
        units.iter().map(place).collect()
    }
}

#[derive(Default)]
pub(super) struct Draft {
    pub(super) nodes: Vec<Node>,
    pub(super) values: Values,
    names: HashSet<String>,
    taken: HashMap<(NodeId, Vec<u32>), NodeId>,
    padded: HashMap<(NodeId, PadUnits), NodeId>,
}

impl Draft {
    /// An empty draft that leaves the names of `net` to its layers.
    pub(super) fn new(net: &Net) -> Self {
        Self { names: net.nodes().iter().map(|node| node.name.clone()).collect(), ..Self::default() }
    }

    /// A name that no layer has: "conv1.border", or "conv1.border.2" if that is taken.
    pub(super) fn fresh(&mut self, layer: &str, what: &str) -> String {
        let stem = format!("{layer}.{what}");
        let names = std::iter::once(stem.clone()).chain((2..).map(|i| format!("{stem}.{i}")));
        let name = names.into_iter().find(|name| !self.names.contains(name)).unwrap_or(stem);
        self.names.insert(name.clone());
        name
    }

    pub(super) fn push(&mut self, name: &str, layer: Layer, inputs: Vec<NodeId>) -> NodeId {
        self.nodes.push(Node { name: name.into(), layer, inputs });
        self.nodes.len() - 1
    }

    /// Adds a layer with parameters.
    pub(super) fn push_with(&mut self, name: &str, layer: Layer, input: NodeId, values: Vec<(&str, Tensor)>) -> NodeId {
        for (leaf, value) in values {
            self.values.insert(format!("{name}.{leaf}"), value);
        }
        self.push(name, layer, vec![input])
    }

    /// Makes `node` the last one, which is the output.
    pub(super) fn end_with(&mut self, node: NodeId) {
        if node + 1 != self.nodes.len() {
            let name = self.fresh("output", "end");
            self.push(&name, Identity.into(), vec![node]);
        }
    }

    /// A node that holds exactly the units `wanted`; `name` is used if there is a choice to write.
    ///
    /// # Errors
    /// If `held` does not have one of them.
    pub(super) fn take(
        &mut self,
        held: &Held,
        wanted: &[u32],
        name: impl FnOnce(&mut Self) -> String,
    ) -> Result<NodeId> {
        if held.units == wanted {
            return Ok(held.node);
        }
        let places = held.places(wanted)?;
        Ok(self.pick(held.node, places, name))
    }

    /// A node with the units of `node` at these places; written once.
    pub(super) fn pick(&mut self, node: NodeId, units: Vec<u32>, name: impl FnOnce(&mut Self) -> String) -> NodeId {
        if let Some(&taken) = self.taken.get(&(node, units.clone())) {
            return taken;
        }
        let name = name(self);
        let taken = self.push(&name, Take { units: units.clone() }.into(), vec![node]);
        self.taken.insert((node, units), taken);
        taken
    }

    /// The units of `node` with zeros around them; written once, first under the name that is `wanted`.
    pub(super) fn pad(&mut self, node: NodeId, padding: PadUnits, layer: &str, wanted: Option<String>) -> NodeId {
        if let Some(&padded) = self.padded.get(&(node, padding)) {
            return padded;
        }
        let written = |name: &String| self.nodes.iter().any(|node| node.name == *name);
        let name = wanted.filter(|name| !written(name)).unwrap_or_else(|| self.fresh(layer, "filled"));
        let padded = self.push(&name, padding.into(), vec![node]);
        self.padded.insert((node, padding), padded);
        padded
    }

    /// Scales the units of `node` by `scale` and adds `shift`, both (n,).
    pub(super) fn scale(&mut self, name: &str, node: NodeId, scale: Tensor, shift: Tensor) -> NodeId {
        self.push_with(name, Scale.into(), node, vec![("weight", scale), ("bias", shift)])
    }

    /// Adds constants, (n,) or (n, h, w), unless all are 0.
    pub(super) fn bias(&mut self, layer: &str, what: &str, node: NodeId, constants: Option<Tensor>) -> Result<NodeId> {
        let Some(constants) = nonzero(constants)? else { return Ok(node) };
        let name = self.fresh(layer, what);
        let per_position = constants.rank() > 1;
        Ok(self.push_with(&name, Bias { per_position }.into(), node, vec![("bias", constants)]))
    }
}

/// The constants, if there is one that is not 0.
pub(super) fn nonzero(constants: Option<Tensor>) -> Result<Option<Tensor>> {
    let Some(constants) = constants else { return Ok(None) };
    let any = constants.ne(0.0)?.flatten_all()?.to_vec1::<u8>()?.contains(&1);
    Ok(any.then_some(constants))
}
