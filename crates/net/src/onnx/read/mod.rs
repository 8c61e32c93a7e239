//! Reading networks from ONNX files: bytes, a graph of operators, layers.
//!
//! 1. `wire`, `proto`: the fields of the protocol buffer, borrowed from the bytes; `constant`, `external`: values.
//! 2. `walk`: the nodes that the output needs, in order. What depends on stored values and shapes alone is computed
//!    (`fold`, `moving`, `arithmetic`); the batch is a number that is moved, not computed with.
//! 3. `convert`: each other operator becomes a layer (`matrix`, `convolution`, `pool`, `normalisation`, `activation`,
//!    `terms`, `padding`, `resize`), or one of several (`elementwise`, `parts`), or a rounding to 8 bits (`quantised`),
//!    or a part of something that a later one ends (`patterns`, `shapes`), or an error that names the node.
//! 4. `finish`, `names`: the layers that are needed, under the names of their weights.

mod activation;
mod arithmetic;
mod constant;
mod convert;
mod convolution;
mod draft;
mod elementwise;
mod external;
mod finish;
mod fold;
mod kernel;
mod matrix;
mod moving;
mod names;
mod normalisation;
mod operator;
mod padding;
mod parts;
mod patterns;
mod pool;
mod problem;
mod proto;
mod quantised;
mod resize;
mod shapes;
mod terms;
mod walk;
mod wire;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use self::constant::{is_float, kind_name};
use self::external::Folder;
use self::finish::{Found, finish, model};
use self::problem::OF_WHOLE_NUMBERS;
pub use self::problem::OnnxProblem;
use self::proto::{Described, Graph, Model};
use self::walk::{Read, Walk, input_step};
use super::about::{OnnxAbout, OnnxEnds};

/// The network of an ONNX file, as [`OnnxReader::read`] without settings.
///
/// # Errors
/// As there.
pub fn from_onnx(path: impl AsRef<Path>) -> crate::Result<crate::Model> {
    OnnxReader::new().read(path)
}

/// What an ONNX file says about itself, its network aside, as [`OnnxReader::read_with_about`] without settings.
///
/// # Errors
/// As there: what stands behind the last layer is known once the network is read.
pub fn onnx_about(path: impl AsRef<Path>) -> crate::Result<OnnxAbout> {
    Ok(OnnxReader::new().read_with_about(path)?.1)
}

/// The files beside an ONNX file in which values of its network are, each once: without them it is not known which
/// network it is.
///
/// # Errors
/// If the file cannot be read or is no ONNX file.
pub fn onnx_values(path: impl AsRef<Path>) -> crate::Result<Vec<PathBuf>> {
    let path = path.as_ref();
    let files = |bytes: &[u8]| {
        let graph = proto::parse::<Model<'_>>(bytes).map_err(OnnxProblem::Bytes)?.graph;
        let graph = graph.ok_or_else(|| OnnxProblem::Bytes("it holds no graph".into()))?;
        let constants = graph.nodes.iter().flat_map(|node| &node.attributes).filter_map(|found| found.tensor.as_ref());
        let mut files: Vec<PathBuf> = Vec::new();
        for file in graph.stored.iter().chain(constants).filter_map(|stored| Folder::of(path).file_of(stored)) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        Ok(files)
    };
    let files = read(path).and_then(|bytes| files(&bytes));
    files.map_err(|problem| crate::Error::onnx(&path.display().to_string(), problem))
}

/// The version of ONNX's own operators; 0 if none is said.
fn opset(model: &Model<'_>) -> i64 {
    let own = model.opsets.iter().find(|opset| matches!(opset.domain, "" | "ai.onnx"));
    own.map_or(0, |opset| opset.version)
}

type Result<T> = std::result::Result<T, OnnxProblem>;

/// A protocol buffer must be smaller than 2 GiB.
const LARGEST: u64 = i32::MAX as u64;
/// The opsets whose operators are known.
const OPSETS: std::ops::RangeInclusive<i64> = 9..=22;

/// How an ONNX file is to be read.
#[derive(Debug, Clone, Default)]
pub struct OnnxReader {
    size: Option<(usize, usize)>,
}

impl OnnxReader {
    /// Reads what the file says.
    pub fn new() -> Self {
        Self::default()
    }

    /// The height and width of the input image, where the file leaves them open.
    pub fn input_size(mut self, h: usize, w: usize) -> Self {
        self.size = Some((h, w));
        self
    }

    /// The network of a file, up to its last layer: a LogSoftmax or ArgMax behind it, and another shape of the output,
    /// are in [`OnnxAbout::ends`] ([`OnnxReader::read_with_about`]). Values that the file keeps beside itself are read
    /// from its folder, and from nowhere else.
    ///
    /// # Errors
    /// If the file cannot be read or is no ONNX file, if it holds what no layer does (the message names the node or the
    /// tensor), or if its input has no size and none was given.
    pub fn read(&self, path: impl AsRef<Path>) -> crate::Result<crate::Model> {
        Ok(self.read_with_about(path)?.0)
    }

    /// The network of a file, and what the file says about itself.
    ///
    /// # Errors
    /// As [`OnnxReader::read`].
    pub fn read_with_about(&self, path: impl AsRef<Path>) -> crate::Result<(crate::Model, OnnxAbout)> {
        let path = path.as_ref();
        let found = read(path).and_then(|bytes| self.file(&bytes, Folder::of(path)));
        let (layers, about) = found.map_err(|problem| crate::Error::onnx(&path.display().to_string(), problem))?;
        Ok((model(layers)?, about))
    }

    /// The network of a file's bytes, which hold all values.
    ///
    /// # Errors
    /// As [`OnnxReader::read`].
    pub fn from_bytes(&self, bytes: &[u8]) -> crate::Result<crate::Model> {
        Ok(self.from_bytes_with_about(bytes)?.0)
    }

    /// The network of a file's bytes, and what the file says about itself.
    ///
    /// # Errors
    /// As [`OnnxReader::read`].
    pub fn from_bytes_with_about(&self, bytes: &[u8]) -> crate::Result<(crate::Model, OnnxAbout)> {
        let found = self.file(bytes, Folder(None));
        let (layers, about) = found.map_err(|problem| crate::Error::onnx("the ONNX file", problem))?;
        Ok((model(layers)?, about))
    }

    /// The layers of a file, and what it says about itself.
    fn file(&self, bytes: &[u8], folder: Folder<'_>) -> Result<(Vec<Found>, OnnxAbout)> {
        let model: Model<'_> = proto::parse(bytes).map_err(OnnxProblem::Bytes)?;
        let opset = opset(&model);
        let graph = model.graph.as_ref().ok_or_else(|| OnnxProblem::Bytes("it holds no graph".into()))?;
        if !OPSETS.contains(&opset) {
            return Err(OnnxProblem::Opset { found: opset });
        }
        let (input, output) = (input(graph)?, output(graph)?);
        let read = self.walk(graph, (input, output), opset, folder).map_err(|problem| problem.advised(input))?;
        let named = OnnxEnds::new(input.name, output, opset);
        let ends = OnnxEnds { log_softmax: read.log_softmax, arg_max: read.arg_max, ..named };
        let shape = (ends.made_of(&read.dims) != read.output).then_some(read.output);
        let about = OnnxAbout {
            producer: model.producer.into(),
            version: model.version.into(),
            doc: model.doc.into(),
            metadata: model.metadata.iter().map(|entry| (entry.key.into(), entry.value.into())).collect(),
            ends: Some(OnnxEnds { shape, ..ends }),
        };
        Ok((finish(read.draft, read.last), about))
    }

    fn walk(
        &self,
        graph: &Graph<'_>,
        (input, output): (&Described<'_>, &str),
        opset: i64,
        folder: Folder<'_>,
    ) -> Result<Read> {
        let (batch, shape) = self.shape(input)?;
        Walk::new(graph, (opset, batch), (input.name, input_step(input.name, shape))).run(output, folder)
    }

    /// The size of the batch, if the file fixes it, and the shape of one example.
    fn shape(&self, input: &Described<'_>) -> Result<(Option<i64>, Vec<usize>)> {
        let wrong = |found: String| OnnxProblem::Graph(format!("an input {:?} of {found}", input.name));
        if !is_float(input.kind) {
            return Err(wrong(format!("{}, expected floats{OF_WHOLE_NUMBERS}", kind_name(input.kind))));
        }
        let dims = input.dims.as_deref().ok_or_else(|| wrong("no stated shape; export it with one".into()))?;
        let known: Vec<Option<usize>> =
            dims.iter().map(|dim| dim.and_then(|dim| usize::try_from(dim).ok()).filter(|&dim| dim > 0)).collect();
        let batch = known.first().copied().flatten().map(|batch| batch as i64);
        match known[..] {
            [_, Some(n)] => Ok((batch, vec![n])),
            [_, Some(c), h, w] => {
                let (h, w) = self.sides(input, h, w)?;
                Ok((batch, vec![c, h, w]))
            }
            _ => {
                let expected = "expected (batch, channels, height, width) or (batch, features)";
                let advice = match known[..] {
                    [_, Some(h), Some(w)] => format!(
                        "; export it for images of one channel with (batch, 1, {h}, {w}); signals of one dimension and \
                         sequences are not read"
                    ),
                    [_, None] | [_, None, _, _] => "; all but the batch, height and width have to be numbers".into(),
                    _ => String::new(),
                };
                Err(wrong(format!("shape {}, {expected}{advice}", shown(&known))))
            }
        }
    }

    /// Height and width, as the file says, or else the caller.
    fn sides(&self, input: &Described<'_>, h: Option<usize>, w: Option<usize>) -> Result<(usize, usize)> {
        let (name, found) = (input.name, shown(&[h, w]));
        let Some((wanted_h, wanted_w)) = self.size else {
            return h.zip(w).ok_or_else(|| OnnxProblem::InputSize { input: name.into(), found });
        };
        let fits = |side: Option<usize>, wanted: usize| wanted > 0 && side.is_none_or(|side| side == wanted);
        if fits(h, wanted_h) && fits(w, wanted_w) {
            return Ok((wanted_h, wanted_w));
        }
        let asked = format!("{wanted_h} x {wanted_w} were asked for");
        Err(OnnxProblem::Graph(format!("an input {name:?} of {found} pixels, and {asked}")))
    }
}

/// Dimensions as they are written, open ones as question marks.
fn shown(dims: &[Option<usize>]) -> String {
    let dims: Vec<String> = dims.iter().map(|dim| dim.map_or("?".into(), |dim| dim.to_string())).collect();
    dims.join(" x ")
}

/// The bytes of a file.
fn read(path: &Path) -> Result<Vec<u8>> {
    let about = path.metadata()?;
    if !about.is_file() || about.len() > LARGEST {
        return Err(OnnxProblem::Size(format!("is no file of at most {LARGEST} bytes; it has {}", about.len())));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The one input; older files list stored tensors among the inputs.
fn input<'g, 'a>(graph: &'g Graph<'a>) -> Result<&'g Described<'a>> {
    let stored: HashSet<&str> = graph.stored.iter().map(|stored| stored.name).collect();
    let inputs: Vec<&Described<'_>> = graph.inputs.iter().filter(|input| !stored.contains(input.name)).collect();
    match inputs[..] {
        [input] => Ok(input),
        _ => Err(OnnxProblem::Graph(several("inputs", inputs.iter().map(|input| input.name)))),
    }
}

fn output<'a>(graph: &Graph<'a>) -> Result<&'a str> {
    match graph.outputs[..] {
        [ref output] => Ok(output.name),
        _ => Err(OnnxProblem::Graph(several("outputs", graph.outputs.iter().map(|output| output.name)))),
    }
}

fn several<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    format!(
        "{} {what} ({}), expected one; export the network with one alone, or take out a part (onnx.utils.extract_model)",
        names.len(),
        crate::error::listed(&names)
    )
}
