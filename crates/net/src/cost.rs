//! What a network costs: parameters, multiply-accumulates and floating point operations of one example.
//!
//! A linear layer with `r` outputs and `c` inputs left holds `r c` weights and `r` biases and makes `r c`
//! multiply-accumulates; a convolution holds `k^2` times as many weights and uses each at every position of its output.
//! Pruned inputs and pruned outputs are both taken off. In expected costs a unit counts as open with the probability
//! that all units it stems from are, a sum's where those of one of its terms are; [`Net::expected_cost`] says where
//! that is not quite the expectation.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::layers::{Per, Reads, SpaceOf, Work};
use crate::{Error, Net, NodeId, Plan, Result, Space, SpaceId};

/// The cost of one layer for one example. What is more than a usize holds is its largest number: descriptions come from
/// files, and may ask for any.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerCost {
    /// The layer.
    pub node: NodeId,
    /// Inputs and outputs that take part.
    pub units: (usize, usize),
    /// Entries of weight matrices and kernels.
    pub weights: usize,
    /// All trained parameters: weights, biases, scales and shifts.
    pub params: usize,
    /// Multiply-accumulates.
    pub macs: usize,
    /// Floating point operations: two for each multiply-accumulate, one for each bias added, two for each value
    /// normalised.
    pub flops: usize,
}

/// The cost of all layers that hold parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Layer by layer, in order.
    pub layers: Vec<LayerCost>,
}

impl Cost {
    fn total(&self, f: impl Fn(&LayerCost) -> usize) -> usize {
        self.layers.iter().map(f).fold(0, usize::saturating_add)
    }

    /// Entries of all weight matrices and kernels.
    pub fn weights(&self) -> usize {
        self.total(|layer| layer.weights)
    }

    /// All trained parameters.
    pub fn params(&self) -> usize {
        self.total(|layer| layer.params)
    }

    /// Multiply-accumulates for one example.
    pub fn macs(&self) -> usize {
        self.total(|layer| layer.macs)
    }

    /// Floating point operations for one example.
    pub fn flops(&self) -> usize {
        self.total(|layer| layer.flops)
    }
}

/// How probable it is that each unit of each space is open; a space without an entry is open.
#[derive(Debug, Clone)]
pub struct Probabilities {
    by_space: Vec<Option<Tensor>>,
}

/// Units of one space that those of a node stem from, one or none for each: where they are closed, it is.
#[derive(Debug, Clone)]
struct Origins {
    space: SpaceId,
    /// For each unit of the node, the unit of the space.
    units: Arc<[Option<u32>]>,
    /// How probable it is that each is open, (n,); 1 for those that do not stem from the space.
    open: Tensor,
}

/// One way for the units of a node to be open: all that each stems from are.
type Way = Vec<Origins>;

/// Most ways that a sum may have: each doubles the work.
const MOST_WAYS: usize = 10;

impl Probabilities {
    /// Every unit of every space is open.
    pub fn ones(net: &Net) -> Self {
        Self { by_space: vec![None; net.spaces().len()] }
    }

    /// The probabilities (n,) of a space whose units are open independently of all others.
    ///
    /// # Errors
    /// If `net` has no such space or the tensor does not have a value for each of its units.
    pub fn set(&mut self, net: &Net, space: SpaceId, open: Tensor) -> Result<()> {
        expect_units(net, space, &open)?;
        self.check(net)?;
        self.by_space[space] = Some(open);
        Ok(())
    }

    /// Checks that there is a value for each unit of each space of `net`.
    fn check(&self, net: &Net) -> Result<()> {
        let (found, spaces) = (self.by_space.len(), net.spaces().len());
        if found != spaces {
            let expected = format!("{spaces}, those of the network");
            return Err(Error::Count { what: "spaces of probabilities", found, expected });
        }
        let given = self.by_space.iter().enumerate().filter_map(|(space, open)| Some((space, open.as_ref()?)));
        given.into_iter().try_for_each(|(space, open)| expect_units(net, space, open))
    }

    fn origins(&self, space: SpaceId) -> Option<Origins> {
        let open = self.by_space[space].clone()?;
        Some(Origins { space, units: (0..open.elem_count() as u32).map(Some).collect(), open })
    }
}

fn expect_units(net: &Net, space: SpaceId, open: &Tensor) -> Result<()> {
    let Space { name, units } = net.known_space(space)?;
    if open.dims() != [*units] {
        let (found, expected) = (open.dims().into(), vec![*units]);
        return Err(Error::Shape { name: format!("probabilities of {name}"), found, expected });
    }
    Ok(())
}

impl Origins {
    /// Those of a flattening: each position of a channel becomes a unit.
    fn spread(&self, positions: usize) -> Result<Self> {
        let units = self.units.iter().flat_map(|&unit| std::iter::repeat_n(unit, positions)).collect();
        let n = self.units.len();
        let open = self.open.unsqueeze(1)?.broadcast_as((n, positions))?.contiguous()?.flatten_all()?;
        Ok(Self { space: self.space, units, open })
    }

    /// Those of the units at these places; a unit without one stems from nothing.
    fn take(&self, places: &[Option<usize>]) -> Result<Self> {
        let units: Arc<[Option<u32>]> = places.iter().map(|place| place.and_then(|place| self.units[place])).collect();
        let at: Vec<u32> = places.iter().map(|place| place.unwrap_or(0) as u32).collect();
        let open = self.open.index_select(&Tensor::new(at, self.open.device())?, 0)?;
        if places.iter().all(Option::is_some) {
            return Ok(Self { space: self.space, units, open });
        }
        let stems: Vec<f32> = places.iter().map(|place| f32::from(u8::from(place.is_some()))).collect();
        let stems = Tensor::new(stems, open.device())?.to_dtype(open.dtype())?;
        let open = ((open * &stems)? + (1.0 - stems)?)?;
        Ok(Self { space: self.space, units, open })
    }

    fn are(&self, other: &Self) -> bool {
        self.space == other.space && self.units == other.units
    }

    /// The probabilities of those that no unit has among `earlier` ones, 1 for all others; none if all are 1.
    fn new_beside(&self, earlier: &[&Self]) -> Result<Option<Tensor>> {
        let had = |unit: usize| {
            self.units[unit].is_none()
                || earlier.iter().any(|e| e.space == self.space && e.units[unit] == self.units[unit])
        };
        let had: Vec<f32> = (0..self.units.len()).map(|unit| f32::from(u8::from(had(unit)))).collect();
        if !had.contains(&1.0) {
            return Ok(Some(self.open.clone()));
        }
        if !had.contains(&0.0) {
            return Ok(None);
        }
        let had = Tensor::new(had, self.open.device())?.to_dtype(self.open.dtype())?;
        Ok(Some(((&self.open * (1.0 - &had)?)? + had)?))
    }
}

/// The expected cost of one linear layer or convolution, as tensors that can be differentiated.
#[derive(Debug, Clone)]
pub struct ExpectedCost {
    /// The layer.
    pub node: NodeId,
    /// Expected number of weights, scalar.
    pub weights: Tensor,
    /// Expected number of weights and biases, scalar.
    pub params: Tensor,
    /// Expected number of multiply-accumulates for one example, scalar.
    pub macs: Tensor,
}

impl Net {
    /// The cost of the whole network.
    pub fn cost(&self) -> Cost {
        self.cost_of(&Plan::full(self))
    }

    /// The cost of the units that `plan` leaves.
    pub fn cost_of(&self, plan: &Plan) -> Cost {
        Cost { layers: (0..self.nodes().len()).filter_map(|id| self.layer_cost(id, plan)).collect() }
    }

    pub(crate) fn work(&self, id: NodeId) -> Option<Work> {
        self.node(id).layer.rules().work(&self.input_shapes(id), self.shape(id))
    }

    fn layer_cost(&self, id: NodeId, plan: &Plan) -> Option<LayerCost> {
        let work = self.work(id)?;
        let mut rows = plan.kept(id).len();
        let cols = self.node(id).inputs.first().map_or(0, |&input| plan.kept(input).len());
        let weights = match work.per {
            Per::Unit => rows.saturating_mul(work.weights),
            Per::Pair(1) => rows.saturating_mul(cols).saturating_mul(work.weights),
            Per::Pair(groups) => {
                let (pairs, outputs) = self.grouped_pairs(id, plan, groups);
                rows = outputs;
                pairs.saturating_mul(work.weights)
            }
        };
        let (macs, extra) = (weights.saturating_mul(work.positions), rows.saturating_mul(work.extra));
        let params = weights.saturating_add(rows.saturating_mul(work.values));
        let flops = macs.saturating_mul(2).saturating_add(extra);
        Some(LayerCost { node: id, units: (cols, rows), weights, params, macs, flops })
    }

    /// Pairs of outputs and inputs that are left of a convolution in groups, and outputs. Groups are left whole, but
    /// the last one is an ordinary convolution.
    fn grouped_pairs(&self, id: NodeId, plan: &Plan, groups: usize) -> (usize, usize) {
        let (input, kept) = (self.node(id).inputs[0], plan.kept(id).mask());
        let (size, inputs) = (kept.len() / groups, self.shape(input).units() / groups);
        let left: Vec<usize> = (0..groups).filter(|g| kept[g * size..(g + 1) * size].contains(&true)).collect();
        if let [group] = left[..] {
            let rows = plan.kept(id).len();
            let cols = plan.kept(input).iter().filter(|unit| unit / inputs == group).count();
            return (rows * cols, rows);
        }
        (left.len() * size * inputs, left.len() * size)
    }

    /// The expected cost of every linear layer and convolution when units are open with these probabilities: the
    /// expected number of its outputs times that of its inputs, times what each pair of them costs.
    ///
    /// That is the expectation of what [`Net::cost_of`] counts, but for two things:
    /// - Inputs and outputs count as independent. Where the same gates close both, as those of a residual stream do for
    ///   a convolution from the stream to itself, the expectation of their pairs is `(sum p)^2 + sum p (1 - p)`, and
    ///   `(sum p)^2` is what counts here.
    /// - A unit that is dropped because nobody reads it counts as open. So do the factors of closed channels, as in
    ///   squeeze-and-excitation: the compact network is without them.
    ///
    /// # Errors
    /// If a probability tensor does not have a value for each unit of its space, or the terms of sums have so many
    /// different origins that combining them would take too long.
    pub fn expected_cost(&self, open: &Probabilities) -> Result<Vec<ExpectedCost>> {
        let device = open.by_space.iter().flatten().next().map_or(&Device::Cpu, |p| p.device()).clone();
        let per_node = self.open_probabilities(open)?;
        let count = |id: NodeId| match &per_node[id] {
            Some(p) => p.sum_all()?.to_dtype(DType::F32),
            None => Tensor::new(self.shape(id).units() as f32, &device),
        };
        let mut costs = Vec::new();
        for node in self.affine() {
            let Some(work) = self.work(node) else { continue };
            let rows = count(node)?;
            let weights = match work.per {
                Per::Pair(1) => ((&rows * count(self.node(node).inputs[0])?)? * work.weights as f64)?,
                // As if a unit took its share of the group along: exact where the units of a group close together.
                Per::Pair(groups) => (&rows * (self.input_shapes(node)[0].units() / groups * work.weights) as f64)?,
                Per::Unit => (&rows * work.weights as f64)?,
            };
            let params = if work.values > 0 { (&weights + rows)? } else { weights.clone() };
            let macs = (&weights * work.positions as f64)?;
            costs.push(ExpectedCost { node, weights, params, macs });
        }
        Ok(costs)
    }

    /// For every node, the probability that each of its units is open, or none where all are.
    fn open_probabilities(&self, open: &Probabilities) -> Result<Vec<Option<Tensor>>> {
        open.check(self)?;
        let ways = self.ways(open)?;
        ways.iter().zip(self.nodes()).map(|(ways, node)| probability(ways, &node.name)).collect()
    }

    /// For every node, the ways in which its units can be open: for a sum those of its terms, which may share origins.
    fn ways(&self, open: &Probabilities) -> Result<Vec<Vec<Way>>> {
        let mut per_node: Vec<Vec<Way>> = Vec::with_capacity(self.nodes().len());
        for id in 0..self.nodes().len() {
            let mut ways = self.ways_of(id, &per_node)?;
            if let (true, Some(own)) = (self.makes_space(id), open.origins(self.space(id))) {
                ways.iter_mut().for_each(|way| way.insert(0, own.clone()));
            }
            per_node.push(ways);
        }
        Ok(per_node)
    }

    /// The ways that a node has from its inputs.
    fn ways_of(&self, id: NodeId, per_node: &[Vec<Way>]) -> Result<Vec<Way>> {
        let inputs = &self.node(id).inputs;
        Ok(match self.reads(id) {
            Reads::All | Reads::Groups(_) => vec![Way::new()],
            Reads::Positions(n) => {
                let spread = |way: &Way| way.iter().map(|origins| origins.spread(*n)).collect();
                per_node[inputs[0]].iter().map(spread).collect::<Result<_>>()?
            }
            Reads::One(sources) => {
                let parts = inputs.iter().enumerate().map(|(input, &node)| (input, &per_node[node]));
                joined(parts.collect(), sources)?
            }
            Reads::Same => match self.node(id).layer.rules().space(&self.input_shapes(id)) {
                SpaceOf::Input(input) => per_node[inputs[input]].clone(),
                _ => inputs.iter().flat_map(|&input| &per_node[input]).fold(Vec::new(), with),
            },
        })
    }
}

/// The ways of units that each stem from one unit of one of several inputs. A unit has the ways of its own input; where
/// another has more, its last one stands there again, which changes nothing.
fn joined(parts: Vec<(usize, &Vec<Way>)>, sources: &[Option<(usize, usize)>]) -> Result<Vec<Way>> {
    let most = parts.iter().map(|(_, ways)| ways.len()).max().unwrap_or(1);
    let mut ways = Vec::with_capacity(most);
    for i in 0..most {
        let mut way = Way::new();
        for (input, own) in &parts {
            let places: Vec<Option<usize>> =
                sources.iter().map(|source| source.filter(|(from, _)| from == input).map(|(_, unit)| unit)).collect();
            for origins in own.get(i).or(own.last()).into_iter().flatten() {
                way.push(origins.take(&places)?);
            }
        }
        ways.push(way);
    }
    Ok(ways)
}

/// `ways` or `way`: one that asks for all the origins of another, and more, adds nothing to it.
fn with(mut ways: Vec<Way>, way: &Way) -> Vec<Way> {
    let includes = |a: &Way, b: &Way| b.iter().all(|b| a.iter().any(|a| a.are(b)));
    if !ways.iter().any(|other| includes(way, other)) {
        ways.retain(|other| !includes(other, way));
        ways.push(way.clone());
    }
    ways
}

/// How probable it is that each unit is open in one of these ways, or none where all are: by inclusion and exclusion.
fn probability(ways: &[Way], node: &str) -> Result<Option<Tensor>> {
    if ways.len() > MOST_WAYS {
        let problem = format!("sums terms of {} different origins, expected {MOST_WAYS} at most", ways.len());
        return Err(Error::layer(node, problem));
    }
    let mut total: Option<Tensor> = None;
    for subset in 1..1usize << ways.len() {
        let taken: Vec<&Way> = (0..ways.len()).filter(|i| subset >> i & 1 == 1).map(|i| &ways[i]).collect();
        let Some(p) = all_open(taken.iter().copied().flatten())? else { return Ok(None) };
        total = Some(match total {
            None => p,
            Some(total) if taken.len() % 2 == 1 => (total + p)?,
            Some(total) => (total - p)?,
        });
    }
    Ok(total)
}

/// How probable it is that all these origins of each unit are open; none without any.
fn all_open<'a>(all: impl Iterator<Item = &'a Origins>) -> Result<Option<Tensor>> {
    let (mut product, mut earlier): (Option<Tensor>, Vec<&Origins>) = (None, Vec::new());
    for origins in all {
        if let Some(p) = origins.new_beside(&earlier)? {
            product = Some(product.map_or(Ok(p.clone()), |product| product * p)?);
        }
        earlier.push(origins);
    }
    Ok(product)
}
