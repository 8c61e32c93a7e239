//! The compact network while it is written, beside the masked pass it is written from: what all kinds of layer ask for.

use candle_core::{DType, Tensor};
use l0_ops::Selection;

use super::draft::{Draft, Held, Values, nonzero};
use crate::forward::{Block, Flow, Pass, part, sum};
use crate::geometry::Pair;
use crate::layers::{Conv2d, GlobalPool, Layer, Linear, LinearMap, Pad, PadUnits, Stride};
use crate::{Error, Node, NodeId, Result, Shape};

/// The original network, what its nodes make, and what is written of it.
pub(super) struct Writer<'a> {
    pub(super) pass: &'a Pass<'a>,
    made: Vec<Flow>,
    held: Vec<Option<Held>>,
    pub(super) draft: Draft,
}

impl<'a> Writer<'a> {
    pub(super) fn new(pass: &'a Pass<'a>, made: Vec<Option<Flow>>) -> Result<Self> {
        let made: Option<Vec<Flow>> = made.into_iter().collect();
        let made = made.ok_or_else(|| Error::layer("", "not every node was computed"))?;
        Ok(Self { pass, made, held: Vec::new(), draft: Draft::new(pass.net) })
    }

    /// Takes note of what stands for the next node of the original network, `id`; none where nothing of it is computed.
    pub(super) fn hold(&mut self, id: NodeId, held: Option<Held>) -> Result<()> {
        let held = held.map(|held| self.scaled(id, held)).transpose()?;
        self.held.push(held);
        Ok(())
    }

    /// All that was written, once every node is; the last of it holds every unit of the output.
    pub(super) fn finish(mut self) -> Result<(Vec<Node>, Values)> {
        let out = self.pass.net.output();
        let all = Selection::all(self.pass.net.shape(out).units());
        let last = match self.pass.plan.kept(out) {
            kept if kept.is_empty() => self.constant(out)?,
            _ => self.whole(out, &all)?,
        };
        self.draft.end_with(last);
        Ok((self.draft.nodes, self.draft.values))
    }
}

/// What layers ask for while they are written.
impl<'a> Writer<'a> {
    /// The units of node `id` that are computed.
    pub(super) fn kept(&self, id: NodeId) -> Vec<u32> {
        self.pass.plan.kept(id).iter().map(|unit| unit as u32).collect()
    }

    pub(super) fn name(&self, id: NodeId) -> &'a str {
        &self.pass.net.node(id).name
    }

    /// Adds a layer under the name of node `id`.
    pub(super) fn push(&mut self, id: NodeId, layer: Layer, inputs: Vec<NodeId>) -> NodeId {
        self.draft.push(self.name(id), layer, inputs)
    }

    /// What was written for node `id`.
    pub(super) fn held(&self, id: NodeId) -> Result<&Held> {
        let held = self.held.get(id).and_then(Option::as_ref);
        held.ok_or_else(|| Error::layer(self.name(id), "is read but was not written"))
    }

    /// The constants of the units `wanted` of node `id`, (n,) or (n, h, w), if there are any.
    pub(super) fn constants(&self, id: NodeId, wanted: &Selection) -> Result<Option<Tensor>> {
        Ok(self.made[id].constants.as_ref().map(|constants| l0_ops::take(constants, 0, wanted)).transpose()?)
    }

    /// Whether one example of two nodes has the same shape but for the number of units.
    pub(super) fn same_shape(&self, a: NodeId, b: NodeId) -> bool {
        let shape = |id| self.pass.net.shape(id).with_units(1);
        shape(a) == shape(b)
    }

    /// The compact node with exactly the units `wanted` of the original node `id`.
    pub(super) fn take(&mut self, id: NodeId, wanted: &[u32]) -> Result<NodeId> {
        let (held, name) = (self.held(id)?.clone(), self.name(id));
        self.draft.take(&held, wanted, |draft| draft.fresh(name, "kept"))
    }

    /// Writes a linear map: its sub-block, and constants that are uneven behind it. `layer` makes one of so many
    /// outputs, with a bias or without.
    pub(super) fn linear_map(
        &mut self,
        id: NodeId,
        map: &dyn LinearMap,
        input: NodeId,
        layer: impl FnOnce(usize, bool) -> Layer,
    ) -> Result<Held> {
        let block = self.pass.layer(id).block(map, self.pass.plan.kept(id), &self.made[input])?;
        let reads = self.take(input, &self.kept(input))?;
        self.block(id, block, reads, layer)
    }

    /// Writes the one group that is left of a convolution in groups: an ordinary one, of `size` units of `input` from
    /// `start` on.
    pub(super) fn one_group(
        &mut self,
        id: NodeId,
        map: &dyn LinearMap,
        (input, start, size): (NodeId, usize, usize),
        layer: impl FnOnce(usize, bool) -> Layer,
    ) -> Result<Held> {
        let plan = self.pass.plan;
        let (rows, constants) = (plan.kept(id), part(&plan.constants(input), start, size));
        let block = self.pass.layer(id).block_of(map, rows, &self.made[input].part(start, size)?, &constants)?;
        let units: Vec<u32> = part(plan.kept(input), start, size).iter().map(|unit| (start + unit) as u32).collect();
        let reads = self.take(input, &units)?;
        self.block(id, block, reads, layer)
    }

    fn block(
        &mut self,
        id: NodeId,
        block: Block,
        reads: NodeId,
        layer: impl FnOnce(usize, bool) -> Layer,
    ) -> Result<Held> {
        let name = self.name(id);
        let weight = block.weight.ok_or_else(|| Error::layer(name, "reads nothing but is computed"))?;
        let uneven = nonzero(block.uneven.map(|values| values.squeeze(0)).transpose()?)?;
        let (bias, uneven) = match (block.bias, uneven) {
            (Some(bias), Some(uneven)) => (None, Some(sum(&bias, &uneven)?)),
            parts => parts,
        };
        let layer = layer(self.kept(id).len(), bias.is_some());
        let values = std::iter::once(("weight", weight)).chain(bias.map(|bias| ("bias", bias))).collect();
        let node = self.draft.push_with(name, layer, reads, values);
        let node = self.draft.bias(name, "border", node, uneven)?;
        Ok(Held::new(node, self.kept(id)))
    }

    /// Writes a layer that acts unit by unit as `layer`, with its parameters of the units that are left.
    pub(super) fn unit_by_unit(&mut self, id: NodeId, layer: Layer, input: NodeId) -> Result<Held> {
        let (kept, units, name) = (self.pass.plan.kept(id), self.kept(id), self.name(id));
        let reads = self.take(input, &units)?;
        let net = self.pass.net;
        let declared = layer.rules().parameters(&net.input_shapes(id), net.shape(id));
        let part = |leaf: &'static str| Ok((leaf, l0_ops::take(self.pass.weights.of(name, leaf)?, 0, kept)?));
        let values = declared.into_iter().map(|declared| part(declared.leaf)).collect::<Result<_>>()?;
        Ok(Held::new(self.draft.push_with(name, layer, reads, values), units))
    }

    /// The scale of a space's mask, where linear maps do not take it over.
    fn scaled(&mut self, id: NodeId, held: Held) -> Result<Held> {
        let kept = self.pass.plan.kept(id);
        let weighs = self.pass.net.node(id).layer.rules().weighs_output();
        let scale = self.pass.layer(id).scale().filter(|_| !weighs && !kept.is_empty());
        let Some(scale) = scale.filter(|_| self.made[id].scale.is_none()) else { return Ok(held) };
        let (units, name) = (self.kept(id), self.name(id));
        let node = self.draft.take(&held, &units, |draft| draft.fresh(name, "kept"))?;
        let name = self.draft.fresh(name, "scale");
        let scale = l0_ops::take(scale, 0, kept)?;
        let zeros = scale.zeros_like()?;
        Ok(Held::new(self.draft.scale(&name, node, scale, zeros), units))
    }

    /// A node with all units `wanted` of node `id`: those that are not computed are filled with their constants.
    pub(super) fn whole(&mut self, id: NodeId, wanted: &Selection) -> Result<NodeId> {
        let computed = self.pass.plan.kept(id).mask();
        let units: Vec<u32> = wanted.iter().map(|unit| unit as u32).collect();
        let there: Vec<u32> = units.iter().copied().filter(|&unit| computed[unit as usize]).collect();
        if there.len() == units.len() {
            return self.take(id, &units);
        }
        let constants = nonzero(self.constants(id, wanted)?)?;
        let (held, name) = (self.held(id)?.clone(), self.name(id));
        if let (None, Some(padding)) = (&constants, zeros_around(&units, &there)) {
            let reads = self.take(id, &there)?;
            return Ok(self.draft.pad(reads, padding, name, held.padded_by));
        }
        let any = self.pass.plan.kept(id).iter().next().unwrap_or(0) as u32;
        let source = |&unit: &u32| if computed[unit as usize] { unit } else { any };
        let places = held.places(&units.iter().map(source).collect::<Vec<u32>>())?;
        let node = if places.iter().copied().eq(0..held.units.len() as u32) {
            held.node
        } else {
            self.draft.pick(held.node, places, |draft| draft.fresh(name, "spread"))
        };
        let scale: Vec<f32> = units.iter().map(|&unit| f32::from(u8::from(computed[unit as usize]))).collect();
        let (shift, uneven) = match constants {
            Some(c) if c.rank() == 1 => (Some(c), None),
            uneven => (None, uneven),
        };
        let scale = Tensor::new(scale, &self.pass.weights.device())?;
        let shift = shift.map_or_else(|| scale.zeros_like(), Ok)?;
        let fresh = self.draft.fresh(name, "filled");
        let node = self.draft.scale(&fresh, node, scale, shift);
        self.draft.bias(name, "filled", node, uneven)
    }

    /// The same, also where nothing of node `id` is computed.
    pub(super) fn filled(&mut self, id: NodeId, wanted: &Selection) -> Result<NodeId> {
        let computed = self.pass.plan.kept(id).mask();
        if wanted.iter().any(|unit| computed[unit]) {
            return self.whole(id, wanted);
        }
        let values = self.constants(id, wanted)?;
        self.constants_alone(self.name(id), self.pass.net.shape(id).with_units(wanted.len()), values)
    }

    /// A network of zeros whose last bias is the constant output: nothing of the input is left.
    fn constant(&mut self, out: NodeId) -> Result<NodeId> {
        let values = self.made[out].constants.clone();
        self.constants_alone(self.name(out), self.pass.net.shape(out), values)
    }

    /// A node that holds `values`, (n,) or (n, h, w), for every input: zeros, made of the input, and a bias.
    fn constants_alone(&mut self, name: &str, shape: Shape, values: Option<Tensor>) -> Result<NodeId> {
        let device = self.pass.weights.device();
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &device);
        let values = values.map_or_else(|| zeros(&[shape.units()]), Ok)?;
        let at = self.take(0, &[0])?;
        let (from, fresh) = (self.pass.net.shape(0), self.draft.fresh(name, "constant"));
        match (from, shape) {
            (Shape::Image(_, h, w), Shape::Image(out, to_h, to_w)) => {
                let at = self.resized(name, at, (h, w), (to_h, to_w));
                let layer = Conv2d::new(out, 1).without_bias().into();
                let at = self.draft.push_with(&fresh, layer, at, vec![("weight", zeros(&[out, 1, 1, 1])?)]);
                self.draft.bias(name, "constant", at, Some(values))
            }
            _ => {
                let at = match from {
                    Shape::Image(..) => {
                        let name = self.draft.fresh(name, "pool");
                        self.draft.push(&name, GlobalPool::default().into(), vec![at])
                    }
                    Shape::Features(_) => at,
                };
                let out = shape.units();
                let values = vec![("weight", zeros(&[out, 1])?), ("bias", values)];
                Ok(self.draft.push_with(&fresh, Linear { out, bias: true }.into(), at, values))
            }
        }
    }

    /// An image cut or filled up with zeros to other sides.
    fn resized(&mut self, name: &str, at: NodeId, (h, w): (usize, usize), (to_h, to_w): (usize, usize)) -> NodeId {
        let mut at = at;
        let missing = Pair { h: to_h.saturating_sub(h), w: to_w.saturating_sub(w) };
        if !missing.is_zero() {
            let fresh = self.draft.fresh(name, "padded");
            let padding = [0, 0, missing.h, missing.w].into();
            at = self.draft.push(&fresh, Pad { padding }.into(), vec![at]);
        }
        let start = Pair { h: h.saturating_sub(to_h), w: w.saturating_sub(to_w) };
        if !start.is_zero() {
            let fresh = self.draft.fresh(name, "cut");
            at = self.draft.push(&fresh, Stride { start, step: Pair::ONE }.into(), vec![at]);
        }
        at
    }
}

/// The zeros before and after `there` that make it `units`, if it is one run of them.
fn zeros_around(units: &[u32], there: &[u32]) -> Option<PadUnits> {
    let before = units.iter().position(|unit| Some(unit) == there.first())?;
    let run = units.get(before..before + there.len())?;
    (run == there).then(|| PadUnits { before, after: units.len() - before - there.len() })
}
