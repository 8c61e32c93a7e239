//! What the layers of one pass share, and what a pass gives.

use candle_core::Tensor;
use l0_ops::{After, Epilogue, Selection};
use l0_rng::Stream;

use crate::{Masks, Net, NodeId, Plan, Result, Shape, Weights};

/// Whether a pass trains or evaluates.
#[derive(Clone, Copy)]
pub enum Mode<'a> {
    /// Batch statistics in normalisations; dropout draws its noise from the stream that belongs to the layer's name.
    Train(&'a dyn Fn(&str) -> Stream),
    /// Running statistics, no dropout.
    Eval,
}

impl Mode<'_> {
    pub(crate) fn is_training(self) -> bool {
        matches!(self, Self::Train(_))
    }
}

/// The result of a forward pass.
#[derive(Debug)]
pub struct Output {
    /// Output of the last layer, (b, n) or (b, c, h, w).
    pub ys: Tensor,
    /// What the running statistics of normalisations learn from this batch; empty in evaluation.
    pub statistics: Vec<StatisticsUpdate>,
}

/// The parts of a network that the layers of one pass share.
pub(crate) struct Pass<'a> {
    pub(crate) net: &'a Net,
    pub(crate) plan: &'a Plan,
    pub(crate) masks: &'a Masks,
    pub(crate) weights: &'a Weights,
}

/// One layer of a pass.
pub(crate) struct At<'a> {
    pub(crate) pass: &'a Pass<'a>,
    pub(crate) id: NodeId,
    /// What is computed at once with the layer.
    pub(crate) epilogue: Epilogue,
    /// What is added before that, where a sum is computed at once with the layer.
    pub(crate) plus: Option<&'a Tensor>,
    /// What the network was given.
    pub(crate) batch: &'a Tensor,
    pub(crate) mode: Mode<'a>,
    pub(crate) statistics: &'a mut Vec<StatisticsUpdate>,
}

/// New running statistics of one normalisation.
#[derive(Debug)]
pub struct StatisticsUpdate {
    pub(super) node: String,
    pub(super) mean: Tensor,
    pub(super) var: Tensor,
}

/// Nothing is computed at once with a layer.
pub(super) const ALONE: Epilogue = Epilogue { relu: false, max_pool: 1 };

impl At<'_> {
    pub(crate) fn name(&self) -> &str {
        &self.pass.net.node(self.id).name
    }

    /// What a normalisation does after its own work.
    pub(crate) fn after(&self) -> After<'_> {
        After { plus: self.plus, relu: self.epilogue.relu }
    }

    /// The value of a parameter of this layer.
    pub(crate) fn value(&self, leaf: &str) -> Result<&Tensor> {
        self.pass.weights.of(self.name(), leaf)
    }

    /// The units of the output that are computed.
    pub(crate) fn kept(&self) -> &Selection {
        self.pass.plan.kept(self.id)
    }

    /// The shape of one example of an input.
    pub(crate) fn input_shape(&self, input: usize) -> Shape {
        self.pass.net.shape(self.pass.net.node(self.id).inputs[input])
    }
}
