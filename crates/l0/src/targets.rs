//! What a target asks of the gates of a network: what is left of it, what can be left at least, and how a network is
//! brought within it.

use candle_core::Tensor;
use l0_net::{Cost, Plan, Weights};

use crate::gate::LOG_ALPHA_RANGE;
use crate::placement::Placed;
use crate::{Constraint, Error, Estimator, Fit, GatedNet, Quantity, Result, Targets};

/// Halvings of a range of log α of 9.2 until what is left is less than gates differ by.
const HALVINGS: usize = 30;

impl GatedNet {
    /// Checks that a network with so few open gates exists: one whose output still depends on its input.
    ///
    /// # Errors
    /// If a target is below what the smallest such network keeps, or there is not one target for each
    /// set of gates.
    pub fn check_targets(&self, constraint: &Constraint) -> Result<()> {
        if constraint.targets.are_of_layers() {
            return self.check_each(&constraint.targets, constraint.fit.multiple());
        }
        let least = self.least_share(constraint)?;
        match constraint.targets.each().iter().find(|&&target| target < least) {
            Some(&target) => Err(Error::Target { target, of: constraint.quantity.plural().into(), least }),
            None => Ok(()),
        }
    }

    /// Checks targets of layers: those below one gate close all of theirs, which other branches may make up for.
    fn check_each(&self, targets: &Targets, multiple: usize) -> Result<()> {
        self.one_for_each("targets", targets.each().len())?;
        let mut open = self.fewest(multiple);
        for (index, (placed, &target)) in self.gates.iter().zip(targets.each()).enumerate() {
            let least = open[index] as f64 / placed.units as f64;
            open[index] = if target >= least { open[index] } else { 0 };
            if open[index] == 0 && self.is_constant(&self.first_open(&open)?) {
                return Err(Error::Target { target, of: format!("gates of {:?}", placed.placement.layer), least });
            }
        }
        Ok(())
    }

    /// As few gates of each set as can be open together.
    fn fewest(&self, multiple: usize) -> Vec<usize> {
        self.gates.iter().map(|placed| multiple.clamp(1, placed.units.max(1))).collect()
    }

    /// The share of the network that a constraint on the model bounds, of one with as few open gates as keep its output
    /// from being constant: of each set the first gate, or the first ones that open together, or none. Of branches that
    /// can stand for each other, the dearest are closed first.
    ///
    /// # Errors
    /// None in practice.
    pub fn least_share(&self, constraint: &Constraint) -> Result<f64> {
        Ok(self.smallest(constraint)?.1)
    }

    /// That network, as how many gates of each set are open, and its share.
    pub(crate) fn smallest(&self, constraint: &Constraint) -> Result<(Vec<usize>, f64)> {
        let quantity = constraint.quantity;
        let mut open = self.fewest(constraint.fit.multiple());
        let mut least = self.share(&self.net.cost_of(&self.first_open(&open)?), quantity);
        loop {
            let mut cheapest: Option<(usize, f64)> = None;
            for index in (0..open.len()).filter(|&index| open[index] > 0) {
                let mut tried = open.clone();
                tried[index] = 0;
                let plan = self.first_open(&tried)?;
                let share = self.share(&self.net.cost_of(&plan), quantity);
                if !self.is_constant(&plan) && cheapest.is_none_or(|(_, other)| share < other) {
                    cheapest = Some((index, share));
                }
            }
            let Some((index, share)) = cheapest else { return Ok((open, least)) };
            (open[index], least) = (0, share);
        }
    }

    /// The share of the network that is left with the first so many gates of each set open.
    ///
    /// # Errors
    /// If there is not one number for each set.
    pub fn share_with(&self, open: &[usize], quantity: Quantity) -> Result<f64> {
        self.one_for_each("numbers of open gates", open.len())?;
        Ok(self.share(&self.net.cost_of(&self.first_open(open)?), quantity))
    }

    /// Whether nothing of the input reaches the output.
    pub(crate) fn is_constant(&self, plan: &Plan) -> bool {
        plan.kept(self.net.output()).is_empty()
    }

    /// What is left with the first so many gates of each set open.
    fn first_open(&self, open: &[usize]) -> Result<Plan> {
        let first = |(placed, &open): (&Placed, &usize)| (0..placed.units).map(|unit| unit < open).collect();
        self.plan_of(&self.gates.iter().zip(open).map(first).collect::<Vec<_>>())
    }

    /// The share of a whole that a cost is.
    pub(crate) fn share(&self, left: &Cost, quantity: Quantity) -> f64 {
        let full = self.net.cost();
        match quantity {
            Quantity::Weights => left.weights() as f64 / full.weights() as f64,
            Quantity::Macs => left.macs() as f64 / full.macs() as f64,
        }
    }

    /// What is left at test time of what a constraint bounds, as in [`GatedNet::densities`].
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn shares_left(&self, weights: &Weights, constraint: &Constraint, estimator: Estimator) -> Result<Vec<f64>> {
        let pruned = self.pruned(weights, estimator)?;
        if constraint.targets.are_of_layers() {
            let share = |(placed, (_, open)): (&Placed, &(String, usize))| *open as f64 / placed.units as f64;
            return Ok(self.gates.iter().zip(&pruned.open).map(share).collect());
        }
        Ok(vec![self.share(&pruned.cost, constraint.quantity)])
    }

    /// The same values with what is left at test time brought within the constraint, as its [`Fit`] says.
    ///
    /// [`Fit::Lower`] lowers every log α by as little as it takes: by one amount for a bound on the model, by one for
    /// each layer for bounds on layers. The gates of a layer stay in their order, so that those go which were least
    /// likely to stay (those that meet at the lowest value are alike). [`Fit::Fill`] opens as many gates as fit, the
    /// likeliest of the network first, or of each set the same share, and closes the others; an open one keeps its
    /// value, but is half open at least. Ranked globally, sets that would lose few gates keep all of them, where the
    /// fit says so.
    /// Nothing is changed for a bound that does not hold with all gates closed, or only with a network whose output is
    /// constant.
    ///
    /// # Errors
    /// If a parameter is missing, there are bounds on layers, and not as many as sets of gates, or gates are to be
    /// filled in multiples of 0, or read by [`Estimator::TopK`], which would rank them again.
    pub fn brought_within(&self, weights: &Weights, constraint: &Constraint, estimator: Estimator) -> Result<Weights> {
        match constraint.fit {
            Fit::Lower => self.lowered_within(weights, constraint, estimator),
            Fit::Fill(filling) => self.filled(weights, constraint, estimator, &filling),
        }
    }

    fn lowered_within(&self, weights: &Weights, constraint: &Constraint, estimator: Estimator) -> Result<Weights> {
        if constraint.targets.are_of_layers() {
            self.one_for_each("targets", constraint.targets.each().len())?;
        }
        let mut within = weights.clone();
        for (index, &target) in constraint.targets.each().iter().enumerate() {
            let gates = if constraint.targets.are_of_layers() { &self.gates[index..=index] } else { &self.gates[..] };
            let holds = |weights: &Weights| -> Result<bool> {
                Ok(self.shares_left(weights, constraint, estimator)?[index] <= target)
            };
            let (mut low, mut high) = (0.0, LOG_ALPHA_RANGE.1 - LOG_ALPHA_RANGE.0);
            let mut lowered = lowered_by(&within, gates, high)?;
            if holds(&within)? || !holds(&lowered)? {
                continue;
            }
            for _ in 0..HALVINGS {
                let middle = 0.5 * (low + high);
                let tried = lowered_by(&within, gates, middle)?;
                if holds(&tried)? {
                    (high, lowered) = (middle, tried);
                } else {
                    low = middle;
                }
            }
            let masks = self.test_masks(&lowered, estimator)?;
            if !self.net.compact(&lowered, &masks)?.is_constant()? {
                within = lowered;
            }
        }
        Ok(within)
    }

    /// The same values with the log α of each set of gates lowered by as much as `amounts` says, within its range: what
    /// a training that moves no further can leave, whatever it does.
    ///
    /// # Errors
    /// If there are not as many amounts as sets of gates.
    pub fn lowered(&self, weights: &Weights, amounts: &[f64]) -> Result<Weights> {
        self.one_for_each("amounts", amounts.len())?;
        let mut each = self.gates.iter().zip(amounts);
        each.try_fold(weights.clone(), |weights, (gate, &by)| lowered_by(&weights, std::slice::from_ref(gate), by))
    }
}

/// The same values with the log α of some gates lowered by `amount`, within their range.
fn lowered_by(weights: &Weights, gates: &[Placed], amount: f64) -> Result<Weights> {
    let names: Vec<String> = gates.iter().map(Placed::parameter).collect();
    let (lowest, highest) = LOG_ALPHA_RANGE;
    let lower = |(name, value): (&str, &Tensor)| match names.iter().any(|gate| gate == name) {
        true => (value.detach() - amount)?.clamp(lowest, highest),
        false => Ok(value.clone()),
    };
    Ok(weights.with(weights.iter().map(lower).collect::<candle_core::Result<Vec<Tensor>>>()?)?)
}
