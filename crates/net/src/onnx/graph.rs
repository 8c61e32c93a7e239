//! The graph of an ONNX file: operators, the values between them, and the parameters they read.

use std::collections::HashSet;

use candle_core::{DType, Tensor};
use l0_files::Message;

use crate::{Layer, Net, NodeId, Result, Shape, Weights};

/// Codes of `TensorProto.DataType`.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// An attribute of an operator.
enum Attribute {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
}

/// A graph under construction.
pub(super) struct Graph<'a> {
    net: &'a Net,
    weights: &'a Weights,
    taken: HashSet<String>,
    /// The name of each node's output.
    values: Vec<String>,
    operators: Vec<Message>,
    parameters: Vec<Message>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(net: &'a Net, weights: &'a Weights) -> Result<Self> {
        let taken = net.parameters().into_iter().map(|(name, ..)| name).collect();
        let (values, operators, parameters) = (Vec::new(), Vec::new(), Vec::new());
        let mut graph = Self { net, weights, taken, values, operators, parameters };
        for id in 0..net.nodes().len() {
            let value = graph.layer(id)?;
            graph.values.push(value);
        }
        graph.end();
        Ok(graph)
    }

    /// A name that no other value has: values and parameters share one set of names, and an empty one means no value.
    fn fresh(&mut self, wanted: &str) -> String {
        let mut name = if wanted.is_empty() { "value".into() } else { wanted.to_string() };
        while !self.taken.insert(name.clone()) {
            name.push('_');
        }
        name
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
        let node = self.net.node(id);
        let name = node.name.as_str();
        let mut inputs: Vec<String> = node.inputs.iter().map(|&input| self.values[input].clone()).collect();
        let leaves = |leaves: &[(&'static str, bool)]| -> Vec<&'static str> {
            leaves.iter().filter(|leaf| leaf.1).map(|leaf| leaf.0).collect()
        };
        Ok(match &node.layer {
            Layer::Input { .. } => self.fresh(name),
            Layer::Dropout { .. } | Layer::Identity => inputs.remove(0),
            Layer::Linear { bias, .. } => {
                inputs.extend(self.stored(name, &leaves(&[("weight", true), ("bias", *bias)]))?);
                self.operator("Gemm", name, &inputs, &[("transB", Attribute::Int(1))])
            }
            Layer::Conv2d { kernel, stride, padding, bias, .. } => {
                inputs.extend(self.stored(name, &leaves(&[("weight", true), ("bias", *bias)]))?);
                let [kernel, stride] = [kernel, stride].map(|&side| Attribute::Ints(vec![side as i64; 2]));
                let pads = Attribute::Ints(vec![*padding as i64; 4]);
                self.operator("Conv", name, &inputs, &[("kernel_shape", kernel), ("strides", stride), ("pads", pads)])
            }
            Layer::BatchNorm { eps, .. } => {
                inputs.extend(self.stored(name, &["weight", "bias", "running_mean", "running_var"])?);
                let eps = Attribute::Float(*eps as f32);
                self.operator("BatchNormalization", name, &inputs, &[("epsilon", eps)])
            }
            Layer::Relu => self.operator("Relu", name, &inputs, &[]),
            Layer::MaxPool2d { size } => {
                let [kernel, stride] = [(); 2].map(|()| Attribute::Ints(vec![*size as i64; 2]));
                self.operator("MaxPool", name, &inputs, &[("kernel_shape", kernel), ("strides", stride)])
            }
            Layer::AvgPool => {
                let mean = self.operator("GlobalAveragePool", &format!("{name}.mean"), &inputs, &[]);
                self.operator("Flatten", name, &[mean], &[("axis", Attribute::Int(1))])
            }
            Layer::Flatten => self.operator("Flatten", name, &inputs, &[("axis", Attribute::Int(1))]),
            Layer::Add => self.operator("Add", name, &inputs, &[]),
            Layer::Take { units } => {
                let from = inputs.remove(0);
                self.gather(name, "units", from, units, 1)
            }
            Layer::Border { margins } => {
                let (rows, columns) = match self.net.shape(id) {
                    Shape::Image(_, h, w) => margins.places(h, w),
                    Shape::Features(_) => (Vec::new(), Vec::new()),
                };
                let values = self.bias(id)?;
                let values = self.gather(&format!("{name}.of_rows"), "rows", values, &rows, 2);
                inputs.push(self.gather(&format!("{name}.map"), "columns", values, &columns, 3));
                self.operator("Add", name, &inputs, &[])
            }
            Layer::Bias { .. } => {
                inputs.push(self.bias(id)?);
                self.operator("Add", name, &inputs, &[])
            }
        })
    }

    /// The entries `places` of `axis` of a value.
    fn gather(&mut self, name: &str, what: &str, from: String, places: &[u32], axis: i64) -> String {
        let bytes: Vec<u8> = places.iter().flat_map(|&place| i64::from(place).to_le_bytes()).collect();
        let indices = self.fresh(&format!("{name}.{what}"));
        self.parameters.push(tensor(&indices, &[places.len()], INT64, &bytes));
        self.operator("Gather", name, &[from, indices], &[("axis", Attribute::Int(axis))])
    }

    fn value_of(&self, name: &str, leaf: &str) -> Result<(String, &'a Tensor)> {
        let name = format!("{name}.{leaf}");
        let value = self.weights.get(&name)?;
        Ok((name, value))
    }

    /// Stores parameters of a layer; their names.
    fn stored(&mut self, name: &str, leaves: &[&str]) -> Result<Vec<String>> {
        let store = |leaf: &&str| {
            let (name, value) = self.value_of(name, leaf)?;
            self.parameters.push(tensor(&name, value.dims(), FLOAT, &bytes(value)?));
            Ok(name)
        };
        leaves.iter().map(store).collect()
    }

    /// Stores a bias layer's values in the shape in which they spread over the batch and, if need be, the positions.
    fn bias(&mut self, id: NodeId) -> Result<String> {
        let (name, value) = self.value_of(&self.net.node(id).name, "bias")?;
        let mut dims = vec![1; self.net.shape(id).dims().len() + 1];
        dims[1..=value.rank()].copy_from_slice(value.dims());
        self.parameters.push(tensor(&name, &dims, FLOAT, &bytes(value)?));
        Ok(name)
    }

    /// Appends an operator; the name of its output, which is also its own.
    fn operator(&mut self, kind: &str, name: &str, inputs: &[String], attributes: &[(&str, Attribute)]) -> String {
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
        Attribute::Ints(values) => named.ints(8, values).int(20, 7),
    }
}

fn tensor(name: &str, dims: &[usize], kind: i64, data: &[u8]) -> Message {
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
