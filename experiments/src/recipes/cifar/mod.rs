//! Table 2 and Figure 4 of the paper: a file for each row, at the size of a profile.
//!
//! In others' repetitions the paper's recipe keeps nearly every map once its gates are read hard, and so it does here: the
//! price of a map is far too low, and the gates learn as slowly as the weights. So its rows stand beside rows whose gates do
//! close: with a learning rate of their own, and with a density that they are held to.

mod con;
mod dense;
mod dropout;
mod l0_0001;
mod l0_0002;
mod l0_gate_rate;

use l0::{Estimator, L2, Lambda, Sampling};
use l0_data::DatasetName;
use l0_train::{Optimiser, Schedule, Training};
use l0_wide_resnet::{Config, wrn_16_1, wrn_16_2, wrn_28_10};

use crate::{Gating, Model, Recipe};

/// How large the experiments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// WRN-16-1 for 20 epochs, and two rows at twice its width: about four hours on two cores. Scaled down, and said so
    /// wherever a run is shown.
    Cpu,
    /// WRN-28-10 for 50 epochs: five minutes a row on an H100 or H200. Said to be shorter wherever a run is shown.
    Gpu,
    /// WRN-28-10 for 200 epochs, as in the paper: for a GPU and half a day.
    Paper,
}

/// L2 coefficient of everything but the gates.
const WEIGHT_DECAY: f64 = 5e-4;

/// The rows of a profile, in the order of Table 2.
pub fn cifar(profile: Profile) -> Vec<Recipe> {
    match profile {
        Profile::Cpu => rows(&Setting::cpu(wrn_16_1(10))).into_iter().chain(wider()).collect(),
        Profile::Gpu => short(),
        Profile::Paper => [DatasetName::Cifar10, DatasetName::Cifar100].into_iter().flat_map(paper).collect(),
    }
}

fn rows(on: &Setting) -> Vec<Recipe> {
    let rows = [dense::recipe(on), dropout::recipe(on), l0_0001::recipe(on), l0_0002::recipe(on)];
    let own = [l0_gate_rate::recipe(on), con::recipe(on, 0.5), con::recipe(on, 0.25)];
    rows.into_iter().chain(own).collect()
}

/// What half of a network twice as wide loses: WRN-16-1 has little to spare.
fn wider() -> [Recipe; 2] {
    let on = Setting::cpu(wrn_16_2(10));
    [dense::recipe(&on), con::recipe(&on, 0.5)]
}

fn paper(data: DatasetName) -> Vec<Recipe> {
    let on = Setting::paper(data);
    vec![dense::recipe(&on), dropout::recipe(&on), l0_0001::recipe(&on), l0_0002::recipe(&on), con::recipe(&on, 0.5)]
}

/// The rows of the paper's network in a quarter of its epochs, which their names tell from those of all.
fn short() -> Vec<Recipe> {
    let on = Setting::short();
    let rows = [dense::recipe(&on), dropout::recipe(&on), con::recipe(&on, 0.5), con::recipe(&on, 0.25)];
    let named = |row: Recipe| Recipe { name: format!("{}-{}-epochs", row.name, row.training.epochs), ..row };
    rows.into_iter().map(named).collect()
}

/// What the rows of a table share.
struct Setting {
    data: DatasetName,
    sizes: Config,
    training: Training,
    scaled_down: Option<String>,
}

impl Setting {
    /// How the paper trains (section 4.2).
    fn paper(data: DatasetName) -> Self {
        let rate = Optimiser::Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: true };
        let training = Training {
            epochs: 200,
            batch_size: 128,
            optimiser: rate,
            gate_optimiser: rate,
            schedule: Schedule::Steps { after: vec![60, 120, 160], factor: 0.2 },
            weight_decay: WEIGHT_DECAY,
            average: 0.99,
            sampling: Sampling::Minibatch,
            estimator: Estimator::Mean,
            frozen_epochs: 0,
            constraint: None,
        };
        let classes = if data == DatasetName::Cifar100 { 100 } else { 10 };
        Self { data, sizes: wrn_28_10(classes), training, scaled_down: None }
    }

    /// A quarter of the paper's epochs, with one cycle of the learning rate to make the most of them.
    fn short() -> Self {
        let Self { data, sizes, training, .. } = Self::paper(DatasetName::Cifar10);
        let training = Training { epochs: 50, schedule: Schedule::OneCycle { peak: 0.25 }, ..training };
        Self { data, sizes, training, scaled_down: Some("50 epochs in place of 200".into()) }
    }

    /// A tenth of the paper's steps, each with a 176th of the work (WRN-16-2: a 46th): one cycle of the learning rate makes
    /// the most of them.
    fn cpu(sizes: Config) -> Self {
        let Self { data, training, .. } = Self::paper(DatasetName::Cifar10);
        let rate = Optimiser::Sgd { learning_rate: 0.2, momentum: 0.9, nesterov: true };
        let schedule = Schedule::OneCycle { peak: 0.25 };
        let training = Training { epochs: 20, optimiser: rate, gate_optimiser: rate, schedule, ..training };
        let scaled_down =
            Some(format!("WRN-{}-{} for 20 epochs in place of WRN-28-10 for 200", sizes.depth, sizes.width));
        Self { data, sizes, training, scaled_down }
    }

    /// A row; it repeats the published one of this title, if there is one.
    fn row(&self, name: &str, title: &str, gating: Gating) -> Recipe {
        let model =
            Model::WideResnet { sizes: self.sizes.clone(), gating, weight_decay: WEIGHT_DECAY, l2: L2::Attached };
        Recipe {
            name: format!("{}-{name}", model.short()),
            title: title.into(),
            curve: None,
            data: self.data,
            reference: model.published(title),
            model,
            training: self.training.clone(),
            scaled_down: self.scaled_down.clone(),
        }
    }
}

fn l0(lambda: f64) -> Gating {
    Gating::L0 { lambdas: vec![Lambda::PerWeight(lambda)] }
}
