//! Gated networks: hard concrete gates on the spaces of a [`Net`], drawn together before the forward pass.
//!
//! A [`Placement`] says which layer a set of gates belongs to and on which side: gates on its *input* units (the
//! paper's fully connected layers), on its *output* units (its convolutions), or on output units that several layers
//! make together (*coupled*, as on both sides of an addition). The gates of a set mask the space of those units,
//! wherever else it is read. What an open gate costs is counted on the weights of its own layer, |g| = out (k k) for an
//! input unit, in k k (+ 1 with a bias) for an output unit; for a coupled unit, on those of all layers that make it.
//!
//! A [`GatedNet`] holds no values and no [objective](crate::objective). Its methods read them from [`Weights`], so that
//! the trained values and their average are evaluated by the same code.

use candle_core::{DType, Device, Tensor};
use l0_net::{Cost, Mask, Masks, Net, Params, Plan, Probabilities, Prunable, Role, SpaceId, Unit, Weights};
use l0_rng::{Purpose, Stream};
use serde::{Deserialize, Serialize};

use crate::placement::Placed;
use crate::{Constraint, Error, Estimator, Gate, GateConfig, HardConcrete, Penalty, Placement, Quantity, Result, Side};

/// A described network and its gates: where they are and how they begin, not what closes them.
#[derive(Debug, Clone)]
pub struct GatedNet {
    pub(crate) net: Net,
    pub(crate) gates: Vec<Placed>,
    distribution: HardConcrete,
}

/// Everything that makes a plain network a gated one, to be kept in a file beside its description. Files of earlier
/// versions also say by which lambda and weight decay the gates were trained, which is passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gates {
    /// Where the gates are.
    pub placements: Vec<Placement>,
    /// Their distribution.
    pub distribution: HardConcrete,
}

impl GatedNet {
    /// Places gates on `net`; none make it a plain network.
    ///
    /// # Errors
    /// If a placement names no linear layer or convolution, gates the outputs of the network, or two belong to one
    /// layer or mask the same units.
    pub fn new(net: Net, placements: &[Placement]) -> Result<Self> {
        let mut gates: Vec<Placed> = Vec::new();
        for placement in placements {
            let placed = Placed::new(&net, placement)?;
            if let Some(other) = gates.iter().find(|other| other.node == placed.node) {
                let name = placed.parameter();
                let problem = format!(
                    "has gates on its {} already; a layer holds one set, {name:?}; gate its {} units as those of the layer \
                     next to it",
                    other.placement.side, placement.side
                );
                return Err(l0_net::Error::Layer { node: placement.layer.clone(), problem }.into());
            }
            if let Some(other) = gates.iter().find(|other| other.space == placed.space) {
                let (other, space) = (&other.placement.layer, &net.spaces()[placed.space].name);
                let problem = format!("its gates are on the units of {space:?}, which {other:?} gates already");
                return Err(l0_net::Error::Layer { node: placement.layer.clone(), problem }.into());
            }
            gates.push(placed);
        }
        Ok(Self { net, gates, distribution: HardConcrete::default() })
    }

    /// Gates on every space of channels or features that can shrink ([`Net::prunable`]), one set for each: layers whose
    /// units are coupled share a set, which belongs to the first of them. They start open with probability `1 -
    /// droprate_init` and more ([`Placement`]): nearly all of them, for a network that is trained already, with 0.01.
    ///
    /// ```
    /// use l0::GatedNet;
    /// use l0_net::{Builder, layers::Conv2d};
    /// let mut b = Builder::image("image", 3, 32, 32);
    /// let stream = b.conv2d_same("stem", 16, 3, 1).relu().tip();
    /// b.conv2d_same("conv1", 24, 3, 1).relu().conv2d_same("conv2", 16, 3, 1).add(stream).relu();
    /// b.layer("depthwise", Conv2d::new(16, 3).groups(16)).global_avg_pool().linear("fc", 10);
    /// let network = GatedNet::prunable(b.build()?, 0.01)?;
    /// // One set for the channels that "stem", "conv2" and "depthwise" share, one for those of "conv1"; none for the classes.
    /// let layers: Vec<&str> = network.placements().map(|placement| placement.layer.as_str()).collect();
    /// assert_eq!(layers, ["stem", "conv1"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// None but those of [`GatedNet::new`].
    pub fn prunable(net: Net, droprate_init: f64) -> Result<Self> {
        Self::on(&Prunable::of(&net), droprate_init)
    }

    /// The same on the spaces that were chosen.
    ///
    /// ```
    /// # use l0::GatedNet;
    /// # use l0_net::{Builder, Prunable};
    /// # let mut b = Builder::image("image", 3, 32, 32);
    /// # b.conv2d_same("conv1", 24, 3, 1).relu().conv2d_same("conv2", 16, 3, 1).global_avg_pool().linear("fc", 10);
    /// # let net = b.build()?;
    /// let network = GatedNet::on(&Prunable::of(&net).except(&["conv1"])?, 0.01)?;
    /// # assert_eq!(network.sets(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// None but those of [`GatedNet::new`].
    pub fn on(chosen: &Prunable, droprate_init: f64) -> Result<Self> {
        let net = chosen.net();
        let layer = |&space: &SpaceId| {
            let makers = net.coupled(space).into_iter().filter(|&id| net.weights_of(id).is_some());
            makers.map(|id| net.node(id).name.clone()).next()
        };
        let place = |layer| Placement { droprate_init, ..Placement::new(layer, Side::Coupled) };
        let placements: Vec<Placement> = chosen.spaces().iter().filter_map(layer).map(place).collect();
        Self::new(net.clone(), &placements)
    }

    /// A network with the gates that a file describes.
    ///
    /// # Errors
    /// As for [`GatedNet::new`].
    pub fn with_gates(net: Net, gates: &Gates) -> Result<Self> {
        Ok(Self { distribution: gates.distribution, ..Self::new(net, &gates.placements)? })
    }

    /// What [`GatedNet::with_gates`] needs.
    pub fn gates(&self) -> Gates {
        Gates { placements: self.placements().cloned().collect(), distribution: self.distribution }
    }

    /// The description.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Where the gates are, in order.
    pub fn placements(&self) -> impl Iterator<Item = &Placement> {
        self.gates.iter().map(|gate| &gate.placement)
    }

    /// Whether there is no gate at all.
    pub fn is_plain(&self) -> bool {
        self.gates.is_empty()
    }

    /// How many sets of gates there are.
    pub fn sets(&self) -> usize {
        self.gates.len()
    }

    /// The units of each gated space, in order of the placements.
    pub fn gated_units(&self) -> Vec<usize> {
        self.gates.iter().map(|gate| gate.units).collect()
    }

    /// First values of all parameters, those of the gates ("fc1.log_alpha") after those of the network. Gates are
    /// always on the CPU: they are few, and which are open must be known there.
    ///
    /// # Errors
    /// If a drop rate is out of range or the device cannot hold the values.
    pub fn init(&self, seed: u64, device: &Device) -> Result<Params> {
        let mut params = Params::init(&self.net, seed, device)?;
        for gate in &self.gates {
            let config = GateConfig { droprate_init: gate.placement.droprate_init, ..GateConfig::default() };
            let name = gate.parameter();
            let mut stream = Stream::new(seed, Purpose::Init, 0, 0, &name);
            let log_alpha = config.draw_log_alpha(gate.units, &mut stream)?;
            params.insert(&name, Role::Mask, &Tensor::from_vec(log_alpha, gate.units, &Device::Cpu)?)?;
        }
        Ok(params)
    }

    /// Trained values for the network; gates that `weights` lack get first ones.
    ///
    /// # Errors
    /// As for [`GatedNet::init`], or if `weights` lack a parameter of the network.
    pub fn init_with(&self, weights: &Weights, seed: u64, device: &Device) -> Result<Params> {
        let params = self.init(seed, device)?;
        let first = params.detached();
        let values = params.iter().map(|param| match param.role {
            Role::Mask => weights.get(&param.name).or_else(|_| first.get(&param.name)).cloned(),
            _ => weights.get(&param.name).cloned(),
        });
        params.assign(&first.with(values.collect::<l0_net::Result<_>>()?)?)?;
        Ok(params)
    }

    fn gate(&self, placed: &Placed, weights: &Weights) -> Result<Gate> {
        Ok(Gate::new(weights.get(&placed.parameter())?.clone(), self.distribution)?)
    }

    fn masks(&self, mut mask: impl FnMut(&Placed) -> Result<Mask>) -> Result<Masks> {
        let mut masks = Masks::none(&self.net);
        for placed in &self.gates {
            masks.set(&self.net, placed.space, mask(placed)?)?;
        }
        Ok(masks)
    }

    /// Random gates, one sample for all examples of a batch; `noise` gives the stream that belongs to a gate's name.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn sample(&self, weights: &Weights, noise: impl Fn(&str) -> Stream) -> Result<Masks> {
        self.masks(|placed| {
            let gate = self.gate(placed, weights)?;
            Ok(Mask::Shared(gate.sample(&gate.noise(None, &mut noise(&placed.placement.layer))?)?))
        })
    }

    /// Random gates, a sample for each of `examples`: less variance, but nothing to leave out.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn sample_each(&self, weights: &Weights, examples: usize, noise: impl Fn(&str) -> Stream) -> Result<Masks> {
        self.masks(|placed| {
            let gate = self.gate(placed, weights)?;
            Ok(Mask::PerExample(gate.sample(&gate.noise(Some(examples), &mut noise(&placed.placement.layer))?)?))
        })
    }

    /// Deterministic gates, as at test time.
    ///
    /// # Errors
    /// If a parameter is missing, or is not a number.
    pub fn test_masks(&self, weights: &Weights, estimator: Estimator) -> Result<Masks> {
        self.masks(|placed| Ok(Mask::Shared(self.gate(placed, weights)?.test_values(estimator)?)))
    }

    /// Number of weights (and biases) that gates can switch off, the sum of |g|.
    pub fn gated_weights(&self) -> usize {
        self.gates.iter().map(Placed::weights).sum()
    }

    /// Expected number of gated weights that are not zero, the sum of P(z != 0) |g|; none without gates.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn expected_l0(&self, weights: &Weights) -> Result<Option<f64>> {
        let mut total = None;
        for placed in &self.gates {
            *total.get_or_insert(0.0) += self.gate(placed, weights)?.expected_open()? * placed.group as f64;
        }
        Ok(total)
    }

    /// The number of gated weights whose gates are open at test time, the sum of |g|; none without gates.
    pub fn open_l0(&self, pruned: &Pruned) -> Option<f64> {
        let open = self.gates.iter().zip(&pruned.open).map(|(placed, (_, open))| (open * placed.group) as f64);
        (!self.is_plain()).then(|| open.sum())
    }

    /// What the gated layers add to the loss, a scalar; none without gates. `penalties` has one for each set of gates,
    /// as [`Objective::penalties`](crate::Objective::penalties) makes them.
    ///
    /// # Errors
    /// If there are not as many penalties as sets of gates, or a parameter is missing.
    pub fn penalty(&self, weights: &Weights, penalties: &[Penalty]) -> Result<Option<Tensor>> {
        self.one_for_each("penalties", penalties.len())?;
        let mut total: Option<Tensor> = None;
        for (placed, penalty) in self.gates.iter().zip(penalties) {
            let members = placed.members(weights)?;
            let members: Vec<(&Tensor, usize)> = members.iter().map(|(tensor, dim)| (tensor, *dim)).collect();
            let cost = penalty.groups(&self.gate(placed, weights)?, placed.group, &members)?;
            total = Some(total.map_or(Ok(cost.clone()), |total| total + cost)?);
        }
        Ok(total)
    }

    /// Checks that there are as many of something as sets of gates.
    pub(crate) fn one_for_each(&self, what: &'static str, found: usize) -> Result<()> {
        match self.sets() {
            sets if sets == found => Ok(()),
            sets => Err(Error::Count { what, found, expected: format!("{sets}, one for each set of gates") }),
        }
    }

    /// Names of the parameters that the penalty's L2 term covers: weights of gated layers, biases of gated outputs. One
    /// that two sets switch, as by inputs and outputs, stands here twice, and is in both of their terms.
    pub fn gated_parameters(&self) -> Vec<String> {
        self.gates.iter().flat_map(Placed::parameters).map(String::from).collect()
    }

    /// P(z != 0) of every gate of every set, tracked where `weights` are.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn prob_open(&self, weights: &Weights) -> Result<Vec<Tensor>> {
        self.gates.iter().map(|placed| Ok(self.gate(placed, weights)?.prob_open()?)).collect()
    }

    /// The same by space, for [`Net::expected_cost`].
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn probabilities(&self, weights: &Weights) -> Result<Probabilities> {
        let mut open = Probabilities::ones(&self.net);
        for (placed, p) in self.gates.iter().zip(self.prob_open(weights)?) {
            open.set(&self.net, placed.space, p)?;
        }
        Ok(open)
    }

    /// What a constraint bounds, tracked where `weights` are, scalars: for targets of layers the mean of P(z != 0) of
    /// each set of gates, its share of open gates, whatever the quantity; for a target of the model the expected share
    /// of the weights (or multiply-accumulates) of all its linear layers and convolutions, gated or not, pruned inputs
    /// and outputs both taken off.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn densities(&self, weights: &Weights, constraint: &Constraint) -> Result<Vec<Tensor>> {
        if constraint.targets.are_of_layers() {
            return self.prob_open(weights)?.iter().map(|p| Ok(p.mean_all()?)).collect();
        }
        let expected = self.net.expected_cost(&self.probabilities(weights)?)?;
        let full = self.net.cost();
        let (parts, total): (Vec<&Tensor>, usize) = match constraint.quantity {
            Quantity::Weights => (expected.iter().map(|cost| &cost.weights).collect(), full.weights()),
            Quantity::Macs => (expected.iter().map(|cost| &cost.macs).collect(), full.macs()),
        };
        Ok(vec![(Tensor::stack(&parts, 0)?.sum_all()? / total as f64)?])
    }

    /// For each set of gates the most that its price for open weights can slope in a log α: a quarter, the steepest
    /// slope of P(z != 0), of what a gate costs. Weight decay and the loss come on top of it.
    ///
    /// # Errors
    /// If there are not as many penalties as sets of gates.
    pub fn steepest_price(&self, penalties: &[Penalty]) -> Result<Vec<f64>> {
        self.one_for_each("penalties", penalties.len())?;
        let each = self.gates.iter().zip(penalties);
        Ok(each.map(|(placed, penalty)| 0.25 * penalty.price(placed.weights()) * placed.group as f64).collect())
    }

    /// Holds every log α in its range; to be called after each step of the optimiser.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn clamp_(&self, weights: &Weights) -> Result<()> {
        self.gates.iter().try_for_each(|placed| Ok(self.gate(placed, weights)?.clamp_()?))
    }

    /// What is left of the network at test time.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn pruned(&self, weights: &Weights, estimator: Estimator) -> Result<Pruned> {
        let masks = self.test_masks(weights, estimator)?;
        let plan = Plan::new(&self.net, &masks, false);
        let mut open = Vec::new();
        let mut architecture = Vec::new();
        let mut values = Vec::new();
        for placed in &self.gates {
            let z: Vec<f32> = match masks.get(placed.space) {
                Some(Mask::Shared(z)) => z.to_dtype(DType::F32)?.to_vec1()?,
                _ => Vec::new(),
            };
            open.push((placed.placement.layer.clone(), z.iter().filter(|&&z| z != 0.0).count()));
            values.push((placed.placement.layer.clone(), z));
            let units = self.units(&plan, placed.space);
            architecture.push(units.iter().filter(|&&unit| unit == Unit::Computed).count());
        }
        let cost = self.net.cost_of(&plan);
        Ok(Pruned { masks, plan, cost, open, architecture, values })
    }

    /// What becomes of each unit of a space. Its nodes may differ in that: of a sum, one side may be zero where the
    /// other is not, as with a shortcut that is padded with zeros. A unit is computed if it is at one of them; else, if
    /// nothing reads it at one of them, it is unread, and else what it is at the first.
    pub(crate) fn units(&self, plan: &Plan, space: SpaceId) -> Vec<Unit> {
        let mut nodes = (0..self.net.nodes().len()).filter(|&id| self.net.space(id) == space);
        let mut units = nodes.next().map_or(Vec::new(), |first| plan.units(first).to_vec());
        for node in nodes {
            for (unit, &other) in units.iter_mut().zip(plan.units(node)) {
                if other == Unit::Computed || (other == Unit::Unread && *unit != Unit::Computed) {
                    *unit = other;
                }
            }
        }
        units
    }
}

/// What the gates leave of a network at test time.
#[derive(Debug, Clone)]
pub struct Pruned {
    /// The gates' values.
    pub masks: Masks,
    /// Which units are left at every layer.
    pub plan: Plan,
    /// What is left of the cost.
    pub cost: Cost,
    /// For each set of gates its layer and the number of gates that are not 0.
    pub open: Vec<(String, usize)>,
    /// For each set of gates the number of units that are left: open, made of something and read by something.
    pub architecture: Vec<usize>,
    /// For each set of gates its layer and their values.
    pub values: Vec<(String, Vec<f32>)>,
}
