//! The graph of an ONNX file: operators, the values between them, and the parameters they read.

use std::collections::{HashMap, HashSet};

use candle_core::{DType, Tensor};
use l0_files::Message;

use super::OnnxEnds;
use crate::{Net, Node, NodeId, Result, Shape, Weights};

/// Codes of `TensorProto.DataType`.
pub(super) const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// An attribute of an operator.
pub(crate) enum Attribute {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    Text(String),
}

impl From<i64> for Attribute {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f32> for Attribute {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

impl From<Vec<i64>> for Attribute {
    fn from(values: Vec<i64>) -> Self {
        Self::Ints(values)
    }
}

/// A graph under construction.
pub(crate) struct Graph<'a> {
    pub(crate) net: &'a Net,
    pub(super) weights: &'a Weights,
    taken: HashSet<String>,
    /// The name of each node's output.
    values: Vec<String>,
    operators: Vec<Message>,
    pub(super) parameters: Vec<Message>,
    /// What the input and the output are to be called, by the names of their layers.
    ends: HashMap<String, String>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(net: &'a Net, weights: &'a Weights, ends: Option<&OnnxEnds>) -> Result<Self> {
        let mut taken: HashSet<String> = net.parameters().into_iter().map(|(name, ..)| name).collect();
        let (values, operators, parameters) = (Vec::new(), Vec::new(), Vec::new());
        let wanted = ends.map(|ends| [(0, &ends.input), (net.output(), &ends.output)]);
        let free = wanted.into_iter().flatten().filter(|(_, name)| taken.insert((*name).clone()));
        let ends = free.map(|(id, name)| (net.node(id).name.clone(), name.clone())).collect();
        let mut graph = Self { net, weights, taken, values, operators, parameters, ends };
        for id in 0..net.nodes().len() {
            let value = graph.layer(id)?;
            graph.values.push(value);
        }
        graph.end();
        Ok(graph)
    }

    /// The output of a graph may not be its input itself.
    fn end(&mut self) {
        let out = self.net.output();
        if self.values[out] == self.values[0] {
            let from = self.values[0].clone();
            self.values[out] = self.operator("Identity", "output", &[from], &[]);
        }
    }

    /// Writes the operators of a layer; the name of its output.
    fn layer(&mut self, id: NodeId) -> Result<String> {
        let net = self.net;
        let node = net.node(id);
        let inputs: Vec<String> = node.inputs.iter().map(|&input| self.values[input].clone()).collect();
        node.layer.rules().to_onnx(self, node, &inputs)
    }
}

/// What layers ask for while they are written.
impl<'a> Graph<'a> {
    /// A name that no other value has: values and parameters share one set of names, and an empty one means no value.
    pub(crate) fn fresh(&mut self, wanted: &str) -> String {
        if let Some(end) = self.ends.remove(wanted) {
            return end;
        }
        let mut name = if wanted.is_empty() { "value".into() } else { wanted.to_string() };
        while !self.taken.insert(name.clone()) {
            name.push('_');
        }
        name
    }

    /// The entries `places` of `axis` of a value.
    pub(crate) fn gather(&mut self, name: &str, what: &str, from: String, places: &[u32], axis: i64) -> String {
        let places: Vec<i64> = places.iter().map(|&place| i64::from(place)).collect();
        let indices = self.ints(&format!("{name}.{what}"), &places);
        self.operator("Gather", name, &[from, indices], &[("axis", Attribute::Int(axis))])
    }

    /// Stores whole numbers; their name.
    pub(crate) fn ints(&mut self, name: &str, values: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, &[values.len()], INT64, &bytes)
    }

    /// Stores numbers; their name.
    pub(crate) fn numbers(&mut self, name: &str, values: &[f32]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, &[values.len()], FLOAT, &bytes)
    }

    /// Stores one number; its name.
    pub(crate) fn number(&mut self, name: &str, value: f32) -> String {
        self.constant(name, &[], FLOAT, &value.to_le_bytes())
    }

    pub(super) fn constant(&mut self, name: &str, dims: &[usize], kind: i64, bytes: &[u8]) -> String {
        let name = self.fresh(name);
        self.parameters.push(tensor(&name, dims, kind, bytes));
        name
    }

    fn value_of(&self, name: &str, leaf: &str) -> Result<(String, &'a Tensor)> {
        let name = format!("{name}.{leaf}");
        let value = self.weights.get(&name)?;
        Ok((name, value))
    }

    /// Stores parameters of a layer; their names.
    pub(crate) fn stored(&mut self, name: &str, leaves: &[&str]) -> Result<Vec<String>> {
        let store = |leaf: &&str| {
            let (name, value) = self.value_of(name, leaf)?;
            self.parameters.push(tensor(&name, value.dims(), FLOAT, &bytes(value)?));
            Ok(name)
        };
        leaves.iter().map(store).collect()
    }

    /// Stores a weight and, if there is one, a bias, as numbers of 8 and 32 bits where they are such; their names.
    pub(crate) fn weight_and_bias(&mut self, name: &str, bias: bool) -> Result<Vec<String>> {
        match self.net.int8(self.weights, self.net.find(name)?)? {
            Some((input, codes)) => Ok(self.int8(name, input, &codes)),
            None => self.stored(name, if bias { &["weight", "bias"] } else { &["weight"] }),
        }
    }

    /// Stores values of each unit in the shape in which they spread over the batch and, if need be, the positions.
    pub(crate) fn per_unit(&mut self, node: &Node, leaf: &str) -> Result<String> {
        let (name, value) = self.value_of(&node.name, leaf)?;
        let mut dims = vec![1; self.net.shape(node.inputs[0]).dims().len() + 1];
        dims[1..=value.rank()].copy_from_slice(value.dims());
        self.parameters.push(tensor(&name, &dims, FLOAT, &bytes(value)?));
        Ok(name)
    }

    /// Appends an operator; the name of its output, which is also its own.
    pub(crate) fn operator(
        &mut self,
        kind: &str,
        name: &str,
        inputs: &[String],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let output = self.fresh(name);
        let attributes: Vec<Message> = attributes.iter().map(|(name, value)| attribute(name, value)).collect();
        let node = Message::new().texts(1, inputs).text(2, &output).text(3, &output).text(4, kind);
        self.operators.push(node.messages(5, &attributes));
        output
    }

    pub(super) fn finish(self) -> Message {
        let (first, last) = (0, self.net.output());
        Message::new()
            .messages(1, &self.operators)
            .text(2, "network")
            .messages(5, &self.parameters)
            .message(11, &described(&self.values[first], self.net.shape(first)))
            .message(12, &described(&self.values[last], self.net.shape(last)))
    }
}

fn attribute(name: &str, value: &Attribute) -> Message {
    let named = Message::new().text(1, name);
    match value {
        Attribute::Float(value) => named.float(2, *value).int(20, 1),
        Attribute::Int(value) => named.int(3, *value).int(20, 2),
        Attribute::Text(value) => named.text(4, value).int(20, 3),
        Attribute::Ints(values) => named.ints(8, values).int(20, 7),
    }
}

pub(super) fn tensor(name: &str, dims: &[usize], kind: i64, data: &[u8]) -> Message {
    let dims: Vec<i64> = dims.iter().map(|&dim| dim as i64).collect();
    Message::new().ints(1, &dims).int(2, kind).text(8, name).bytes(9, data)
}

/// The values of a tensor as little-endian f32.
fn bytes(value: &Tensor) -> Result<Vec<u8>> {
    let values: Vec<f32> = value.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// Name, type and shape of a value, the batch left open.
fn described(name: &str, shape: Shape) -> Message {
    let batch = Message::new().text(2, "batch");
    let sizes = shape.dims().into_iter().map(|dim| Message::new().int(1, dim as i64));
    let dims: Vec<Message> = std::iter::once(batch).chain(sizes).collect();
    let shape = Message::new().messages(1, &dims);
    let kind = Message::new().message(1, &Message::new().int(1, FLOAT).message(2, &shape));
    Message::new().text(1, name).message(2, &kind)
}
