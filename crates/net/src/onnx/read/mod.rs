//! Reading networks from ONNX files: bytes, a graph of operators, layers.
//!
//! 1. `wire`, `proto`: the fields of the protocol buffer, borrowed from the bytes; `constant`, `external`: stored values.
//! 2. `walk`: the nodes that the output needs, in order. What depends on stored values and shapes alone is computed
//!    (`fold`, `moving`, `arithmetic`); the batch is a number that is moved, not computed with.
//! 3. `convert`: each other operator becomes layers (one file for each family), or a part of something that one of
//!    the following understands (`patterns`, `shapes`), or an error that names the node.
//! 4. `finish`, `names`: the layers that are needed, under the names of their weights.

mod activation;
mod affine;
mod arithmetic;
mod constant;
mod convert;
mod draft;
mod elementwise;
mod external;
mod finish;
mod fold;
mod mirror;
mod moving;
mod names;
mod operator;
mod parts;
mod patterns;
mod pooling;
mod problem;
mod proto;
mod resize;
mod shapes;
mod walk;
mod wire;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use self::constant::{is_float, kind_name};
use self::draft::{Content, Step};
use self::external::Folder;
use self::finish::{Found, finish};
use self::mirror::Input;
pub use self::problem::OnnxProblem;
use self::proto::{Described, Graph, Model};
use self::walk::Walk;

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

    fn found(&self, path: &Path) -> Result<Vec<Found>> {
        let bytes = read(path)?;
        let folder = path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        self.layers(&bytes, Folder(folder))
    }

    fn layers(&self, bytes: &[u8], folder: Folder<'_>) -> Result<Vec<Found>> {
        let model: Model<'_> = proto::parse(bytes).map_err(OnnxProblem::Bytes)?;
        let opset = model.opsets.iter().find(|opset| matches!(opset.domain, "" | "ai.onnx"));
        let opset = opset.map_or(0, |opset| opset.version);
        let graph = model.graph.ok_or_else(|| OnnxProblem::Bytes("it holds no graph".into()))?;
        if !OPSETS.contains(&opset) {
            return Err(OnnxProblem::Opset { found: opset });
        }
        let input = input(&graph)?;
        let (batch, shape) = self.shape(input)?;
        let output = output(&graph)?;
        let first = Step {
            dims: shape.clone(),
            content: Content::Layer { layer: Input { shape }.into(), inputs: Vec::new(), values: Vec::new() },
            kind: String::new(),
            args: Vec::new(),
            node: input.name.into(),
            stem: names::cleaned(input.name),
            readers: 0,
        };
        let (draft, output) = Walk::new(&graph, opset, batch, (input.name, first)).run(output, folder)?;
        Ok(finish(draft, output))
    }

    /// The size of the batch, if the file fixes it, and the shape of one example.
    fn shape(&self, input: &Described<'_>) -> Result<(Option<i64>, Vec<usize>)> {
        let wrong = |found: String| OnnxProblem::Graph(format!("an input {:?} of {found}", input.name));
        if !is_float(input.kind) {
            return Err(wrong(format!("{}, expected floats", kind_name(input.kind))));
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
            _ => Err(wrong(format!("shape {}, expected (batch, channels, height, width) or (batch, features)", shown(&known)))),
        }
    }

    /// Height and width, as the file says, or else the caller.
    fn sides(&self, input: &Described<'_>, h: Option<usize>, w: Option<usize>) -> Result<(usize, usize)> {
        let name = || input.name.to_string();
        match (h, w, self.size) {
            (Some(h), Some(w), None) => Ok((h, w)),
            (h, w, Some((wanted_h, wanted_w))) => {
                let fits = h.is_none_or(|h| h == wanted_h) && w.is_none_or(|w| w == wanted_w);
                match fits && wanted_h > 0 && wanted_w > 0 {
                    true => Ok((wanted_h, wanted_w)),
                    false => Err(OnnxProblem::Graph(format!(
                        "an input {:?} of {} pixels, and {wanted_h} x {wanted_w} were asked for",
                        name(),
                        shown(&[h, w]),
                    ))),
                }
            }
            (h, w, None) => Err(OnnxProblem::InputSize { input: name(), found: shown(&[h, w]) }),
        }
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
    format!("{} {what} ({}), expected one; export the network with one alone", names.len(), crate::error::listed(&names))
}

#[cfg(test)]
mod look {
    use super::*;
    #[test]
    fn mutate() {
        let Ok(files) = std::env::var("ONNX_FUZZ") else { return };
        let n: u64 = std::env::var("ONNX_N").unwrap().parse().unwrap();
        let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ std::env::var("ONNX_SEED").map_or(1, |s| s.parse().unwrap());
        let mut next = move |n: usize| { state ^= state << 13; state ^= state >> 7; state ^= state << 17; (state >> 11) as usize % n.max(1) };
        let (mut ok, mut slow) = (0, std::time::Duration::ZERO);
        let originals: Vec<Vec<u8>> = files.split(':').map(|f| std::fs::read(f).unwrap()).collect();
        for round in 0..n {
            for (i, original) in originals.iter().enumerate() {
                let mut bytes = original.clone();
                match next(8) {
                    0 => bytes.truncate(next(bytes.len())),
                    1 => { let at = next(bytes.len()); let end = (at + next(40)).min(bytes.len()); bytes.drain(at..end); }
                    2 => { let at = next(bytes.len()); let from = next(bytes.len()); let piece = bytes[from..(from + next(60)).min(bytes.len())].to_vec(); bytes.splice(at..at, piece); }
                    3 => { let other = &originals[next(originals.len())]; let at = next(bytes.len()); let from = next(other.len()); bytes.splice(at..at, other[from..(from + next(60)).min(other.len())].iter().copied()); }
                    _ => for _ in 0..1 + next(3) { let at = next(bytes.len()); bytes[at] = match next(4) { 0 => bytes[at] ^ (1 << next(8)), 1 => bytes[at].wrapping_add(1), 2 => [0, 1, 2, 0x7f, 0x80, 0xff][next(6)], _ => next(256) as u8 }; },
                }
                let start = std::time::Instant::now();
                let got = std::panic::catch_unwind(|| OnnxReader::new().layers(&bytes, Folder(None)).map(|f| f.len()));
                match got { Ok(Ok(_)) => ok += 1, Ok(Err(p)) => { let _ = p.to_string(); }, Err(_) => { std::fs::write(format!("/work/scratch/crash-{round}-{i}.onnx"), &bytes).unwrap(); println!("PANIC file {i}"); } }
                if start.elapsed() > slow { slow = start.elapsed(); println!("slowest {slow:?} file {i}"); std::fs::write("/work/scratch/slowest.onnx", &bytes).unwrap(); }
            }
        }
        println!("{ok} of {} read", n * originals.len() as u64);
    }
    #[test]
    fn dump() {
        let Ok(files) = std::env::var("ONNX_LOOK") else { return };
        for file in files.split(':') {
            let path = Path::new(file);
            let start = std::time::Instant::now();
            match OnnxReader::new().found(path) {
                Err(problem) => println!("{file}: {problem}"),
                Ok(found) => {
                    println!("{file}: {} layers in {:?}", found.len(), start.elapsed());
                    let out = std::env::var("ONNX_OUT").unwrap();
                    let stem = path.file_stem().unwrap().to_str().unwrap();
                    let nodes: Vec<_> = found.iter().map(|f| serde_json::json!({"name": f.name, "layer": f.layer, "inputs": f.inputs})).collect();
                    std::fs::write(format!("{out}/{stem}.json"), serde_json::to_string(&nodes).unwrap()).unwrap();
                    let tensors: std::collections::HashMap<String, candle_core::Tensor> = found.iter().flat_map(|f| &f.values).map(|(n, c)| (n.clone(), candle_core::Tensor::from_vec(c.as_floats().unwrap().to_vec(), c.dims(), &candle_core::Device::Cpu).unwrap())).collect();
                    candle_core::safetensors::save(&tensors, format!("{out}/{stem}.st")).unwrap();
                }
            }
        }
    }
}
