//! Writing a plain network as an ONNX file, which other runtimes read (`write`), and reading one that others wrote
//! (`read`).
//!
//! The file is a protocol buffer; the few fields it needs are written by hand, so nothing has to be installed to build
//! this. What operators a layer becomes its file in `layers` says on a `graph`: most become one, a pool to features or
//! a rounding two, a GELU several, dropout none; an int8 layer has a DequantizeLinear more for its weight, and for its
//! bias (`int8`). Parameters keep their names, and the batch is a dimension without a number.

mod about;
mod graph;
mod int8;
mod read;
mod write;

pub use self::about::{OnnxAbout, OnnxEnds};
pub(crate) use self::graph::{Attribute, Graph};
pub use self::read::{OnnxProblem, OnnxReader, from_onnx, onnx_about, onnx_values};
pub use self::write::to_onnx;
