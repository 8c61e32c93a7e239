//! The network while it is read: what each value of the graph is, and the layers that make it.

use super::constant::{Constant, Values};
use super::wire::Reason;
use crate::Layer;
use crate::layers::{Flatten, GlobalPool};

/// The place of a value in the draft.
pub(super) type ValueId = usize;

/// What an operator reads.
#[derive(Debug, Clone)]
pub(super) enum Arg {
    Absent,
    Constant(Constant),
    Value(ValueId),
    /// Zeros of this shape for each example.
    Zeros(Vec<usize>),
}

/// What makes a value.
#[derive(Debug)]
pub(super) enum Content {
    /// A layer of the network.
    Layer { layer: Layer, inputs: Vec<ValueId>, values: Values },
    /// Another arrangement of a layer's output.
    Moved(Moved),
    /// A layer's output repeated over the positions of an image.
    Expanded(ValueId),
    /// What the file gives in the place of a layer's output.
    Ended(Ended),
    /// No layer does this; it may be a part of something that one does.
    Loose(Reason),
}

/// An arrangement of the units of a value, or of all its numbers.
#[derive(Debug, Clone)]
pub(super) struct Moved {
    pub(super) of: ValueId,
    /// Which unit, or which number, is where.
    pub(super) index: Constant,
    /// Whether `index` speaks of numbers; else each unit's positions follow it unmoved.
    pub(super) whole: bool,
}

/// What stands behind the last layer of a network, and is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) of: ValueId,
    pub(super) log_softmax: bool,
    pub(super) arg_max: bool,
}

/// A value that depends on the network's input.
#[derive(Debug)]
pub(super) struct Step {
    /// The shape of one example.
    pub(super) dims: Vec<usize>,
    pub(super) content: Content,
    /// The operator that made it, and what that read: patterns of several operators are found by these.
    pub(super) kind: String,
    pub(super) args: Vec<Arg>,
    /// The node of the file, for messages.
    pub(super) node: String,
    /// The name that its layer wants.
    pub(super) stem: String,
    /// How many nodes of the file read it.
    pub(super) readers: usize,
}

/// All values so far, each after those it reads.
#[derive(Debug, Default)]
pub(super) struct Draft {
    steps: Vec<Step>,
}

/// Layers one after another, the first of which reads `inputs`; without one, the value that comes in.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) inputs: Vec<ValueId>,
    pub(super) layers: Vec<(Layer, Values)>,
    /// The arrangement in which the graph sees the last one's output, where it is another.
    pub(super) view: Option<Constant>,
}

/// What an operator makes of its inputs.
#[derive(Debug)]
pub(super) enum Outcome {
    Chain(Chain),
    Other(Content, Vec<usize>),
}

impl Chain {
    pub(super) fn of(inputs: Vec<ValueId>, layer: impl Into<Layer>, values: Values) -> Self {
        Self { inputs, layers: vec![(layer.into(), values)], view: None }
    }

    /// A layer without parameters.
    pub(super) fn plain(inputs: Vec<ValueId>, layer: impl Into<Layer>) -> Self {
        Self::of(inputs, layer, Vec::new())
    }

    /// The value itself.
    pub(super) fn pass(value: ValueId) -> Self {
        Self { inputs: vec![value], layers: Vec::new(), view: None }
    }

    pub(super) fn then(self, layer: impl Into<Layer>) -> Self {
        self.then_of(layer, Vec::new())
    }

    /// A layer with parameters behind the others.
    pub(super) fn then_of(mut self, layer: impl Into<Layer>, values: Values) -> Self {
        self.layers.push((layer.into(), values));
        self
    }
}

impl From<Chain> for Outcome {
    fn from(chain: Chain) -> Self {
        Self::Chain(chain)
    }
}

impl Draft {
    pub(super) fn step(&self, id: ValueId) -> &Step {
        &self.steps[id]
    }

    /// Whether an arrangement is all units of a value in their order, seen as an image of one position or as they are:
    /// then what holds for its units holds for the value's.
    pub(super) fn is_all_of(&self, Moved { of, index, whole }: &Moved) -> bool {
        let is_all =
            |dims: &[usize]| dims.first() == self.step(*of).dims.first() && dims.iter().skip(1).all(|&dim| dim == 1);
        !whole && index.is_counting() && is_all(index.dims())
    }

    pub(super) fn push(&mut self, step: Step) -> ValueId {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// Another name for a value brings its readers along.
    pub(super) fn add_readers(&mut self, id: ValueId, readers: usize) {
        let step = &mut self.steps[id];
        step.readers = (step.readers + readers).saturating_sub(1);
    }

    pub(super) fn set_readers(&mut self, id: ValueId, readers: usize) {
        self.steps[id].readers = readers;
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// The layer that makes a value, and what it reads.
    pub(super) fn layer(&self, id: ValueId) -> Option<(&Layer, &[ValueId])> {
        match &self.step(id).content {
            Content::Layer { layer, inputs, .. } => Some((layer, inputs)),
            _ => None,
        }
    }

    /// Fails where a value is not a layer's output.
    pub(super) fn expect_layer(&self, id: ValueId) -> Result<(), Reason> {
        let step = self.step(id);
        let why = match &step.content {
            Content::Layer { .. } => return Ok(()),
            Content::Moved(moved)
                if step.kind == "Transpose" && matches!(self.layer(moved.of), Some((Layer::Input(_), _))) =>
            {
                "moves the axes of the input; export it for images with channels first (batch, channels, height, width)"
            }
            Content::Moved(_) => "moves numbers between channels and positions in a way that no layer does",
            Content::Ended(_) => "is understood as the end of a network alone; export the network without it",
            Content::Expanded(_) => "repeats numbers over positions, which only a product understands",
            Content::Loose(reason) => reason,
        };
        Err(format!("reads node {:?} ({}), which {why}", step.node, step.kind))
    }

    /// The layer whose output `id` is, or holds in the same order under other dimensions; the whole of it, as features
    /// where it is an image of one position, for with such labels of classes are compared.
    pub(super) fn ended(&mut self, id: ValueId) -> Result<ValueId, Reason> {
        let of = match &self.step(id).content {
            Content::Moved(moved) if self.is_in_order(moved) => moved.of,
            _ => id,
        };
        self.expect_layer(of)?;
        let is_image_of_one = matches!(self.step(of).dims[..], [_, 1, 1]);
        Ok(if is_image_of_one { self.flattened(of) } else { of })
    }

    /// Whether an arrangement is all numbers of a value in their order.
    fn is_in_order(&self, Moved { of, index, whole }: &Moved) -> bool {
        let dims = &self.step(*of).dims;
        let all = if *whole { dims.iter().product() } else { dims[0] };
        index.is_counting() && index.len() == all
    }

    /// The flattening of an image of one position; where a pool kept its sides, the pool without them.
    fn flattened(&mut self, id: ValueId) -> ValueId {
        let (layer, inputs) = match self.layer(id) {
            Some((&Layer::GlobalPool(GlobalPool { kind, keep: true }), from)) => {
                (GlobalPool { kind, keep: false }.into(), from.to_vec())
            }
            _ => (Flatten.into(), vec![id]),
        };
        let Step { dims, kind, node, stem, .. } = self.step(id);
        let (dims, kind, node, stem) = (dims[..1].to_vec(), kind.clone(), node.clone(), stem.clone());
        let content = Content::Layer { layer, inputs, values: Vec::new() };
        self.push(Step { dims, content, kind, args: Vec::new(), node, stem, readers: 1 })
    }
}
