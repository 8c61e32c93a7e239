//! What an ONNX file says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the operators' meanings, where nobody asks for another.
pub(super) const OPSET: i64 = 17;

/// What an ONNX file says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

/// What the input and the output of an ONNX file are called, by which names a program hands it values and asks for
/// results, and the version of its operators, which the program's runtime has to know.
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
