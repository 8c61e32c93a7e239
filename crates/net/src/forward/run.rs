//! Runs a masked network layer by layer.

use candle_core::{DType, Tensor};
use l0_ops::{Epilogue, Selection};

use super::Flow;
use super::at::{ALONE, At, Mode, StatisticsUpdate};
use super::pass::{Output, Pass};
use crate::weights::expect_f32;
use crate::{Error, Mask, Masks, Net, NodeId, Plan, Result, Weights};

impl Net {
    /// Runs the network on `xs`, (b, features) or (b, c, h, w), with its spaces masked.
    ///
    /// A unit that a shared mask scales by 0 is not computed, forward or backward, nor is one that nobody reads; the
    /// result and all gradients equal those of the full computation.
    ///
    /// # Errors
    /// If `xs` is empty, not of f32 (or, on CUDA, bf16) or not of the network's input shape, a parameter is missing or
    /// not of f32, or masks belong to another network or, per example, to another batch; also if channels that differ
    /// between examples would have to stay zero where they are closed ([`ClosedChannels::Zero`](crate::ClosedChannels::Zero)).
    pub fn forward(&self, weights: &Weights, xs: &Tensor, masks: &Masks, mode: Mode) -> Result<Output> {
        self.check_batch(xs)?;
        masks.check(self)?;
        masks.check_batch(self, xs.dim(0)?)?;
        let masks = masks.on(xs.device(), mode.is_training())?;
        let plan = Plan::new(self, &masks, mode.is_training());
        Pass { net: self, plan: &plan, masks: &masks, weights }.run(xs, mode)
    }

    /// What the layers at `nodes` make of `xs` in evaluation, with nothing masked: (b, n) or (b, c, h, w) each. For
    /// whoever needs to know how values are distributed inside a network.
    ///
    /// # Errors
    /// As for [`Net::forward`].
    pub fn outputs_of(&self, nodes: &[NodeId], weights: &Weights, xs: &Tensor) -> Result<Vec<Tensor>> {
        self.check_batch(xs)?;
        let (masks, plan) = (Masks::none(self), Plan::full(self));
        let pass = Pass { net: self, plan: &plan, masks: &masks, weights };
        let made = pass.flows(xs, Mode::Eval, Keep::Nodes(nodes), &mut Vec::new())?;
        let whole = |&id: &NodeId| {
            let shape = self.shape(id);
            let flow = made.get(id).and_then(Option::as_ref);
            let flow = flow.ok_or_else(|| Error::layer("", format!("there is no layer {id}")))?;
            flow.expand(&Selection::all(shape.units()), xs.dim(0)?, shape, xs)
        };
        nodes.iter().map(whole).collect()
    }

    /// Checks that `xs` holds examples of this network, one or more.
    fn check_batch(&self, xs: &Tensor) -> Result<()> {
        let expected = self.shape(0).dims();
        if xs.dims().get(1..) != Some(expected.as_slice()) {
            let name = "input (without the batch)".into();
            return Err(Error::Shape { name, found: xs.dims().get(1..).unwrap_or(&[]).into(), expected });
        }
        if xs.dim(0)? == 0 {
            return Err(Error::EmptyBatch(xs.dims().into()));
        }
        if xs.device().is_cuda() && xs.dtype() == DType::BF16 {
            return Ok(());
        }
        expect_f32("input", xs)
    }
}

impl Pass<'_> {
    fn run(&self, xs: &Tensor, mode: Mode) -> Result<Output> {
        let mut statistics = Vec::new();
        let made = self.flows(xs, mode, Keep::Output, &mut statistics)?;
        let out = self.net.output();
        let last = made[out].as_ref().ok_or_else(|| Error::layer("", "the output was not computed"))?;
        let all = Selection::all(self.net.shape(out).units());
        Ok(Output { ys: last.expand(&all, xs.dim(0)?, self.net.shape(out), xs)?, statistics })
    }

    /// What the nodes to be kept make. Where that is the output alone, runs of layers are computed as one.
    pub(crate) fn flows(
        &self,
        batch: &Tensor,
        mode: Mode,
        keep: Keep<'_>,
        statistics: &mut Vec<StatisticsUpdate>,
    ) -> Result<Vec<Option<Flow>>> {
        let nodes = self.net.nodes().len();
        let mut made: Vec<Option<Flow>> = vec![None; nodes];
        let mut done = vec![false; nodes];
        for id in 0..nodes {
            if done[id] {
                continue;
            }
            let node = self.net.node(id);
            let inputs: Vec<&Flow> = node.inputs.iter().filter_map(|&i| made[i].as_ref()).collect();
            if inputs.len() != node.inputs.len() {
                return Err(Error::layer(&node.name, format!("{} lacks an input", node.layer.kind())));
            }
            let alone = Fused { last: id, epilogue: ALONE, plus: None };
            let fuse = matches!(keep, Keep::Output);
            let Fused { last, epilogue, plus } = if fuse { self.fused(id, &made) } else { alone };
            let term = plus.and_then(|term| made[term].as_ref()?.computed.clone());
            let layer = self.layer(id);
            let mut at = At { layer, epilogue, plus: term.as_ref(), batch, mode, statistics: &mut *statistics };
            let flow = node.layer.rules().forward(&mut at, &inputs)?;
            let mut at = id;
            while at != last {
                done[at] = true;
                at = self.net.readers(at)[0];
            }
            done[last] = true;
            made[last] = Some(flow);
            for &input in node.inputs.iter().chain(&plus).filter(|&&input| !keep.holds(input)) {
                if self.net.readers(input).iter().all(|&reader| done[reader]) {
                    made[input] = None;
                }
            }
        }
        Ok(made)
    }

    /// The layers from `id` on that are computed as one.
    fn fused(&self, id: NodeId, made: &[Option<Flow>]) -> Fused {
        let mut fused = Fused { last: id, epilogue: ALONE, plus: None };
        let per_example = matches!(self.masks.get(self.net.space(id)), Some(Mask::PerExample(_)));
        if per_example && self.net.makes_space(id) {
            return fused;
        }
        let rules = self.net.node(id).layer.rules();
        if let Some(plus) = self.added(id, made).filter(|_| rules.fuses_sum()) {
            (fused.last, fused.plus) = (self.net.readers(id)[0], Some(plus));
        }
        while let [reader] = *self.net.readers(fused.last) {
            let next = self.net.node(reader).layer.rules().epilogue();
            let Some(more) = next.and_then(|next| rules.fuse(fused.epilogue, next)) else { break };
            (fused.last, fused.epilogue) = (reader, more);
        }
        fused
    }

    /// What is added to node `id` by the only layer that reads it: a value that is there already, of the same units,
    /// and no constants beside them.
    fn added(&self, id: NodeId, made: &[Option<Flow>]) -> Option<NodeId> {
        let [reader] = *self.net.readers(id) else { return None };
        let sum = self.net.node(reader);
        let term = match *sum.inputs {
            [a, b] if a != b => a + b - id,
            _ => return None,
        };
        let (kept, flow) = (self.plan.kept(id), made[term].as_ref()?);
        let constants = [id, reader, term].iter().any(|&node| !self.plan.constants(node).is_empty());
        let same = self.plan.kept(reader) == kept && flow.kept == *kept && flow.computed.is_some();
        (sum.layer.rules().is_sum() && same && !constants && flow.scale.is_none()).then_some(term)
    }
}

/// What is not dropped as soon as all that read it are computed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep<'a> {
    /// Nothing but the output.
    Output,
    /// These nodes.
    Nodes(&'a [NodeId]),
    /// Every node.
    All,
}

impl Keep<'_> {
    fn holds(self, id: NodeId) -> bool {
        match self {
            Self::Output => false,
            Self::Nodes(nodes) => nodes.contains(&id),
            Self::All => true,
        }
    }
}

/// Layers that are computed as one: the last of them, what they do after the first, and what is added on the way.
struct Fused {
    last: NodeId,
    epilogue: Epilogue,
    plus: Option<NodeId>,
}
