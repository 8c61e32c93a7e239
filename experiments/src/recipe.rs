//! One row of a table: data, network and training, with every setting.

use anyhow::{Result, ensure};
use l0::{Estimator, L2, Lambda, Network, Quantity, Targets};
use l0_data::{DataSpec, Dataset};
use l0_net::{ClosedMaps, Net, Shape};
use l0_record::Reference;
use l0_train::{Constraint, Optimiser, Schedule, Training};
use serde::{Deserialize, Serialize};

use crate::published;

/// How a network is kept from using all of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Gating {
    /// Not at all.
    Dense,
    /// By dropout.
    Dropout,
    /// By L0 gates.
    L0 {
        /// One lambda for all layers, or one for each.
        lambdas: Vec<Lambda>,
    },
}

/// A network and its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename_all = "snake_case", deny_unknown_fields)]
pub enum Model {
    /// A multilayer perceptron.
    Mlp {
        /// Its sizes.
        sizes: l0_mlp::Config,
        /// Its gates.
        gating: Gating,
    },
    /// A LeNet-5.
    Lenet5 {
        /// Its sizes.
        sizes: l0_lenet5::Config,
        /// Its gates.
        gating: Gating,
    },
    /// A Wide ResNet.
    WideResnet {
        /// Its sizes, and what becomes of its closed maps.
        sizes: l0_wide_resnet::Config,
        /// Its gates.
        gating: Gating,
        /// L2 coefficient of its gated convolutions, before that is raised for gates that may close.
        weight_decay: f64,
        /// Whether the gates feel it.
        #[serde(default, skip_serializing_if = "is_usual")]
        l2: L2,
    },
}

fn is_usual(l2: &L2) -> bool {
    *l2 == L2::default()
}

impl Model {
    /// The network.
    ///
    /// # Errors
    /// If a size is 0 or the number of lambdas does not fit.
    pub fn network(&self) -> Result<Network> {
        Ok(match self {
            Self::Mlp { sizes, gating } => match gating {
                Gating::Dense => l0_mlp::dense(sizes)?,
                Gating::Dropout => l0_mlp::dropout(sizes)?,
                Gating::L0 { lambdas } => l0_mlp::l0(sizes, lambdas)?,
            },
            Self::Lenet5 { sizes, gating } => match gating {
                Gating::Dense => l0_lenet5::dense(sizes)?,
                Gating::Dropout => l0_lenet5::dropout(sizes)?,
                Gating::L0 { lambdas } => l0_lenet5::l0(sizes, lambdas)?,
            },
            Self::WideResnet { sizes, gating, weight_decay, l2 } => match gating {
                Gating::Dense => l0_wide_resnet::dense(sizes)?,
                Gating::Dropout => l0_wide_resnet::dropout(sizes)?,
                Gating::L0 { lambdas } => l0_wide_resnet::l0(sizes, lambdas, *weight_decay, *l2)?,
            },
        })
    }

    /// Checks what can be checked before a network of these sizes is built: they may come from a file.
    fn check_sizes(&self) -> Result<()> {
        let model = serde_json::to_value(self)?;
        let sizes = model["sizes"].as_object().into_iter().flatten();
        for (name, size) in sizes {
            let each = size.as_array().map_or(std::slice::from_ref(size), Vec::as_slice);
            let each: Vec<u64> = each.iter().filter_map(serde_json::Value::as_u64).collect();
            for size in &each {
                ensure!((1..=LARGEST_SIZE).contains(size), "{name} is {size}, expected 1 to {LARGEST_SIZE}");
            }
            let pixels = each.iter().fold(1, |product: u64, size| product.saturating_mul(*size));
            ensure!(name != "image" || pixels <= MOST_PIXELS, "image has {pixels} values, expected 1 to {MOST_PIXELS}");
        }
        if let Gating::L0 { lambdas } = self.gating() {
            for Lambda::PerWeight(lambda) | Lambda::Density(lambda) in lambdas {
                ensure!(lambda.is_finite() && *lambda >= 0.0, "lambda is {lambda}, expected a number of 0 or more");
            }
        }
        Ok(())
    }

    pub(crate) fn gating(&self) -> &Gating {
        let (Self::Mlp { gating, .. } | Self::Lenet5 { gating, .. } | Self::WideResnet { gating, .. }) = self;
        gating
    }

    /// Other lambdas for the gates, in the paper's unit; a network without gates stays as it is.
    fn set_lambdas(&mut self, values: &[f64]) {
        let (Self::Mlp { gating, .. } | Self::Lenet5 { gating, .. } | Self::WideResnet { gating, .. }) = self;
        if let Gating::L0 { lambdas } = gating {
            *lambdas = values.iter().copied().map(Lambda::PerWeight).collect();
        }
    }

    /// How many times narrower a Wide ResNet is than the one whose published gates learn [`GATE_RATE`] times as fast as its
    /// weights; 1 for other networks.
    fn narrowness(&self) -> f64 {
        match self {
            Self::WideResnet { sizes, .. } => GATE_RATE_WIDTH / sizes.width as f64,
            _ => 1.0,
        }
    }

    /// What the name of a row begins with.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::Mlp { .. } => "mlp".into(),
            Self::Lenet5 { .. } => "lenet5".into(),
            Self::WideResnet { sizes, .. } => {
                let classes = if sizes.classes == 10 { String::new() } else { format!("-c{}", sizes.classes) };
                format!("wrn-{}-{}{classes}", sizes.depth, sizes.width)
            }
        }
    }

    /// What a table calls it.
    pub fn title(&self) -> String {
        match self {
            Self::WideResnet { sizes, .. } => format!("{} on CIFAR-{}", self.title_alone(), sizes.classes),
            _ => self.title_alone(),
        }
    }

    /// The same without the data.
    fn title_alone(&self) -> String {
        match self {
            Self::Mlp { sizes, .. } => {
                let (c, h, w) = sizes.image;
                let hidden = sizes.hidden.iter().map(|units| format!("-{units}")).collect::<String>();
                format!("MLP {}{hidden}", c * h * w)
            }
            Self::Lenet5 { sizes, .. } if *sizes == l0_lenet5::lenet5_caffe() => published::LENET5.into(),
            Self::Lenet5 { sizes, .. } => format!("LeNet-5 {}-{}-{}", sizes.maps1, sizes.maps2, sizes.hidden),
            Self::WideResnet { sizes, .. } => {
                let inner = sizes.inner.as_ref().map_or(String::new(), |inner| format!(" ({})", joined(inner, "-")));
                format!("WRN-{}-{}{inner}", sizes.depth, sizes.width)
            }
        }
    }

    /// What published rows of this network are found below, by its [id](crate::published): a Wide ResNet stands for WRN-28-10.
    fn family(&self) -> Option<&'static str> {
        match self {
            Self::Mlp { sizes, .. } => (*sizes == l0_mlp::lenet_300_100()).then_some("mlp"),
            Self::Lenet5 { sizes, .. } => (*sizes == l0_lenet5::lenet5_caffe()).then_some("lenet5"),
            Self::WideResnet { sizes, .. } if sizes.classes == 100 => Some("cifar100"),
            Self::WideResnet { .. } => Some("cifar10"),
        }
    }

    /// The published row of this network held to these shares.
    fn published(&self, targets: &Targets, quantity: Quantity) -> Option<Reference> {
        let shares = match (targets, quantity) {
            (Targets::Model(one), Quantity::Params) => format!("density-{one}"),
            (Targets::Layers(each), _) => format!("layers-{}", joined(each, "-")),
            (Targets::Model(_), Quantity::Macs) => return None,
        };
        published::row(&format!("gallego2022/{}/{shares}", self.family()?))
    }
}

/// Step size of the multipliers, times the epochs: 1e-4 in 200. In a hundredth of the training a density that is 0.5 too
/// high adds 0.06 to its price at 600 steps an epoch, and the price that halves the networks of MNIST is below 1: slow
/// enough for the gates to be chosen while it rises, and fast enough for weights to settle once they are. Where gates learn
/// more slowly than in WRN-28-10, it is faster by as much ([`Model::narrowness`]).
const MULTIPLIER_RATE: f64 = 0.02;

/// Gallego-Posada et al. let the gates of a WRN-28-10 learn 60 times as fast as its weights.
pub(crate) const GATE_RATE: f64 = 60.0;

/// The width they do it at. The fewer maps, the more the loss should hang on each of them and the further a minibatch throw
/// its gate: at this rate, what WRN-16-1 kept of its first blocks showed no order (docs/decisions/042-targets.md).
const GATE_RATE_WIDTH: f64 = 10.0;

/// More units than any layer here has.
const LARGEST_SIZE: u64 = 100_000;

/// More values than any image here has.
const MOST_PIXELS: u64 = 1_000_000;

/// More parameters than any network here has, and as many as fit beside their averages and moments in 32 GB.
const MOST_PARAMETERS: usize = 2_000_000_000;

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
    pub model: Model,
    /// The training.
    pub training: Training,
    /// The published row it repeats.
    pub reference: Option<Reference>,
    /// In what a run is smaller than the published one.
    pub scaled_down: Option<String>,
}

impl Recipe {
    /// The same for fewer or more epochs; fewer is said wherever a run is shown. Gates stand still for the same share of
    /// them, learning rates fall at the same points, and the multipliers of a constraint come as far.
    #[must_use]
    pub fn with_epochs(mut self, epochs: u64) -> Self {
        let before = self.training.epochs.max(1); // a file may say 0, which is refused after this
        if epochs < before {
            self = self.with_caveat(&format!("{epochs} of {before} epochs"));
        }
        let training = &mut self.training;
        training.epochs = epochs;
        let scaled = |at: u64| at.saturating_mul(epochs) / before;
        training.frozen_epochs = scaled(training.frozen_epochs);
        if let Schedule::Steps { after, .. } = &mut training.schedule {
            after.iter_mut().for_each(|at| *at = scaled(*at).max(1)); // not before there was an epoch
        }
        if let Some(constraint) = &mut training.constraint {
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
        matches!(self.model.gating(), Gating::L0 { .. })
    }

    /// The same with other lambdas, in the paper's unit: one for all gated layers or one for each.
    #[must_use]
    pub fn with_lambdas(mut self, lambdas: &[f64]) -> Self {
        self.model.set_lambdas(lambdas);
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
    /// training: what the gates of a Wide ResNet need to close, and its weights to settle once they have.
    #[must_use]
    pub(crate) fn with_fast_gates(self, learning_rate: f64) -> Self {
        let training = Training {
            gate_optimiser: Optimiser::Sgd { learning_rate, momentum: 0.9, nesterov: false },
            frozen_epochs: self.training.epochs / 10,
            ..self.training
        };
        Self { training, ..self }
    }

    /// A Wide ResNet as Gallego-Posada et al. (2022) hold it to a density; others stay as they are. The gates learn faster
    /// than the weights and do not feel the weight decay, which at that speed would be a price of its own, and closed maps
    /// stay zero after their normalisation. Other than there, the gates of a narrower network are slower, and all are chosen
    /// in the first three tenths of the training: in the rest of it the weights that are left learn without their noise.
    fn with_gates_that_close(mut self) -> Self {
        let gate_rate = GATE_RATE * self.training.optimiser.learning_rate() / self.model.narrowness();
        if let Model::WideResnet { sizes, l2, .. } = &mut self.model {
            sizes.closed = ClosedMaps::Zero;
            *l2 = L2::Detached;
            self = self.with_fast_gates(gate_rate);
            self.training.frozen_epochs = 7 * self.training.epochs / 10;
        }
        self
    }

    /// The same with gates that are held to densities in place of being priced. The gates that remain are as many as are
    /// expected to be open, the most probable first, so that the network is as small as was asked.
    #[must_use]
    pub fn held_to(self, targets: Targets, quantity: Quantity) -> Self {
        let base = self.model.short();
        self.held_as(&base, targets, quantity)
    }

    /// The same as [`Recipe::held_to`], with a name that begins otherwise than with the network's.
    #[must_use]
    pub(crate) fn held_as(mut self, base: &str, targets: Targets, quantity: Quantity) -> Self {
        let reference = self.model.published(&targets, quantity);
        self.model.set_lambdas(&[0.0]);
        let learning_rate = MULTIPLIER_RATE / self.training.epochs as f64 * self.model.narrowness();
        self = self.with_gates_that_close();
        let (what, typed, shown) = match (&targets, quantity) {
            (Targets::Layers(each), _) => ("layers", format!("con-{}", joined(each, "-")), joined(each, ", ")),
            (Targets::Model(one), Quantity::Params) => ("density", format!("con-{one}"), one.to_string()),
            (Targets::Model(one), Quantity::Macs) => ("MACs", format!("con-macs-{one}"), one.to_string()),
        };
        let title = format!("constrained L0, {what} {shown}");
        let curve = match what {
            "layers" => None,
            "MACs" => Some(format!("{base}-con-macs")),
            _ => Some(format!("{base}-con")),
        };
        let training = Training {
            estimator: Estimator::TopK,
            constraint: Some(Constraint { targets, quantity, learning_rate, restart: true }),
            ..self.training
        };
        let name = format!("{base}-{typed}");
        Self { name, reference, title, curve, training, ..self }
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
    /// If one is out of its range, there are not as many as layers, the network is not for the images and classes of the
    /// data, or there are no gates to hold to a density; the message says which.
    pub fn check(&self) -> Result<()> {
        self.model.check_sizes()?;
        let network = self.model.network()?;
        if let Some(known) = self.data.known() {
            let (c, h, w) = known.shape();
            self.check_shapes(network.net(), &[c, h, w], known.classes())?;
        }
        let (params, gated) = (network.net().cost().params(), network.gated_units().len());
        ensure!(params <= MOST_PARAMETERS, "the network has {params} parameters, expected 1 to {MOST_PARAMETERS}");
        self.training.check()?;
        if let Some(constraint) = &self.training.constraint {
            ensure!(self.is_gated(), "a constraint holds gates to a density, and this network has none");
            constraint.start(gated)?;
        }
        Ok(())
    }

    /// Checks that the network is for the examples and classes of the data.
    ///
    /// # Errors
    /// If it is for others, as the message says.
    pub fn check_data(&self, data: &Dataset) -> Result<()> {
        self.check_shapes(self.model.network()?.net(), &data.train.dims(), data.train.classes().max(1))
    }

    fn check_shapes(&self, net: &Net, dims: &[usize], classes: usize) -> Result<()> {
        let example = match *dims {
            [c, h, w] => Shape::Image(c, h, w),
            _ => Shape::Features(dims.iter().product()),
        };
        let (found, expected) = ([net.shape(0), net.shape(net.output())], [example, Shape::Features(classes)]);
        let said = |[image, classes]: [Shape; 2]| format!("images of {image}, classes {classes}");
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
        format!("{} on {} ({})", self.model.title_alone(), data.name, digest.get(..8).unwrap_or(digest))
    }

    /// What a table calls the network where it was trained on other data than that of the recipe, told apart by a digest.
    pub(crate) fn network_on_other_data(&self, digest: &str) -> String {
        let short = digest.get(..8).unwrap_or(digest);
        format!("{} on other data than {} ({short})", self.model.title_alone(), self.data.title())
    }

    /// Every setting, for the header of a run.
    pub fn config(&self) -> serde_json::Value {
        serde_json::json!({ "data": self.data, "model": self.model, "training": self.training })
    }
}

fn joined<T: ToString>(values: &[T], separator: &str) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes;

    #[test]
    fn a_row_held_to_densities_is_named_by_them_and_finds_its_published_row() {
        let rows = recipes::mnist();
        let lenet = rows.iter().find(|row| row.name == "lenet5-l0").unwrap().clone();
        let layers = lenet.clone().held_to(Targets::Layers(vec![0.5, 0.3, 0.7, 0.1]), Quantity::Params);
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
            let held = row.clone().held_to(Targets::Model(0.5), Quantity::Params);
            assert_eq!(held, *constrained(&row.model.short()), "{}", row.name);
        }
        let short = constrained("wrn-16-1").clone().with_epochs(5);
        assert_eq!((short.training.frozen_epochs, short.training.constraint.unwrap().learning_rate), (3, 0.04));
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
