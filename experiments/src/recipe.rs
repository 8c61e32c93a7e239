//! One row of a table: data, architecture, objective and training, with every setting.

use anyhow::{Result, ensure};
use l0::{Constraint, Estimator, Fit, L2, Lambda, Multipliers, Objective, Pressure, Quantity, Targets};
use l0_data::{DataSpec, Dataset};
use l0_net::{ClosedChannels, Net, Shape};
use l0_record::Reference;
use l0_train::{Optimiser, Schedule, Training};
use serde::{Deserialize, Serialize};

use crate::architecture::joined;
use crate::earlier::{StartRow, Taught, check_one_run};
use crate::{Architecture, Gating};

/// Step size of the multipliers, times the epochs: 1e-4 in 200. In a hundredth of the training a density that is 0.5
/// too high adds 0.06 to its price at 600 steps an epoch, and the price that halves the networks of MNIST is below 1:
/// slow enough for the gates to be chosen while it rises, and fast enough to fine-tune weights once they are. Where
/// gates learn more slowly than in WRN-28-10, it is faster by as much ([`Architecture::narrowness`]).
const MULTIPLIER_RATE: f64 = 0.02;

/// Gallego-Posada et al. let the gates of a WRN-28-10 learn 60 times as fast as its weights.
pub(crate) const GATE_RATE: f64 = 60.0;

/// More parameters than any network here has, and as many as fit beside their averages and moments in 32 GB.
const MOST_PARAMETERS: usize = 2_000_000_000;

const NO_OBJECTIVE: &str =
    "this network has gates, and no [objective] says what closes them: give it lambdas or a constraint";

/// A row: what is trained on what, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// As one types it, and as the folder of its runs is called: "lenet5-l0-sep".
    pub name: String,
    /// As a table calls it: "L0, lambda separate".
    pub title: String,
    /// The rows that differ from this one in one number alone, as a curve: "lenet5-con".
    pub curve: Option<String>,
    /// The data.
    pub data: DataSpec,
    /// The network.
    pub architecture: Architecture,
    /// What is optimised beside the loss; of a network with gates alone.
    pub objective: Option<Objective>,
    /// The training.
    pub training: Training,
    /// The row whose networks it begins with, in place of random values.
    pub start: Option<StartRow>,
    /// The row whose networks it learns from beside the labels.
    pub teacher: Option<Taught>,
    /// The published row it repeats.
    pub reference: Option<Reference>,
    /// In what a run is smaller than the published one.
    pub scaled_down: Option<String>,
}

impl Recipe {
    /// The same for fewer or more epochs; fewer is said wherever a run is shown. Gates stand still for the same share
    /// of them, for one at least where they do at all and there is another to learn in, learning rates fall at the same
    /// points, and the multipliers of a constraint come as far.
    #[must_use]
    pub fn with_epochs(mut self, epochs: u64) -> Self {
        let before = self.training.epochs.max(1); // a file may say 0, which is refused after this
        if epochs < before {
            self = self.with_caveat(&format!("{epochs} of {before} epochs"));
        }
        let training = &mut self.training;
        training.epochs = epochs;
        let scaled = |at: u64| at.saturating_mul(epochs) / before;
        let (frozen, learn) = (training.frozen_epochs, training.frozen_epochs < before);
        let most = if learn { epochs.saturating_sub(1) } else { u64::MAX };
        training.frozen_epochs = scaled(frozen).max(u64::from(frozen > 0)).min(most);
        self.start = self.start.map(|start| start.with_epochs(before, epochs));
        self.teacher = self.teacher.map(|teacher| teacher.with_epochs(before, epochs));
        if let Schedule::Steps { after, .. } = &mut training.schedule {
            after.iter_mut().for_each(|at| *at = scaled(*at).max(1)); // not before there was an epoch
        }
        if let Some(Pressure::Constraint(constraint)) = self.objective.as_mut().map(|objective| &mut objective.gates) {
            constraint.learning_rate *= before as f64 / epochs as f64;
        }
        self
    }

    /// The same with one thing more in which it is less than what it stands for, to be said wherever a run is shown.
    #[must_use]
    pub(crate) fn with_caveat(mut self, caveat: &str) -> Self {
        self.scaled_down = Some(self.scaled_down.map_or(caveat.into(), |before| format!("{before}; {caveat}")));
        self
    }

    /// Whether there are gates, to price or to hold to a density.
    pub fn is_gated(&self) -> bool {
        self.architecture.gating() == Gating::L0
    }

    /// The same with other lambdas, in the paper's unit: one for all gated layers or one for each.
    #[must_use]
    pub fn with_lambdas(mut self, lambdas: &[f64]) -> Self {
        let priced = lambdas.iter().copied().map(Lambda::PerWeight).collect();
        self.objective = self.objective.map(|objective| Objective { gates: Pressure::Price(priced), ..objective });
        let (curve, values) = (format!("{}-lambda", self.name), joined(lambdas, "-"));
        Self {
            name: format!("{curve}-{values}"),
            title: match lambdas {
                [one] => format!("L0, lambda = {one}/N"),
                each => format!("L0, lambda = ({})/N", joined(each, ", ")),
            },
            curve: Some(curve),
            reference: None,
            ..self
        }
    }

    /// The same with gates that learn at this rate, more than the weights', and stand still in the last tenth of the
    /// training: what the gates of a Wide ResNet need to close, and its weights to be fine-tuned once they have.
    #[must_use]
    pub(crate) fn with_fast_gates(self, learning_rate: f64) -> Self {
        let training = Training {
            gate_optimiser: Optimiser::Sgd { learning_rate, momentum: 0.9, nesterov: false },
            frozen_epochs: self.training.epochs / 10,
            ..self.training
        };
        Self { training, ..self }
    }

    /// A Wide ResNet as Gallego-Posada et al. (2022) hold it to a density; others stay as they are. The gates learn
    /// faster than the weights and do not feel the weight decay, which at that speed would be a price of its own, and
    /// closed maps stay zero after their normalisation. Other than there, the gates of a narrower network are slower,
    /// and all are chosen in the first three tenths of the training: in the rest of it the weights that are left learn
    /// without their noise.
    fn with_gates_that_close(mut self) -> Self {
        let gate_rate = GATE_RATE * self.training.optimiser.learning_rate() / self.architecture.narrowness();
        if let Architecture::WideResnet { sizes, .. } = &mut self.architecture {
            sizes.closed = ClosedChannels::Zero;
            let weight_decay = self.training.weight_decay;
            self.objective = self.objective.map(|objective| Objective { l2: L2::Detached, weight_decay, ..objective });
            self = self.with_fast_gates(gate_rate);
            self.training.frozen_epochs = 7 * self.training.epochs / 10;
        }
        self
    }

    /// The same with gates that are held to densities in place of being priced. The gates that remain are as many as
    /// are expected to be open, the most probable first, so that the network is as small as was asked.
    #[must_use]
    pub fn held_to(self, targets: Targets, quantity: Quantity) -> Self {
        let base = self.architecture.short();
        self.held_as(&base, targets, quantity)
    }

    /// The same as [`Recipe::held_to`], with a name that begins otherwise than with the network's.
    #[must_use]
    pub(crate) fn held_as(mut self, base: &str, targets: Targets, quantity: Quantity) -> Self {
        let reference = self.architecture.published(&targets, quantity);
        let own = self.objective.as_ref().and_then(Objective::constraint).cloned();
        if own.is_none() {
            self = self.with_gates_that_close();
        }
        let (what, typed, shown) = match (&targets, quantity) {
            (Targets::Layers(each), _) => ("layers", format!("con-{}", joined(each, "-")), joined(each, ", ")),
            (Targets::Model(one), Quantity::Weights) => ("density", format!("con-{one}"), one.to_string()),
            (Targets::Model(one), Quantity::Macs) => ("MACs", format!("con-macs-{one}"), one.to_string()),
        };
        let title = format!("constrained L0, {what} {shown}");
        let curve = match what {
            "layers" => None,
            "MACs" => Some(format!("{base}-con-macs")),
            _ => Some(format!("{base}-con")),
        };
        // A row that is held to a density already stays the row it is, but for the density.
        let learning_rate = MULTIPLIER_RATE / self.training.epochs as f64 * self.architecture.narrowness();
        let usual = Constraint::new(targets.clone(), quantity, learning_rate);
        let estimator = if own.is_some() { self.training.estimator } else { Estimator::TopK };
        let constraint = Constraint { targets, quantity, ..own.unwrap_or(usual) };
        let is_filled = matches!(constraint.fit, Fit::Fill(_)); // top-k would rank again what was chosen
        let gates = Pressure::Constraint(constraint);
        let objective = self.objective.map(|objective| Objective { gates, ..objective });
        let first = if is_filled { estimator } else { Estimator::TopK };
        let training = Training { estimator: first, ..self.training };
        let name = format!("{base}-{typed}");
        Self { name, reference, title, curve, objective, training, ..self }.read_by(estimator)
    }

    /// The same with gates that are lowered to their target, of which the estimator top-k chooses, in place of ones that
    /// are filled in.
    pub(crate) fn lowered(mut self) -> Self {
        if let Some(Pressure::Constraint(constraint)) = self.objective.as_mut().map(|objective| &mut objective.gates) {
            constraint.fit = Fit::Lower;
        }
        self
    }

    /// The same with another value of the gates at test time; training does not change.
    #[must_use]
    pub fn read_by(mut self, estimator: Estimator) -> Self {
        if estimator != self.training.estimator {
            self.name = format!("{}-{estimator}", self.name);
            self.title = format!("{}, {estimator} gates", self.title);
            self.training.estimator = estimator;
        }
        self
    }

    /// Checks every number.
    ///
    /// # Errors
    /// If one is out of its range, there are not as many as layers, the network is not for the images and classes of
    /// the data, or there are gates without an objective, or an objective without gates; the message says which.
    pub fn check(&self) -> Result<()> {
        self.architecture.check_sizes()?;
        let network = self.architecture.network()?;
        if let Some(known) = self.data.known() {
            let (c, h, w) = known.shape();
            self.check_shapes(network.net(), &[c, h, w], known.classes())?;
        }
        let params = network.net().cost().params();
        ensure!(params <= MOST_PARAMETERS, "the network has {params} parameters, expected 1 to {MOST_PARAMETERS}");
        self.training.check()?;
        self.start.as_ref().map_or(Ok(()), StartRow::check)?;
        check_one_run(self.start.as_ref(), self.teacher.as_ref())?;
        self.teacher.as_ref().map_or(Ok(()), Taught::check)?;
        match &self.objective {
            Some(objective) => {
                ensure!(self.is_gated(), "an [objective] closes gates, and this network has none");
                objective.penalties(&network, 1)?;
                objective.constraint().map(|constraint| Multipliers::new(constraint, network.sets())).transpose()?;
                self.training.check_with(objective)?;
            }
            None => ensure!(!self.is_gated(), NO_OBJECTIVE),
        }
        Ok(())
    }

    /// Checks that the network is for the examples and classes of the data.
    ///
    /// # Errors
    /// If it is for others, as the message says.
    pub fn check_data(&self, data: &Dataset) -> Result<()> {
        self.check_shapes(self.architecture.network()?.net(), &data.train.dims(), data.train.classes().max(1))
    }

    fn check_shapes(&self, net: &Net, dims: &[usize], classes: usize) -> Result<()> {
        let example = Shape::of_example(dims);
        let (found, expected) = ([net.shape(0), net.shape(net.output())], [example, Shape::Features(classes)]);
        let said = |[example, outputs]: [Shape; 2]| match example {
            Shape::Image(..) => format!("images of {example}, classes {outputs}"),
            Shape::Features(_) => format!("rows of {example}, outputs {outputs}"),
        };
        ensure!(found == expected, "the network is for {}; {} has {}", said(found), self.data, said(expected));
        Ok(())
    }

    /// The same on other data. It repeats no published row then, and has a name of its own.
    #[must_use]
    pub fn on(self, data: DataSpec) -> Self {
        if data == self.data {
            return self;
        }
        let (from, to) = (format!("-on-{}", self.data.short()), data.short());
        let name = format!("{}-on-{to}", self.name.strip_suffix(&from).unwrap_or(&self.name));
        let curve = self.curve.map(|curve| format!("{curve}-on-{to}"));
        Self { name, curve, data, reference: None, scaled_down: None, ..self }
    }

    /// What a table calls the network where it was trained on data of somebody's own.
    pub(crate) fn network_on(&self, data: &Dataset, digest: &str) -> String {
        format!("{} on {} ({})", self.architecture.title_alone(), data.name, digest.get(..8).unwrap_or(digest))
    }

    /// What a table calls the network where it was trained on other data than that of the recipe, told apart by a
    /// digest.
    pub(crate) fn network_on_other_data(&self, digest: &str) -> String {
        let short = digest.get(..8).unwrap_or(digest);
        format!("{} on other data than {} ({short})", self.architecture.title_alone(), self.data.title())
    }

    /// Every setting, for the header of a run.
    pub fn config(&self) -> serde_json::Value {
        let Self { architecture, objective, training, start, teacher, .. } = self.clone();
        let data = serde_json::to_value(&self.data).unwrap_or_default();
        serde_json::json!(Settings { data, architecture, objective, training, start, teacher })
    }
}

/// What the header of a run keeps of its recipe beside names.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) data: serde_json::Value,
    pub(crate) architecture: Architecture,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) objective: Option<Objective>,
    pub(crate) training: Training,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<StartRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) teacher: Option<Taught>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes;

    #[test]
    fn a_row_held_to_densities_is_named_by_them_and_finds_its_published_row() {
        let rows = recipes::mnist();
        let lenet = rows.iter().find(|row| row.name == "lenet5-l0").unwrap().clone();
        let layers = lenet.clone().held_to(Targets::Layers(vec![0.5, 0.3, 0.7, 0.1]), Quantity::Weights);
        assert_eq!(layers.name, "lenet5-con-0.5-0.3-0.7-0.1");
        assert_eq!(layers.reference.as_ref().unwrap().error_percent, Some(0.91));
        let again = layers.clone().read_by(Estimator::TopK);
        assert_eq!(again, layers);
        let median = layers.clone().read_by(Estimator::Median);
        assert_eq!(median.name, "lenet5-con-0.5-0.3-0.7-0.1-median");
        assert_eq!(median.reference, layers.reference);
        let macs = lenet.with_epochs(4).held_to(Targets::Model(0.25), Quantity::Macs);
        assert_eq!((macs.name.as_str(), macs.title.as_str()), ("lenet5-con-macs-0.25", "constrained L0, MACs 0.25"));
        assert_eq!((macs.training.estimator, macs.reference), (Estimator::TopK, None));
    }

    #[test]
    fn every_gated_wide_resnet_held_to_a_density_is_the_same_row() {
        let rows = recipes::cifar(recipes::Profile::Cpu);
        let constrained = |short: &str| rows.iter().find(|row| row.name == format!("{short}-con-0.5")).unwrap();
        for row in rows.iter().filter(|row| row.is_gated()) {
            let held = row.clone().held_to(Targets::Model(0.5), Quantity::Weights);
            assert_eq!(held, *constrained(&row.architecture.short()), "{}", row.name);
        }
        let short = constrained("wrn-16-1").clone().with_epochs(5);
        assert_eq!(
            (short.training.frozen_epochs, short.objective.unwrap().constraint().unwrap().learning_rate),
            (3, 0.04)
        );
    }

    #[test]
    fn a_row_of_few_epochs_has_one_of_either_phase_as_long_as_it_has_two() {
        let row = recipes::named("resnet20-pruned-macs-0.5").unwrap();
        let frozen = |row: &Recipe, epochs| row.clone().with_epochs(epochs).training.frozen_epochs;
        assert_eq!([60, 5, 2, 1, 0].map(|epochs| frozen(&row, epochs)), [48, 4, 1, 0, 0]);
        let error = row.clone().with_epochs(1).check().unwrap_err().to_string();
        assert!(error.starts_with("frozen_epochs is 0, expected 1 or more, and so 2 epochs or more: "), "{error}");
        let late = Training { frozen_epochs: 2, ..row.training.clone() };
        assert_eq!(frozen(&Recipe { training: late, ..row.clone() }, 10), 1);
        let scratch = Training { frozen_epochs: 60, ..row.training.clone() };
        assert_eq!([90, 1].map(|epochs| frozen(&Recipe { training: scratch.clone(), ..row.clone() }, epochs)), [90, 1]);
        let free = Training { frozen_epochs: 0, ..row.training.clone() };
        assert_eq!(frozen(&Recipe { training: free, ..row }, 7), 0);
    }

    #[test]
    fn a_row_of_a_constrained_recipes_name_is_that_recipe() {
        let all = recipes::all();
        let is_first = |row: &&Recipe| row.is_gated() && row.start.is_none() && row.teacher.is_none(); // others keep their name
        let mut compared = Vec::new();
        for row in all.iter().filter(is_first) {
            for known in &all {
                let constraint = known.objective.as_ref().and_then(Objective::constraint).cloned();
                let Some(Constraint { targets, quantity, .. }) = constraint else { continue };
                let held = row.clone().held_to(targets, quantity);
                if held.name == known.name && held.training.epochs == known.training.epochs {
                    compared.push(format!("{} as {}", row.name, known.name));
                    assert_eq!(held.config(), known.config(), "{} held as {}", row.name, known.name);
                    assert_eq!(held.curve, known.curve);
                }
            }
        }
        let one = "resnet20-con-macs-0.5 as resnet20-con-macs-0.33".to_string();
        assert!(compared.contains(&one), "{compared:?}");
    }

    #[test]
    fn learning_rates_fall_at_the_same_points_of_fewer_epochs() {
        let rows = recipes::cifar(recipes::Profile::Paper);
        let falls = |epochs| match rows[0].clone().with_epochs(epochs).training.schedule {
            Schedule::Steps { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!((falls(200), falls(50), falls(1)), (vec![60, 120, 160], vec![15, 30, 40], vec![1, 1, 1]));
    }

    #[test]
    fn names_tell_rows_apart() {
        let mut names: Vec<String> = recipes::all().into_iter().map(|row| row.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
