//! Writes a network as an ONNX file: the walk over its layers, and what the file says around the graph.

use std::collections::{HashMap, HashSet};

use l0_files::Message;

use super::about::{OPSET, OnnxAbout, OnnxEnds};
use super::graph::Graph;
use crate::{Error, Net, Result, Weights};

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
/// last layer, both named after their layers or as [`OnnxAbout::ends`] says.
///
/// # Errors
/// If a parameter is missing or of another shape, or the file would reach 2 GiB.
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

/// The graph of a file: every layer in order, as its own operators.
fn graph(net: &Net, weights: &Weights, ends: Option<&OnnxEnds>) -> Result<Message> {
    let out = net.output();
    let mut taken: HashSet<String> = net.parameters().into_iter().map(|(name, ..)| name).collect();
    let wanted = ends.map(|ends| [(0, &ends.input), (out, &ends.output)]);
    let free = wanted.into_iter().flatten().filter(|(_, name)| taken.insert((*name).clone()));
    let ends = free.map(|(id, name)| (net.node(id).name.clone(), name.clone())).collect();
    let mut codes = HashMap::new();
    for id in net.affine() {
        codes.extend(net.int8(weights, id)?.map(|found| (net.node(id).name.clone(), found)));
    }
    let mut graph = Graph::new(weights, taken, ends).with_codes(codes);
    let mut values: Vec<String> = Vec::new(); // the name of each node's output
    for (id, node) in net.nodes().iter().enumerate() {
        let inputs: Vec<String> = node.inputs.iter().map(|&input| values[input].clone()).collect();
        values.push(node.layer.rules().to_onnx(&mut graph, &net.place(id), &inputs)?);
    }
    // The output of a graph may not be its input itself.
    if values[out] == values[0] {
        values[out] = graph.operator("Identity", "output", &[values[0].clone()], &[]);
    }
    Ok(graph.finish((&values[0], net.shape(0)), (&values[out], net.shape(out))))
}
