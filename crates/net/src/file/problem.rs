//! What can be wrong with a file.

use super::kind::Kind;

/// Why a file was refused, with what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It ends too early, or goes on too long.
    #[error("has {found} bytes, expected {expected}: it was cut off or damaged; copy or export it again")]
    Size {
        /// Bytes of the file.
        found: u64,
        /// Bytes that its header asks for.
        expected: u64,
    },
    /// It is larger than any network that this program makes, on disk or because a sparse file says so.
    #[error("has {found} bytes, at most {limit} are read: it is not a network of this program")]
    Large {
        /// Bytes of the file.
        found: u64,
        /// The most a file may have.
        limit: u64,
    },
    /// The header claims an impossible size.
    #[error(
        "claims a header of {found} bytes, at most {limit} are allowed: it is not a safetensors file or is damaged"
    )]
    Header {
        /// Bytes that the header claims to have.
        found: u64,
        /// The most a header may have.
        limit: u64,
    },
    /// It is not a file of this format.
    #[error("is not a network of this program ({0}); export one, or convert it to a description and weights")]
    Foreign(String),
    /// It is no safetensors file.
    #[error("is not a file of safetensors ({0}); save the values with safetensors, under their names")]
    NotTensors(String),
    /// It was written by a later version.
    #[error("has format version {found:?}, this program reads {expected}; update the program or export again")]
    Version {
        /// Version of the file.
        found: String,
        /// The version that can be read.
        expected: String,
    },
    /// It holds something else.
    #[error("holds a {found}, expected a {expected}; compaction makes a plain network of a gated one")]
    Kind {
        /// What it holds.
        found: Kind,
        /// What was asked for.
        expected: Kind,
    },
    /// Its description or another entry of its metadata makes no sense.
    #[error("has a wrong entry {key:?} in its metadata: {problem}")]
    Entry {
        /// The key of the entry.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor is missing.
    #[error("lacks the tensor {tensor:?} of shape {expected:?} that its description asks for")]
    Missing {
        /// The name of the tensor.
        tensor: String,
        /// Its shape.
        expected: Vec<usize>,
    },
    /// A tensor that the description does not know.
    #[error("has a tensor {tensor:?} of shape {found:?} that its description does not ask for; known are {known}")]
    Extra {
        /// The name of the tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The names that the description asks for.
        known: String,
    },
    /// A tensor of the wrong shape.
    #[error("its tensor {tensor:?} has shape {found:?}, expected {expected:?} from the description")]
    Shape {
        /// The name of the tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the description asks for.
        expected: Vec<usize>,
    },
    /// A tensor of the wrong type.
    #[error("its tensor {tensor:?} has dtype {found}, expected F32")]
    Dtype {
        /// The name of the tensor.
        tensor: String,
        /// Its type.
        found: String,
    },
    /// Its contents were changed after it was written.
    #[error("has contents of sha256 {found}, expected {expected}: it was damaged or changed; export it again")]
    Checksum {
        /// The digest of what is there.
        found: String,
        /// The digest that was written.
        expected: String,
    },
    /// The system refused to read it.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The system refused to write it.
    #[error("cannot be written: {0}")]
    Write(std::io::Error),
    /// Candle cannot hold a tensor.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
