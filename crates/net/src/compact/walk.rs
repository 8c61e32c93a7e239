//! Writes the compact network node by node from what one masked pass computes.

use candle_core::{DType, Tensor};
use l0_ops::Selection;

use super::draft::{Draft, Held, Values, nonzero};
use crate::activation::{Activation, sum};
use crate::affine::Pass;
use crate::{Error, Layer, Node, NodeId, Result, Shape};

/// The original network, what its nodes make, and what is written of it.
pub(super) struct Walk<'a> {
    pass: &'a Pass<'a>,
    made: Vec<Activation>,
    held: Vec<Option<Held>>,
    draft: Draft,
}

impl<'a> Walk<'a> {
    pub(super) fn new(pass: &'a Pass<'a>, made: Vec<Option<Activation>>) -> Result<Self> {
        let made: Option<Vec<Activation>> = made.into_iter().collect();
        let made = made.ok_or_else(|| Error::layer("", "not every node was computed"))?;
        Ok(Self { pass, made, held: Vec::new(), draft: Draft::new(pass.net) })
    }

    /// Writes all nodes; the last of them holds every unit of the output.
    pub(super) fn finish(mut self) -> Result<(Vec<Node>, Values)> {
        for id in 0..self.pass.net.nodes().len() {
            let held = self.node(id)?;
            self.held.push(held);
        }
        let out = self.pass.net.output();
        let all = Selection::all(self.pass.net.shape(out).units());
        match self.pass.plan.kept(out) {
            kept if kept.is_empty() => self.constant(out)?,
            _ => self.whole(out, &all)?,
        };
        Ok((self.draft.nodes, self.draft.values))
    }

    fn kept(&self, id: NodeId) -> Vec<u32> {
        self.pass.plan.kept(id).iter().map(|unit| unit as u32).collect()
    }

    fn name(&self, id: NodeId) -> &'a str {
        &self.pass.net.node(id).name
    }

    fn held(&self, id: NodeId) -> Result<&Held> {
        let held = self.held.get(id).and_then(Option::as_ref);
        held.ok_or_else(|| Error::layer(self.name(id), "is read but was not written"))
    }

    /// The compact node with exactly the units `wanted` of the original node `id`.
    fn take(&mut self, id: NodeId, wanted: &[u32]) -> Result<NodeId> {
        let (held, name) = (self.held(id)?.clone(), self.name(id));
        Ok(self.draft.take(&held, wanted, |draft| draft.fresh(name, "kept")))
    }

    /// What stands for node `id` in the compact network; none where nothing of it is computed.
    fn node(&mut self, id: NodeId) -> Result<Option<Held>> {
        let Node { name, layer, inputs } = self.pass.net.node(id);
        if let Layer::Input { shape: _ } = layer {
            let node = self.draft.push(name, layer.clone(), Vec::new());
            let units = 0..self.pass.net.shape(id).units() as u32;
            return self.scaled(id, Held { node, units: units.collect() }).map(Some);
        }
        let units = self.kept(id);
        if units.is_empty() {
            return Ok(None);
        }
        let held = match layer {
            Layer::Linear { .. } | Layer::Conv2d { .. } => Held { node: self.affine(id, inputs[0])?, units },
            Layer::Flatten => self.flatten(id, inputs[0])?,
            Layer::Take { units: from } => {
                let wanted: Vec<u32> = units.iter().map(|&unit| from[unit as usize]).collect();
                let held = self.held(inputs[0])?.clone();
                Held { node: self.draft.take(&held, &wanted, |_| name.clone()), units }
            }
            Layer::Dropout { .. } | Layer::Identity => self.held(inputs[0])?.clone(),
            Layer::Add => Held { node: self.add(id, inputs[0], inputs[1])?, units },
            _ => Held { node: self.unit_by_unit(id, inputs[0])?, units },
        };
        self.scaled(id, held).map(Some)
    }

    fn affine(&mut self, id: NodeId, input: NodeId) -> Result<NodeId> {
        let rows = self.pass.plan.kept(id);
        let block = self.pass.affine(id, rows, &self.made[input])?;
        let name = self.name(id);
        let weight = block.weight.ok_or_else(|| Error::layer(name, "reads nothing but is computed"))?;
        let map = nonzero(block.map.map(|map| map.squeeze(0)).transpose()?)?;
        let (bias, map) = match (block.bias, map) {
            (Some(bias), Some(map)) => (None, Some(sum(&bias, &map)?)),
            parts => parts,
        };
        let layer = match self.pass.net.node(id).layer {
            Layer::Conv2d { kernel, stride, padding, .. } => {
                Layer::Conv2d { out: rows.len(), kernel, stride, padding, bias: bias.is_some() }
            }
            _ => Layer::Linear { out: rows.len(), bias: bias.is_some() },
        };
        let values = std::iter::once(("weight", weight)).chain(bias.map(|bias| ("bias", bias))).collect();
        let reads = self.take(input, &self.kept(input))?;
        let node = self.draft.push_with(name, layer, reads, values);
        self.draft.bias(name, "border", node, map)
    }

    /// All features of the maps of which one is left; who reads them takes those.
    fn flatten(&mut self, id: NodeId, input: NodeId) -> Result<Held> {
        let positions = self.pass.net.shape(input).positions() as u32;
        let mut maps: Vec<u32> = self.kept(id).iter().map(|feature| feature / positions).collect();
        maps.dedup();
        let reads = self.take(input, &maps)?;
        let node = self.draft.push(self.name(id), Layer::Flatten, vec![reads]);
        Ok(Held { node, units: maps.iter().flat_map(|map| map * positions..(map + 1) * positions).collect() })
    }

    fn unit_by_unit(&mut self, id: NodeId, input: NodeId) -> Result<NodeId> {
        let (kept, Node { name, layer, .. }) = (self.pass.plan.kept(id), self.pass.net.node(id));
        let reads = self.take(input, &self.kept(id))?;
        let leaves: &[&str] = match layer {
            Layer::BatchNorm { .. } => &["weight", "bias", "running_mean", "running_var"],
            Layer::Bias { .. } | Layer::Border { .. } => &["bias"],
            _ => &[],
        };
        let part = |leaf: &&'static str| Ok((*leaf, l0_ops::take(self.pass.weights.of(name, leaf)?, 0, kept)?));
        let values = leaves.iter().map(part).collect::<Result<_>>()?;
        Ok(self.draft.push_with(name, layer.clone(), reads, values))
    }

    fn add(&mut self, id: NodeId, a: NodeId, b: NodeId) -> Result<NodeId> {
        let kept = self.pass.plan.kept(id);
        let computes = |term: NodeId| kept.iter().any(|unit| self.pass.plan.kept(term).mask()[unit]);
        let only = match (computes(a), computes(b)) {
            (true, true) => {
                let inputs = vec![self.whole(a, kept)?, self.whole(b, kept)?];
                return Ok(self.draft.push(self.name(id), Layer::Add, inputs));
            }
            (true, false) => (a, b),
            (false, _) => (b, a),
        };
        // One term is constant where the other varies: a bias.
        let node = self.take(only.0, &self.kept(id))?;
        let constants = self.made[only.1].constants.as_ref().map(|c| l0_ops::take(c, 0, kept)).transpose()?;
        self.draft.bias(self.name(id), "constant", node, constants)
    }

    /// The scale of a space's mask, where linear maps do not take it over.
    fn scaled(&mut self, id: NodeId, held: Held) -> Result<Held> {
        let kept = self.pass.plan.kept(id);
        let scale = self.pass.scale(id).filter(|_| !self.pass.net.node(id).layer.is_affine() && !kept.is_empty());
        let Some(scale) = scale.filter(|_| self.made[id].scale.is_none()) else { return Ok(held) };
        let (units, name) = (self.kept(id), self.name(id));
        let node = self.draft.take(&held, &units, |draft| draft.fresh(name, "kept"));
        let name = self.draft.fresh(name, "scale");
        let scale = l0_ops::take(scale, 0, kept)?;
        let zeros = scale.zeros_like()?;
        Ok(Held { node: self.draft.scale(&name, node, scale, zeros)?, units })
    }

    /// A node with all units `wanted` of node `id`: those that are not computed are filled with their constants.
    fn whole(&mut self, id: NodeId, wanted: &Selection) -> Result<NodeId> {
        let computed = self.pass.plan.kept(id).mask();
        let units: Vec<u32> = wanted.iter().map(|unit| unit as u32).collect();
        if units.iter().all(|&unit| computed[unit as usize]) {
            return self.take(id, &units);
        }
        let (held, name) = (self.held(id)?.clone(), self.name(id));
        let any = self.pass.plan.kept(id).iter().next().unwrap_or(0) as u32;
        let source = |&unit: &u32| held.place(if computed[unit as usize] { unit } else { any });
        let node = self.draft.pick(held.node, units.iter().map(source).collect(), |draft| draft.fresh(name, "spread"));
        let scale: Vec<f32> = units.iter().map(|&unit| f32::from(u8::from(computed[unit as usize]))).collect();
        let constants = self.made[id].constants.as_ref().map(|c| l0_ops::take(c, 0, wanted)).transpose()?;
        let (shift, map) = match constants {
            Some(c) if c.rank() == 1 => (Some(c), None),
            map => (None, map),
        };
        let scale = Tensor::new(scale, &self.pass.weights.device())?;
        let shift = shift.map_or_else(|| scale.zeros_like(), Ok)?;
        let fresh = self.draft.fresh(name, "filled");
        let node = self.draft.scale(&fresh, node, scale, shift)?;
        self.draft.bias(name, "filled", node, map)
    }

    /// A network of zeros whose last bias is the constant output: nothing of the input is left.
    fn constant(&mut self, out: NodeId) -> Result<NodeId> {
        let (device, shape) = (self.pass.weights.device(), self.pass.net.shape(out));
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &device);
        let values = match self.made[out].constants.clone() {
            Some(values) => values,
            None => zeros(&[shape.units()])?,
        };
        let name = self.name(out);
        let mut at = self.take(0, &[0])?;
        if let Shape::Features(out) = shape {
            if matches!(self.pass.net.shape(0), Shape::Image(..)) {
                let name = self.draft.fresh(name, "pool");
                at = self.draft.push(&name, Layer::AvgPool, vec![at]);
            }
            let values = vec![("weight", zeros(&[out, 1])?), ("bias", values)];
            let name = self.draft.fresh(name, "constant");
            return Ok(self.draft.push_with(&name, Layer::Linear { out, bias: true }, at, values));
        }
        for id in self.path(out) {
            let fresh = self.draft.fresh(self.name(id), "zero");
            at = match self.pass.net.node(id).layer {
                Layer::Conv2d { kernel, stride, padding, .. } => {
                    let layer = Layer::Conv2d { out: 1, kernel, stride, padding, bias: false };
                    self.draft.push_with(&fresh, layer, at, vec![("weight", zeros(&[1, 1, kernel, kernel])?)])
                }
                ref pool @ Layer::MaxPool2d { .. } => self.draft.push(&fresh, pool.clone(), vec![at]),
                _ => at,
            };
        }
        let layer = Layer::Conv2d { out: shape.units(), kernel: 1, stride: 1, padding: 0, bias: false };
        let fresh = self.draft.fresh(name, "constant");
        let at = self.draft.push_with(&fresh, layer, at, vec![("weight", zeros(&[shape.units(), 1, 1, 1])?)]);
        self.draft.bias(name, "constant", at, Some(values))
    }

    /// The nodes from the input to `id` along first inputs.
    fn path(&self, id: NodeId) -> Vec<NodeId> {
        let back = std::iter::successors(Some(id), |&id| self.pass.net.node(id).inputs.first().copied());
        let mut path: Vec<NodeId> = back.collect();
        path.reverse();
        path
    }
}
