//! The walk over a graph: every node that the output needs, each after those it reads.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::constant::{Constant, Values};
use super::convert::convert;
use super::draft::{Arg, Chain, Content, Draft, Ended, Moved, Outcome, Step, ValueId};
use super::external::Folder;
use super::fold::{fold, zeros};
use super::moving::Room;
use super::names;
use super::operator::Operator;
use super::problem::{OnnxProblem, of_domain};
use super::proto::{Graph, Node, Stored};
use super::quantised::{EXPECTED_NUMBERS, makes_codes};
use super::wire::Reason;
use crate::layers::Input;
use crate::{Layer, Shape};

type Result<T> = std::result::Result<T, OnnxProblem>;

/// Values that constants may become beyond those stored.
const ROOM: usize = 1 << 22;

/// The most values that a file may hold, beside itself too: 8 GiB of them.
const MOST: usize = 1 << 31;

/// A graph, and what its names have turned out to be.
pub(super) struct Walk<'a> {
    graph: &'a Graph<'a>,
    opset: i64,
    batch: Option<i64>,
    known: HashMap<&'a str, Arg>,
    /// The computed values that are codes in the file, whereas the draft has the numbers that these stand for.
    codes: HashSet<&'a str>,
    readers: HashMap<&'a str, usize>,
    draft: Draft,
    room: Room,
}

/// The node's name in messages: its own, or that of its first output.
fn shown(node: &Node<'_>) -> String {
    let named = Some(node.name).filter(|name| !name.is_empty());
    named.or(node.outputs.first().copied()).unwrap_or_default().into()
}

fn wrong(node: &Node<'_>, problem: Reason) -> OnnxProblem {
    OnnxProblem::Node { node: shown(node), operator: node.kind.into(), problem }
}

impl<'a> Walk<'a> {
    /// A walk that starts at an input of this shape.
    pub(super) fn new(graph: &'a Graph<'a>, (opset, batch): (i64, Option<i64>), input: (&'a str, Step)) -> Self {
        let mut draft = Draft::default();
        let known = [(input.0, Arg::Value(draft.push(input.1)))].into();
        let (codes, readers) = (HashSet::new(), HashMap::new());
        Self { graph, opset, batch, known, codes, readers, draft, room: Room::new(0) }
    }

    /// Reads everything that `output` needs.
    pub(super) fn run(mut self, output: &'a str, folder: Folder<'_>) -> Result<Read> {
        let order = self.order(output)?;
        self.stored(&order, folder)?;
        for node in order {
            self.node(node).map_err(|problem| wrong(node, problem))?;
        }
        match self.known.get(output) {
            Some(_) if self.codes.contains(output) => {
                Err(OnnxProblem::Graph(format!("an output {output:?} of codes of 8 bits, {EXPECTED_NUMBERS}")))
            }
            Some(&Arg::Value(id)) => Read::of(self.draft, id)
                .map_err(|reason| OnnxProblem::Graph(format!("an output {output:?} that {reason}"))),
            Some(_) => Err(OnnxProblem::Graph(format!("an output {output:?} that does not depend on its input"))),
            None => Err(OnnxProblem::Graph(format!("an output {output:?} that no node makes"))),
        }
    }

    /// The nodes that `output` needs, each after those it reads and otherwise in the order of the file.
    fn order(&mut self, output: &'a str) -> Result<Vec<&'a Node<'a>>> {
        let makers = makers(self.graph)?;
        let mut wanted = vec![output];
        let mut needed = HashMap::new(); // how many inputs of a node are yet to be made
        let mut next: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut ready = BinaryHeap::new();
        *self.readers.entry(output).or_default() += 1;
        while let Some(name) = wanted.pop() {
            let Some(&at) = makers.get(name) else { continue };
            if needed.contains_key(&at) {
                continue;
            }
            let inputs: Vec<&str> = self.graph.nodes[at].inputs.iter().copied().filter(|i| !i.is_empty()).collect();
            let made: Vec<usize> = inputs.iter().filter_map(|input| makers.get(input).copied()).collect();
            inputs.iter().for_each(|&input| *self.readers.entry(input).or_default() += 1);
            needed.insert(at, made.len());
            if made.is_empty() {
                ready.push(Reverse(at));
            }
            made.iter().for_each(|&before| next.entry(before).or_default().push(at));
            wanted.extend(inputs);
        }
        let mut order = Vec::new();
        while let Some(Reverse(at)) = ready.pop() {
            order.push(at);
            for &after in next.get(&at).into_iter().flatten() {
                let left = needed.entry(after).or_default();
                *left -= 1;
                if *left == 0 {
                    ready.push(Reverse(after));
                }
            }
        }
        match needed.iter().filter(|(_, left)| **left > 0).map(|(&at, _)| at).min() {
            Some(at) => {
                Err(OnnxProblem::Graph(format!("a cycle, on which node {:?} lies", shown(&self.graph.nodes[at]))))
            }
            None => Ok(order.into_iter().map(|at| &self.graph.nodes[at]).collect()),
        }
    }

    /// Decodes the stored tensors that the nodes read.
    fn stored(&mut self, order: &[&'a Node<'a>], folder: Folder<'_>) -> Result<()> {
        let stored: HashMap<&str, &Stored<'_>> = self.graph.stored.iter().map(|stored| (stored.name, stored)).collect();
        let mut values = 0usize;
        for name in order.iter().flat_map(|node| &node.inputs) {
            let Some(stored) = stored.get(name).filter(|_| !self.known.contains_key(name)) else { continue };
            let tensor = |problem| OnnxProblem::Tensor { tensor: (*name).into(), problem };
            // Counted before they are read: a sparse file beside the model may hold any number.
            values = values.saturating_add(Constant::size_of(stored).map_err(tensor)?);
            if values > MOST {
                return Err(tensor(format!(
                    "brings the values of the file to {values}, of which {MOST} at most are read"
                )));
            }
            let constant = read(stored, folder).map_err(tensor)?;
            self.known.insert(name, Arg::Constant(constant));
        }
        self.room = Room::new(values.saturating_mul(16).saturating_add(ROOM));
        Ok(())
    }

    /// Why a value is not there that a node reads.
    fn unmade(&self, name: &str) -> Reason {
        let place = |node: &&Node<'_>| node.outputs.iter().position(|&output| output == name);
        match self.graph.nodes.iter().find_map(|node| place(&node).map(|place| (shown(node), place))) {
            Some((node, place)) => format!("reads node {node:?}, whose output {place} is not understood"),
            None => format!("the input {name:?}, which nothing makes"),
        }
    }

    fn node(&mut self, node: &'a Node<'a>) -> std::result::Result<(), Reason> {
        if !matches!(node.domain, "" | "ai.onnx") {
            return Err(format!("the domain {:?}{}", node.domain, of_domain(node.domain)));
        }
        let arg = |name: &&'a str| match (*name, self.known.get(name)) {
            ("", _) => Ok(Arg::Absent),
            (_, Some(arg)) => Ok(arg.clone()),
            _ => Err(self.unmade(name)),
        };
        let args = node.inputs.iter().map(arg).collect::<std::result::Result<Vec<_>, _>>()?;
        let facts = (node.kind, self.opset, self.batch);
        let op = Operator::new(facts, (&node.attributes, args, node.outputs.len()), (&self.draft, &self.room));
        let zeros = zeros(&op)?.map(Arg::Zeros);
        if let Some(known) =
            zeros.map_or_else(|| Ok(fold(&op)?.map(Arg::Constant)), |zeros| Ok::<_, Reason>(Some(zeros)))?
        {
            op.all_asked()?;
            self.known.insert(node.outputs.first().ok_or("no output")?, known);
            return Ok(());
        }
        let codes = makes_codes(node.kind, node.inputs.iter().any(|name| self.codes.contains(name)))?;
        let outcomes = convert(&op)?;
        let origin = Origin { node: shown(node), kind: node.kind, stem: names::stem(node), args: op.args };
        for (&name, outcome) in node.outputs.iter().zip(outcomes) {
            let readers = self.readers.get(name).copied().unwrap_or(0);
            let id = origin.made(&mut self.draft, outcome, readers)?;
            self.known.insert(name, Arg::Value(id));
            if codes {
                self.codes.insert(name);
            }
        }
        Ok(())
    }
}

/// What was read of a graph.
pub(super) struct Read {
    pub(super) draft: Draft,
    /// The place of the last layer in the draft.
    pub(super) last: ValueId,
    /// The shape of one example of what it gives.
    pub(super) dims: Vec<usize>,
    /// That of what the file gives.
    pub(super) output: Vec<usize>,
    pub(super) log_softmax: bool,
    pub(super) arg_max: bool,
}

impl Read {
    fn of(mut draft: Draft, id: ValueId) -> std::result::Result<Self, Reason> {
        let Step { dims, content, .. } = draft.step(id);
        let ended = Ended { of: id, log_softmax: false, arg_max: false };
        let (output, ended) = (dims.clone(), if let Content::Ended(ended) = content { *ended } else { ended });
        let last = draft.ended(ended.of)?;
        let dims = draft.step(last).dims.clone();
        Ok(Self { draft, last, dims, output, log_softmax: ended.log_softmax, arg_max: ended.arg_max })
    }
}

/// The network's input.
pub(super) fn input_step(name: &str, shape: Vec<usize>) -> Step {
    let (dims, layer) = (shape.clone(), Input { shape }.into());
    let content = Content::Layer { layer, inputs: Vec::new(), values: Vec::new() };
    let (kind, args, stem) = (String::new(), Vec::new(), names::cleaned(name));
    Step { dims, content, kind, args, node: name.into(), stem, readers: 0 }
}

/// The node that values come from.
struct Origin<'a> {
    node: String,
    kind: &'a str,
    stem: String,
    args: Vec<Arg>,
}

impl Origin<'_> {
    /// Adds what makes an output that `readers` nodes read; its place.
    fn made(&self, draft: &mut Draft, outcome: Outcome, readers: usize) -> std::result::Result<ValueId, Reason> {
        let Chain { inputs, layers, view } = match outcome {
            Outcome::Other(content, dims) => return Ok(draft.push(self.step(dims, content, readers))),
            Outcome::Chain(chain) => chain,
        };
        let Some(id) = self.layers(draft, inputs.clone(), layers)? else {
            draft.add_readers(inputs[0], readers);
            return Ok(inputs[0]);
        };
        draft.set_readers(id, readers);
        let Some(index) = view else { return Ok(id) };
        draft.set_readers(id, 1);
        let dims = [index.dims(), &draft.step(id).dims[1..]].concat();
        let moved = Content::Moved(Moved { of: id, index, whole: false });
        Ok(draft.push(self.step(dims, moved, readers)))
    }

    /// Adds layers one after another; the place of the last.
    fn layers(
        &self,
        draft: &mut Draft,
        mut inputs: Vec<ValueId>,
        layers: Vec<(Layer, Values)>,
    ) -> std::result::Result<Option<ValueId>, Reason> {
        let mut last = None;
        for (layer, values) in layers {
            let dims = output(&layer, inputs.iter().map(|&input| &*draft.step(input).dims))?;
            values.iter().try_for_each(|(leaf, value)| finite(leaf, value))?;
            let id = draft.push(self.step(dims, Content::Layer { layer, inputs, values }, 1));
            (last, inputs) = (Some(id), vec![id]);
        }
        Ok(last)
    }

    fn step(&self, dims: Vec<usize>, content: Content, readers: usize) -> Step {
        let (kind, node, stem) = (self.kind.into(), self.node.clone(), self.stem.clone());
        Step { dims, content, kind, args: self.args.clone(), node, stem, readers }
    }
}

/// The shape of a layer's output.
fn output<'a>(layer: &Layer, inputs: impl Iterator<Item = &'a [usize]>) -> std::result::Result<Vec<usize>, Reason> {
    let of = |dims: &[usize]| Shape::of(dims).ok_or_else(|| format!("values of shape {dims:?}"));
    let shape = layer.rules().shape(&inputs.map(of).collect::<std::result::Result<Vec<_>, _>>()?)?;
    if shape.is_sane() {
        Ok(shape.dims())
    } else {
        Err(format!("an output of {shape}, more than can be computed with"))
    }
}

/// Fails unless all values of a parameter are finite floats.
fn finite(leaf: &str, value: &Constant) -> std::result::Result<(), Reason> {
    match value.as_floats()?.iter().find(|x| !x.is_finite()) {
        Some(x) => Err(format!("its {leaf} holds {x}, expected finite numbers")),
        None => Ok(()),
    }
}

/// Which node makes each value.
fn makers<'a>(graph: &'a Graph<'a>) -> Result<HashMap<&'a str, usize>> {
    let mut makers = HashMap::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        for &output in node.outputs.iter().filter(|output| !output.is_empty()) {
            if makers.insert(output, at).is_some() {
                return Err(OnnxProblem::Graph(format!("two nodes that make {output:?}")));
            }
        }
    }
    Ok(makers)
}

/// The values of a stored tensor, from a file beside the model if they are there.
fn read(stored: &Stored<'_>, folder: Folder<'_>) -> std::result::Result<Constant, Reason> {
    if !stored.external {
        return Constant::decode(stored, None);
    }
    let bytes = folder.bytes(stored, Constant::bytes(stored)?)?;
    Constant::decode(stored, Some(&bytes))
}
