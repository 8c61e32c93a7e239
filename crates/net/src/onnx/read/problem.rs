//! What can be wrong with an ONNX file, and what can be done about it.

use super::proto::Described;

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
    #[error(
        "has opset {found}, this program reads 9 to 22; export it with another opset_version, 17 say, or convert it with \
         onnx.version_converter"
    )]
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

impl OnnxProblem {
    /// The same with a word on the input, where that looks as if the channels of images came last: whatever was refused
    /// was then read in a wrong order.
    pub(super) fn advised(self, input: &Described<'_>) -> Self {
        let Some(advice) = channels_last(input) else { return self };
        match self {
            Self::Graph(problem) => Self::Graph(problem + &advice),
            Self::Node { node, operator, problem } => Self::Node { node, operator, problem: problem + &advice },
            other => other,
        }
    }
}

/// What to do about an input whose last dimension is a number of channels, and whose others are sides of images: larger,
/// and but for colours alike, since what is 1 or 4 long may be a side as well.
fn channels_last(input: &Described<'_>) -> Option<String> {
    let Some(&[_, first, second, Some(last @ (1 | 3 | 4))]) = input.dims.as_deref() else { return None };
    let shown = |dim: Option<i64>| dim.filter(|&dim| dim > 0).map_or("?".into(), |dim| dim.to_string());
    let is_open = |side: Option<i64>| side.is_none_or(|side| side < 1);
    let is_side = |side: Option<i64>| is_open(side) || side > Some(last);
    let are_alike = last == 3 || first == second || is_open(first) || is_open(second);
    let are_sides = is_side(first) && is_side(second) && are_alike;
    let (name, first, second) = (input.name, shown(first), shown(second));
    are_sides.then(|| {
        format!(
            "; its input {name:?} of {first} x {second} x {last} looks like images with channels last: tf2onnx puts them \
             first with --inputs-as-nchw {name}"
        )
    })
}

/// What to do about operators that are no layer, by their kinds.
const OF_OPERATORS: [(&[&str], &str); 4] = [
    (
        &["DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"],
        "; export the network quantised by QuantizeLinear and DequantizeLinear alone (QDQ), or before it is quantised",
    ),
    (
        &["LayerNormalization", "GroupNormalization", "InstanceNormalization", "LpNormalization", "LRN"],
        "; of normalisations, that over the batch (BatchNormalization) is understood alone",
    ),
    (
        &["LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention"],
        "; networks of convolutions and linear layers are understood, not recurrent ones or transformers",
    ),
    (&["If", "Loop", "Scan"], "; export the network with its shapes fixed"),
];

/// What to do about an operator that is no layer.
pub(super) fn of_operator(kind: &str) -> &'static str {
    OF_OPERATORS.iter().find(|(kinds, _)| kinds.contains(&kind)).map_or("", |found| found.1)
}

/// What to do about operators that are not ONNX's own, by the beginnings of their domains.
const OF_DOMAINS: [(&str, &str); 3] = [
    ("com.microsoft", "; onnxruntime's optimiser writes it: give the file from before that"),
    ("pkg.", "; it holds functions of the file's own: put them in place with onnx.inliner.inline_local_functions"),
    (
        "ai.onnx.ml",
        "; skl2onnx writes it: convert with the option zipmap=False, leave scaling to the data, and take out the part from \
         the input to the probabilities (onnx.utils.extract_model)",
    ),
];

/// What to do about a domain of operators that is not ONNX's own.
pub(super) fn of_domain(domain: &str) -> &'static str {
    let found = OF_DOMAINS.iter().find(|(beginning, _)| domain.starts_with(*beginning));
    found.map_or("; ONNX's own operators are understood alone", |found| found.1)
}

/// Constants of a kind, with which an operator computes what is not known here.
pub(super) fn not_computed(what: &str) -> String {
    format!(
        "{what}, for which it is not computed beforehand; export the network with do_constant_folding=True, or run onnxsim \
         over the file"
    )
}

/// What to do about an input of whole numbers.
pub(super) const OF_WHOLE_NUMBERS: &str =
    "; take out the part behind the operator that makes floats of them (onnx.utils.extract_model)";
