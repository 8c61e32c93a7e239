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
    /// What its input and its output are called, and what stands behind the last layer; the names of their layers and
    /// nothing, if nothing is said.
    pub ends: Option<OnnxEnds>,
}

/// What the input and the output of an ONNX file are called, by which names a program hands it values and asks for
/// results, the version of its operators, which the program's runtime has to know, and what the file does with the
/// numbers that the network's last layer gives.
///
/// A network is trained on what its last layer gives; a LogSoftmax, an ArgMax and another shape behind it are no layers.
/// What was read with them is written with them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnnxEnds {
    /// The input.
    pub input: String,
    /// The output.
    pub output: String,
    /// The opset; a file has it if the operators in it mean the same there.
    #[serde(default = "usual_opset")]
    pub opset: i64,
    /// Whether the file gives the logarithms of the softmax of what the last layer gives, over its units.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub log_softmax: bool,
    /// Whether it gives the number of the largest unit (the first of equal ones) in the place of the units, as INT64.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub arg_max: bool,
    /// The shape of one example of the file's output, where it is another than that of the last layer, or of what
    /// `arg_max` makes of it, (1,) or (1, h, w): none in the file for one number for each example, as by `squeeze`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<usize>>,
}

impl OnnxEnds {
    /// An input and an output of these names, in operators of this version; the output is what the last layer gives.
    pub fn new(input: impl Into<String>, output: impl Into<String>, opset: i64) -> Self {
        let (input, output) = (input.into(), output.into());
        Self { input, output, opset, log_softmax: false, arg_max: false, shape: None }
    }

    /// The shape of one example of the file's output, if `shape` does not say another, where the last layer gives `dims`.
    pub(super) fn made_of(&self, dims: &[usize]) -> Vec<usize> {
        let mut dims = dims.to_vec();
        if let Some(units) = dims.first_mut().filter(|_| self.arg_max) {
            *units = 1;
        }
        dims
    }
}

fn usual_opset() -> i64 {
    OPSET
}
