//! Our ONNX files, run by a second runtime; see `tests/`.
//!
//! A crate of its own, so that the runtime (two minutes to build) is not a dependency of the tests of `l0-net`.
