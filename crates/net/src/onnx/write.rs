//! Writes a network as an ONNX file: the walk over its layers, and what the file says around the graph.

use std::collections::{HashMap, HashSet};

use l0_files::Message;

use super::about::{OPSET, OnnxAbout, OnnxEnds};
use super::graph::{Attribute, Described, FLOAT, Graph, INT64};
use crate::{Error, Grid, Int8Weights, Net, Result, Shape, Weights};

/// The versions in which the operators that are written here mean the same.
const OPSETS: std::ops::RangeInclusive<i64> = 14..=22;
/// A protocol buffer must be smaller than 2 GiB.
const LIMIT: usize = i32::MAX as usize;

/// The version of the file format that came with an opset: 8 is read by every runtime of the last years.
fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=18 => 8,
        19 | 20 => 9,
        _ => 10,
    }
}

/// The bytes of an ONNX file of `net`, which reads (batch, ...) as the network's input and gives (batch, ...) as its
/// last layer, both named after their layers, or what [`OnnxAbout::ends`] says.
///
/// # Errors
/// If a parameter is missing or of another shape, the output is to have a shape of another number of values than the
/// network gives, or the file would reach 2 GiB.
pub fn to_onnx(net: &Net, weights: &Weights, about: &OnnxAbout) -> Result<Vec<u8>> {
    weights.check(net)?;
    let size: usize = net.parameters().iter().map(|(.., shape)| 4 * shape.iter().product::<usize>()).sum();
    if size >= LIMIT {
        return Err(Error::Count { what: "bytes of parameters", found: size, expected: format!("fewer than {LIMIT}") });
    }
    let graph = graph(net, weights, about.ends.as_ref())?;
    let opset = about.ends.as_ref().map(|ends| ends.opset).filter(|opset| OPSETS.contains(opset)).unwrap_or(OPSET);
    let operators = Message::new().text(1, "").int(2, opset);
    let entry = |(key, value): (&String, &String)| Message::new().text(1, key).text(2, value);
    let metadata: Vec<Message> = about.metadata.iter().map(entry).collect();
    let model = Message::new()
        .int(1, ir_version(opset))
        .text(2, &about.producer)
        .text(3, &about.version)
        .text(6, &about.doc)
        .message(7, &graph)
        .message(8, &operators)
        .messages(14, &metadata);
    Ok(model.into_bytes())
}

/// The graph of a file: every layer in order, as its own operators, and what stands behind the last one.
fn graph(net: &Net, weights: &Weights, ends: Option<&OnnxEnds>) -> Result<Message> {
    let out = net.output();
    let mut taken: HashSet<String> = net.parameters().into_iter().map(|(name, ..)| name).collect();
    // A name that a parameter has is left to it.
    let mut free = |name: &String| taken.insert(name.clone()).then(|| name.clone());
    let (input, output) = (ends.and_then(|ends| free(&ends.input)), ends.and_then(|ends| free(&ends.output)));
    let mut graph = Graph::new(weights, taken).with_codes(codes(net, weights)?);
    if let Some(input) = input {
        graph.call(&net.node(0).name, input);
    }
    let mut tail = ends.map_or(Ok(Tail::default()), |ends| Tail::of(ends, net.shape(out)))?;
    let mut values: Vec<String> = Vec::new(); // the name of each node's output
    for (id, node) in net.nodes().iter().enumerate() {
        let inputs: Vec<String> = node.inputs.iter().map(|&input| values[input].clone()).collect();
        if let Some(output) = output.as_ref().filter(|_| id == out && id > 0 && tail.operators.is_empty()) {
            graph.call(&node.name, output.clone());
        }
        values.push(node.layer.rules().to_onnx(&mut graph, &net.place(id), &inputs)?);
    }
    // The output of a graph may not be its input itself; and some layers are no operator that could have its name.
    let is_named = values[out] != values[0] && output.as_ref().is_none_or(|name| *name == values[out]);
    if tail.operators.is_empty() && !is_named {
        tail.operators.push(End::Same);
    }
    let last = tail.write(&mut graph, values[out].clone(), output);
    let input = Described { name: &values[0], kind: FLOAT, dims: &net.shape(0).dims() };
    let kind = if tail.counts() { INT64 } else { FLOAT };
    let dims = tail.dims.unwrap_or_else(|| net.shape(out).dims());
    Ok(graph.finish(input, Described { name: &last, kind, dims: &dims }))
}

/// Grids and codes of the layers of whole numbers, by their names.
fn codes(net: &Net, weights: &Weights) -> Result<HashMap<String, (Grid, Int8Weights)>> {
    let mut codes = HashMap::new();
    for id in net.affine() {
        codes.extend(net.int8(weights, id)?.map(|found| (net.node(id).name.clone(), found)));
    }
    Ok(codes)
}

/// An operator behind the last layer.
#[derive(Debug, PartialEq)]
enum End {
    Same,
    LogSoftmax,
    ArgMax,
    Shape(Vec<usize>),
}

/// What stands behind the last layer, and the shape of one example of what it makes, if that is said.
#[derive(Default)]
struct Tail {
    operators: Vec<End>,
    dims: Option<Vec<usize>>,
}

impl Tail {
    fn of(ends: &OnnxEnds, last: Shape) -> Result<Self> {
        let made = ends.made_of(&last.dims());
        let mut operators = Vec::new();
        operators.extend(ends.log_softmax.then_some(End::LogSoftmax));
        operators.extend(ends.arg_max.then_some(End::ArgMax));
        let dims = ends.shape.clone().unwrap_or_else(|| made.clone());
        let size = |dims: &[usize]| dims.iter().try_fold(1usize, |size, &dim| size.checked_mul(dim));
        if size(&dims) != size(&made) {
            let expected = format!("a shape of as many as the network gives, {made:?}, or none");
            let found = size(&dims).unwrap_or(usize::MAX);
            return Err(Error::Count { what: "values in the shape that its output is to have", found, expected });
        }
        if dims != made {
            operators.push(End::Shape(dims.clone()));
        }
        Ok(Self { operators, dims: Some(dims) })
    }

    /// Whether numbers of units are what comes out.
    fn counts(&self) -> bool {
        self.operators.contains(&End::ArgMax)
    }

    /// Writes the operators behind `last`, the last of them under the name that is `wanted`; the name of the output.
    fn write(&self, graph: &mut Graph, mut last: String, wanted: Option<String>) -> String {
        let stem = "output";
        for (i, end) in self.operators.iter().enumerate() {
            let (kind, mut inputs, attributes) = match end {
                End::Same => ("Identity", vec![last], Vec::new()),
                End::LogSoftmax => ("LogSoftmax", vec![last], vec![("axis", Attribute::Int(1))]),
                End::ArgMax => ("ArgMax", vec![last], vec![("axis", Attribute::Int(1))]),
                End::Shape(_) => ("Reshape", vec![last], Vec::new()),
            };
            if let End::Shape(dims) = end {
                // 0 stands for the batch, which stays.
                let dims: Vec<i64> = std::iter::once(0).chain(dims.iter().map(|&dim| dim as i64)).collect();
                inputs.push(graph.ints("output.shape", &dims));
            }
            if let Some(name) = wanted.as_ref().filter(|_| i + 1 == self.operators.len()) {
                graph.call(stem, name.clone());
            }
            last = graph.operator(kind, stem, &inputs, &attributes);
        }
        last
    }
}
