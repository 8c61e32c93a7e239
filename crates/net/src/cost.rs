//! What a network costs: parameters, multiply-accumulates and floating point operations of one example.
//!
//! A linear layer with `r` outputs and `c` inputs left holds `r c` weights and `r` biases and makes `r c`
//! multiply-accumulates; a convolution holds `k^2` times as many weights and uses each at every position of its output.
//! Pruned inputs and pruned outputs are both taken off.

use candle_core::{DType, Device, Tensor};

use crate::{Layer, Net, NodeId, Plan, Result, SpaceId};

/// The cost of one layer for one example.
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
    /// Floating point operations: two for each multiply-accumulate, one for each bias added, two for each value normalised.
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
        self.layers.iter().map(f).sum()
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

impl Probabilities {
    /// Every unit of every space is open.
    pub fn ones(net: &Net) -> Self {
        Self { by_space: vec![None; net.spaces().len()] }
    }

    /// The probabilities (n,) of a space whose units are open independently of all others.
    pub fn set(&mut self, space: SpaceId, open: Tensor) {
        self.by_space[space] = Some(open);
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

/// Weights per pair of an output and an input, positions at which they are used, and whether outputs have a bias.
fn factors(net: &Net, id: NodeId) -> Option<(usize, usize, bool)> {
    match net.node(id).layer {
        Layer::Linear { bias, .. } => Some((1, 1, bias)),
        Layer::Conv2d { kernel, bias, .. } => Some((kernel * kernel, net.shape(id).positions(), bias)),
        _ => None,
    }
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

    fn layer_cost(&self, id: NodeId, plan: &Plan) -> Option<LayerCost> {
        let rows = plan.kept(id).len();
        let cols = self.node(id).inputs.first().map_or(0, |&input| plan.kept(input).len());
        let positions = self.shape(id).positions();
        let (weights, params, macs, extra) = match &self.node(id).layer {
            layer if layer.is_affine() => {
                let (per_pair, positions, bias) = factors(self, id)?;
                let biases = if bias { rows } else { 0 };
                let weights = rows * cols * per_pair;
                (weights, weights + biases, weights * positions, biases * positions)
            }
            Layer::BatchNorm { .. } => (0, 2 * rows, 0, 2 * rows * positions),
            Layer::Bias { per_position } => (0, rows * if *per_position { positions } else { 1 }, 0, rows * positions),
            Layer::Border { margins } => (0, rows * margins.dims().0 * margins.dims().1, 0, rows * positions),
            _ => return None,
        };
        Some(LayerCost { node: id, units: (cols, rows), weights, params, macs, flops: 2 * macs + extra })
    }

    /// The expected cost of every linear layer and convolution when units are open with these probabilities.
    ///
    /// # Errors
    /// If a probability tensor does not have a value for each unit of its space.
    pub fn expected_cost(&self, open: &Probabilities) -> Result<Vec<ExpectedCost>> {
        let device = open.by_space.iter().flatten().next().map_or(&Device::Cpu, |p| p.device()).clone();
        let per_node = self.open_probabilities(open)?;
        let count = |id: NodeId| match &per_node[id] {
            Some(p) => p.sum_all()?.to_dtype(DType::F32),
            None => Tensor::new(self.shape(id).units() as f32, &device),
        };
        let mut costs = Vec::new();
        for node in self.affine() {
            let Some((per_pair, positions, bias)) = factors(self, node) else { continue };
            let rows = count(node)?;
            let weights = ((&rows * count(self.node(node).inputs[0])?)? * per_pair as f64)?;
            let params = if bias { (&weights + rows)? } else { weights.clone() };
            let macs = (&weights * positions as f64)?;
            costs.push(ExpectedCost { node, weights, params, macs });
        }
        Ok(costs)
    }

    /// For every node, the probability that each of its units is open, or none where all are.
    fn open_probabilities(&self, open: &Probabilities) -> Result<Vec<Option<Tensor>>> {
        let mut per_node: Vec<Option<Tensor>> = Vec::with_capacity(self.nodes().len());
        for (id, node) in self.nodes().iter().enumerate() {
            let own = if self.makes_space(id) { open.by_space[self.space(id)].clone() } else { None };
            let input = node.inputs.first().and_then(|&input| per_node[input].clone());
            per_node.push(match &node.layer {
                Layer::Input { .. } | Layer::Linear { .. } | Layer::Conv2d { .. } => own,
                Layer::Flatten => both(own, spread(input, self.shape(node.inputs[0]).positions())?)?,
                Layer::Take { units } => match input {
                    Some(p) => both(own, Some(p.index_select(&Tensor::new(units.as_slice(), p.device())?, 0)?))?,
                    None => own,
                },
                Layer::Add => either(
                    input,
                    per_node[node.inputs[1]].clone(),
                    self.space(node.inputs[0]) == self.space(node.inputs[1]),
                )?,
                _ => input,
            });
        }
        Ok(per_node)
    }
}

fn spread(p: Option<Tensor>, positions: usize) -> Result<Option<Tensor>> {
    p.map(|p| Ok(p.unsqueeze(1)?.broadcast_as((p.elem_count(), positions))?.contiguous()?.flatten_all()?)).transpose()
}

fn both(a: Option<Tensor>, b: Option<Tensor>) -> Result<Option<Tensor>> {
    Ok(match (a, b) {
        (Some(a), Some(b)) => Some((a * b)?),
        (a, b) => a.or(b),
    })
}

/// A sum is open where one of its terms is. Terms of one space share its gates: they are open together.
fn either(a: Option<Tensor>, b: Option<Tensor>, shared: bool) -> Result<Option<Tensor>> {
    match (a, b) {
        (Some(a), Some(_)) if shared => Ok(Some(a)),
        (Some(a), Some(b)) => Ok(Some((1.0 - ((1.0 - a)? * (1.0 - b)?)?)?)),
        _ => Ok(None),
    }
}

impl Net {
    /// A table of the network's layers: what is left of each under `plan`, its parameters and multiply-accumulates.
    pub fn summary(&self, plan: &Plan) -> String {
        let (full, left) = (self.cost(), self.cost_of(plan));
        let mut rows = vec![["layer", "kind", "output", "units", "parameters", "MACs"].map(String::from)];
        for (id, node) in self.nodes().iter().enumerate() {
            let of = |cost: &Cost| cost.layers.iter().find(|layer| layer.node == id).map(|l| (l.params, l.macs));
            let (had, has) = (of(&full), of(&left));
            let share = |had: Option<usize>, has: Option<usize>| match (had, has) {
                (Some(had), Some(has)) if had != has => format!("{has} / {had}"),
                (_, has) => has.map_or(String::new(), |n| n.to_string()),
            };
            let (kept, units) = (plan.kept(id).len(), self.shape(id).units());
            let units = if kept == units { units.to_string() } else { format!("{kept} / {units}") };
            let (params, macs) = (share(had.map(|c| c.0), has.map(|c| c.0)), share(had.map(|c| c.1), has.map(|c| c.1)));
            rows.push([node.name.clone(), node.layer.kind().into(), self.shape(id).to_string(), units, params, macs]);
        }
        let total = |had: usize, has: usize| if had == has { had.to_string() } else { format!("{has} / {had}") };
        let (params, macs) = (total(full.params(), left.params()), total(full.macs(), left.macs()));
        rows.push(["total".into(), String::new(), String::new(), String::new(), params, macs]);
        align(&rows)
    }
}

fn align(rows: &[[String; 6]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> = (0..6)
            .map(|c| {
                if c < 3 { format!("{:<w$}", row[c], w = widths[c]) } else { format!("{:>w$}", row[c], w = widths[c]) }
            })
            .collect();
        cells.join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}
