//! What can be wrong with an ONNX file.

/// Why an ONNX file was refused, with what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OnnxProblem {
    /// The system refused to read it.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is no file, or larger than an ONNX file can be.
    #[error("{0}")]
    Size(String),
    /// Its bytes are not those of an ONNX file.
    #[error("is no ONNX file, or damaged ({0}); export it again")]
    Bytes(String),
    /// Its operators mean what this program does not know.
    #[error("has opset {found}, this program reads 9 to 22; export it with another opset_version, 17 say")]
    Opset {
        /// The version of the operators, 0 where it says none.
        found: i64,
    },
    /// The graph as a whole.
    #[error("its graph has {0}")]
    Graph(String),
    /// A tensor that cannot be read.
    #[error("its tensor {tensor:?}: {problem}")]
    Tensor {
        /// The name of the tensor.
        tensor: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A node that is not understood.
    #[error("node {node:?} ({operator}) is not supported: {problem}")]
    Node {
        /// The name of the node, or of its first output.
        node: String,
        /// What it does.
        operator: String,
        /// What of it is not supported, with what was found and expected.
        problem: String,
    },
    /// An image whose height and width the file leaves open.
    #[error(
        "leaves the size of its input {input:?} open, {found}; say it (OnnxReader::input_size, or --input-size HxW)"
    )]
    InputSize {
        /// The name of the input.
        input: String,
        /// The dimensions that the file states.
        found: String,
    },
}
