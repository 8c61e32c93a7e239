//! The description: nodes, the shapes between them, and the spaces of units they share.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::layers::{Reads, SpaceOf};
use crate::{Error, Layer, NodeId, Place, Result, Shape, Space, SpaceId};

/// One layer of a network and what it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The key of the layer's parameters; unique in a network.
    pub name: String,
    /// What the layer does.
    pub layer: Layer,
    /// The nodes it reads, all before it.
    pub inputs: Vec<NodeId>,
}

/// How the weights of a linear layer or a convolution lie in its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerWeights {
    /// The name of the layer.
    pub layer: String,
    /// The dimension of its weight along which its outputs lie; inputs lie along the other of the first two.
    pub rows: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Whether every output reads every input.
    pub mixes: bool,
}

impl LayerWeights {
    /// The weight's name, with a dimension.
    pub fn weight(&self, dim: usize) -> (String, usize) {
        (format!("{}.weight", self.layer), dim)
    }

    /// The parameters that belong to single outputs, each with the dimension along which these lie.
    pub fn of_outputs(&self) -> Vec<(String, usize)> {
        let bias = self.bias.then(|| (format!("{}.bias", self.layer), 0));
        std::iter::once(self.weight(self.rows)).chain(bias).collect()
    }
}

/// A network, described and checked: an acyclic graph from one input to the last node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Node>", into = "Vec<Node>")]
pub struct Net {
    nodes: Vec<Node>,
    shapes: Vec<Shape>,
    spaces: Vec<Space>,
    space_of: Vec<SpaceId>,
    makes_space: Vec<bool>,
    reads: Vec<Reads>,
    readers: Vec<Vec<NodeId>>,
}

/// The most nodes of a network: a file may ask for anything, and what is written is to be read.
pub(crate) const MOST_LAYERS: usize = 10_000;

/// The most units of all its layers together, each of which takes some memory before there is any value.
const MOST_UNITS: usize = 1 << 25;

impl TryFrom<Vec<Node>> for Net {
    type Error = Error;

    fn try_from(nodes: Vec<Node>) -> Result<Self> {
        Self::new(nodes)
    }
}

impl From<Net> for Vec<Node> {
    fn from(net: Net) -> Self {
        net.nodes
    }
}

impl Net {
    /// A network of these nodes, each after those it reads, the first the only input, the last the output.
    ///
    /// # Errors
    /// If a name stands twice, a node reads a later one, a layer does not accept what it reads, or there are more than
    /// 10,000 nodes or 33,554,432 units.
    pub fn new(nodes: Vec<Node>) -> Result<Self> {
        if let Some(node) = nodes.get(MOST_LAYERS) {
            let problem = format!("is one of {} layers, of which a network has {MOST_LAYERS} at most", nodes.len());
            return Err(Error::layer(&node.name, problem));
        }
        check_names(&nodes)?;
        let mut shapes: Vec<Shape> = Vec::with_capacity(nodes.len());
        let mut readers = vec![Vec::new(); nodes.len()];
        let (mut reads, mut owners, mut units) = (Vec::new(), Vec::new(), 0usize);
        for (id, node) in nodes.iter().enumerate() {
            if (id == 0) != matches!(node.layer, Layer::Input(_)) {
                return Err(Error::layer(&node.name, "the first node, and no other, is the input"));
            }
            if let Some(later) = node.inputs.iter().find(|&&input| input >= id) {
                return Err(Error::layer(
                    &node.name,
                    format!("is node {id} and reads node {later}, which is not before it"),
                ));
            }
            let inputs: Vec<Shape> = node.inputs.iter().map(|&input| shapes[input]).collect();
            let (rules, shape) = (node.layer.rules(), node.layer.output(&node.name, &inputs)?);
            shapes.push(shape);
            units = shape.units().saturating_add(units);
            if units > MOST_UNITS {
                let problem =
                    format!("brings the units of all layers to {units}, of which a network has {MOST_UNITS} at most");
                return Err(Error::layer(&node.name, problem));
            }
            reads.push(rules.reads(&inputs, shape));
            owners.push(rules.space(&inputs));
            node.inputs.iter().for_each(|&input| readers[input].push(id));
        }
        let (spaces, space_of) = spaces(&nodes, &shapes, &owners);
        let makes_space = owners.iter().map(|&owner| owner == SpaceOf::Own).collect();
        Ok(Self { nodes, shapes, spaces, space_of, makes_space, reads, readers })
    }

    /// The nodes, each after those it reads.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node at a place.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// The last node, whose output is the network's.
    pub fn output(&self) -> NodeId {
        self.nodes.len() - 1
    }

    /// The layer that makes the numbers which the network gives: the last one, or what it flattens, where each unit has
    /// one number.
    pub fn last_layer(&self) -> &Layer {
        let mut id = self.output();
        while let (Layer::Flatten(_), &[input]) = (&self.nodes[id].layer, &self.nodes[id].inputs[..])
            && self.shapes[input].positions() == 1
        {
            id = input;
        }
        &self.nodes[id].layer
    }

    /// The shape of a node's output for one example.
    pub fn shape(&self, id: NodeId) -> Shape {
        self.shapes[id]
    }

    /// The nodes that read a node's output.
    pub fn readers(&self, id: NodeId) -> &[NodeId] {
        &self.readers[id]
    }

    /// The spaces of units.
    pub fn spaces(&self) -> &[Space] {
        &self.spaces
    }

    /// The space at a place that a caller gave.
    pub(crate) fn known_space(&self, id: SpaceId) -> Result<&Space> {
        let names = self.spaces.iter().map(|space| space.name.as_str());
        self.spaces.get(id).ok_or_else(|| Error::unknown("space", &id.to_string(), names))
    }

    /// The space of a node's output.
    pub fn space(&self, id: NodeId) -> SpaceId {
        self.space_of[id]
    }

    /// The node with this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(&self, name: &str) -> Result<NodeId> {
        let names = self.nodes.iter().map(|node| node.name.as_str());
        self.nodes.iter().position(|node| node.name == name).ok_or_else(|| Error::unknown("layer", name, names))
    }

    /// Linear layers and convolutions, in order.
    pub fn affine(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0..self.nodes.len()).filter(|&id| self.nodes[id].layer.is_affine())
    }

    /// The nodes whose outputs are units of a space: layers that are coupled.
    pub fn coupled(&self, space: SpaceId) -> Vec<NodeId> {
        (0..self.nodes.len()).filter(|&id| self.space_of[id] == space).collect()
    }

    /// The weights of a linear layer or a convolution; none of other layers.
    pub fn weights_of(&self, id: NodeId) -> Option<LayerWeights> {
        let rules = self.nodes[id].layer.rules();
        let rows = rules.row_dim().filter(|_| rules.is_affine())?;
        let bias = rules.bias() == Some(true);
        Some(LayerWeights { layer: self.nodes[id].name.clone(), rows, bias, mixes: self.reads[id] == Reads::All })
    }

    /// Whether a node makes the space of its output, so that a mask of that space is applied there.
    pub(crate) fn makes_space(&self, id: NodeId) -> bool {
        self.makes_space[id]
    }

    /// Of which units of its inputs each unit of a node is made.
    pub(crate) fn reads(&self, id: NodeId) -> &Reads {
        &self.reads[id]
    }

    /// Where a node stands.
    pub(crate) fn place(&self, id: NodeId) -> Place<'_> {
        Place { name: &self.nodes[id].name, inputs: self.input_shapes(id), output: self.shapes[id] }
    }

    /// The shapes of what a node reads.
    pub(crate) fn input_shapes(&self, id: NodeId) -> Vec<Shape> {
        self.nodes[id].inputs.iter().map(|&input| self.shapes[input]).collect()
    }
}

fn check_names(nodes: &[Node]) -> Result<()> {
    if nodes.is_empty() {
        return Err(Error::layer("", "a network has at least an input"));
    }
    let mut seen = HashMap::new();
    match nodes.iter().find(|node| seen.insert(node.name.as_str(), ()).is_some()) {
        Some(node) => Err(Error::DuplicateName(node.name.clone())),
        None => Ok(()),
    }
}

/// Gives every node the space it shares: its own where it makes one, else that of an input, or of all, which then is
/// one.
fn spaces(nodes: &[Node], shapes: &[Shape], owners: &[SpaceOf]) -> (Vec<Space>, Vec<SpaceId>) {
    let mut root: Vec<NodeId> = (0..nodes.len()).collect(); // of each node, the first node of its space
    for (id, node) in nodes.iter().enumerate() {
        match owners[id] {
            SpaceOf::Own => {}
            SpaceOf::Input(input) => root[id] = root[node.inputs[input]],
            SpaceOf::Inputs => {
                root[id] = root[node.inputs[0]];
                for &other in &node.inputs[1..] {
                    let (first, other) = (root[id].min(root[other]), root[id].max(root[other]));
                    root[..=id].iter_mut().filter(|root| **root == other).for_each(|root| *root = first);
                }
            }
        }
    }
    let mut ids = HashMap::new();
    let mut spaces = Vec::new();
    let space_of = root.iter().map(|&first| {
        *ids.entry(first).or_insert_with(|| {
            spaces.push(Space { name: nodes[first].name.clone(), units: shapes[first].units() });
            spaces.len() - 1
        })
    });
    let space_of = space_of.collect();
    (spaces, space_of)
}
