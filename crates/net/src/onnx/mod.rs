//! Writing a plain network as an ONNX file, which other runtimes read, and reading one that others wrote (`read`).
//!
//! The file is a protocol buffer; the few fields it needs are written by hand, so nothing has to be installed to build
//! this. Every layer becomes one operator (an average pool two, dropout none), parameters keep their names, and the
//! batch is a dimension without a number.

mod graph;
mod int8;
mod read;

use std::collections::BTreeMap;

use l0_files::Message;
use serde::{Deserialize, Serialize};

pub(crate) use self::graph::{Attribute, Graph};
pub(crate) use self::read::{
    Arg, Chain, Constant, Content, Kernel, Moved, Operator, Outcome, Reason, axis, extent, groups,
};
pub use self::read::{OnnxProblem, OnnxReader, from_onnx, onnx_ends};
use crate::{Error, Net, Result, Weights};

/// Version of the operators' meanings, where nobody asks for another.
const OPSET: i64 = 17;
/// The versions in which the operators that are written here mean the same.
const OPSETS: std::ops::RangeInclusive<i64> = 14..=22;
/// A protocol buffer must be smaller than 2 GiB.
const LIMIT: usize = i32::MAX as usize;

/// What an ONNX file says about itself.
#[derive(Debug, Clone, Default)]
pub struct OnnxAbout {
    /// The program that wrote the file.
    pub producer: String,
    /// Its version.
    pub version: String,
    /// A description for people.
    pub doc: String,
    /// Facts under names.
    pub metadata: BTreeMap<String, String>,
    /// What its input and its output are called; as their layers, if nothing is said.
    pub ends: Option<OnnxEnds>,
}

/// What the input and the output of an ONNX file are called, by which names a program hands it values and asks for results,
/// and the version of its operators, which the program's runtime has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnnxEnds {
    /// The input.
    pub input: String,
    /// The output.
    pub output: String,
    /// The opset; a file has it if the operators in it mean the same there.
    #[serde(default = "usual_opset")]
    pub opset: i64,
}

fn usual_opset() -> i64 {
    OPSET
}

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
    let graph = Graph::new(net, weights, about.ends.as_ref())?.finish();
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
