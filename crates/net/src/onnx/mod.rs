//! Writing a plain network as an ONNX file, which other runtimes read (`write`), and reading one that others wrote (`read`).
//!
//! The file is a protocol buffer; the few fields it needs are written by hand, so nothing has to be installed to build
//! this. Every layer becomes one operator (an average pool two, dropout none), which its file in `layers` says on a `graph`;
//! parameters keep their names, and the batch is a dimension without a number.

mod about;
mod graph;
mod int8;
mod read;
mod write;

pub use self::about::{OnnxAbout, OnnxEnds};
pub(crate) use self::graph::{Attribute, Graph};
pub use self::read::{OnnxProblem, OnnxReader, from_onnx, onnx_ends};
pub use self::write::to_onnx;
