//! The graph of an ONNX file: operators, the values between them, and the parameters they read.

use std::collections::{HashMap, HashSet};

use candle_core::{DType, Tensor};
use l0_files::Message;

use crate::{Grid, Int8Weights, Place, Result, Weights};

/// Codes of `TensorProto.DataType`.
pub(super) const FLOAT: i64 = 1;
pub(super) const INT64: i64 = 7;

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

/// A graph under construction: what layers ask for while they are written.
pub(crate) struct Graph<'a> {
    pub(super) weights: &'a Weights,
    taken: HashSet<String>,
    operators: Vec<Message>,
    pub(super) parameters: Vec<Message>,
    /// What values are to be called that are asked for under other names, as those of layers.
    called: HashMap<String, String>,
    /// The grids that layers of whole numbers read, and the codes of their values, by the names of the layers.
    codes: HashMap<String, (Grid, Int8Weights)>,
}

impl<'a> Graph<'a> {
    /// An empty graph, the names `taken` left to parameters.
    pub(super) fn new(weights: &'a Weights, taken: HashSet<String>) -> Self {
        let (operators, parameters) = (Vec::new(), Vec::new());
        Self { weights, taken, operators, parameters, called: HashMap::new(), codes: HashMap::new() }
    }

    /// Calls the next value that is asked for as `wanted` by a name that is among those taken.
    pub(super) fn call(&mut self, wanted: &str, name: String) {
        self.called.insert(wanted.into(), name);
    }

    /// The same, these layers with codes in the place of their values.
    pub(super) fn with_codes(self, codes: HashMap<String, (Grid, Int8Weights)>) -> Self {
        Self { codes, ..self }
    }

    /// A name that no other value has: values and parameters share one set of names, and an empty one means no value.
    pub(crate) fn fresh(&mut self, wanted: &str) -> String {
        if let Some(name) = self.called.remove(wanted) {
            return name;
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
        match self.codes.remove(name) {
            Some((input, codes)) => Ok(self.int8(name, input, &codes)),
            None => self.stored(name, if bias { &["weight", "bias"] } else { &["weight"] }),
        }
    }

    /// Stores values of each unit in the shape in which they spread over the batch and, if need be, the positions.
    pub(crate) fn per_unit(&mut self, place: &Place, leaf: &str) -> Result<String> {
        let (name, value) = self.value_of(place.name, leaf)?;
        let mut dims = vec![1; place.inputs[0].dims().len() + 1];
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

    /// The graph as it is stored, with its input and its output.
    pub(super) fn finish(self, input: Described<'_>, output: Described<'_>) -> Message {
        Message::new()
            .messages(1, &self.operators)
            .text(2, "network")
            .messages(5, &self.parameters)
            .message(11, &input.message())
            .message(12, &output.message())
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

/// A value at the edge of the graph.
pub(super) struct Described<'a> {
    pub(super) name: &'a str,
    /// The code of its type.
    pub(super) kind: i64,
    /// The shape of one example.
    pub(super) dims: &'a [usize],
}

impl Described<'_> {
    /// Name, type and shape, the batch left open.
    fn message(&self) -> Message {
        let batch = Message::new().text(2, "batch");
        let sizes = self.dims.iter().map(|&dim| Message::new().int(1, dim as i64));
        let dims: Vec<Message> = std::iter::once(batch).chain(sizes).collect();
        let shape = Message::new().messages(1, &dims);
        let kind = Message::new().message(1, &Message::new().int(1, self.kind).message(2, &shape));
        Message::new().text(1, self.name).message(2, &kind)
    }
}
