//! A file for each published row; two of them differ in the lines that make the rows different.

mod cifar;
mod lenet5_con;
mod lenet5_dense;
mod lenet5_dropout;
mod lenet5_l0;
mod lenet5_l0_sep;
mod mlp_con;
mod mlp_dense;
mod mlp_dropout;
mod mlp_l0;
mod mlp_l0_sep;
mod quickstart;

use l0::{Estimator, Sampling};
use l0_data::DatasetName;
use l0_train::{Optimiser, Schedule, Training};

use crate::{Model, Recipe};

pub use cifar::{Profile, cifar};
pub use quickstart::recipe as quickstart;

/// The rows of Table 1 of the paper, in the order of `just reproduce-mnist`.
pub fn mnist() -> Vec<Recipe> {
    let mlp = [mlp_dense::recipe(), mlp_dropout::recipe(), mlp_l0::recipe(), mlp_l0_sep::recipe()];
    let lenet5 = [lenet5_dense::recipe(), lenet5_dropout::recipe(), lenet5_l0::recipe(), lenet5_l0_sep::recipe()];
    mlp.into_iter().chain(mlp_con::recipes()).chain(lenet5).chain(lenet5_con::recipes()).collect()
}

/// Every recipe that can be named on a command line.
pub fn all() -> Vec<Recipe> {
    let mut all = mnist();
    all.extend([Profile::Cpu, Profile::Gpu, Profile::Paper].into_iter().flat_map(cifar));
    all.push(quickstart::recipe());
    all
}

/// How the paper trains on MNIST (section 4.1).
fn mnist_training() -> Training {
    Training {
        epochs: 200,
        batch_size: 100,
        optimiser: Optimiser::adam(1e-3),
        gate_optimiser: Optimiser::adam(1e-3),
        schedule: Schedule::Constant,
        weight_decay: 0.0,
        average: 0.999,
        sampling: Sampling::Minibatch,
        estimator: Estimator::Mean,
        frozen_epochs: 0,
        constraint: None,
    }
}

/// A row on MNIST; it repeats the published one of this title, if there is one.
fn mnist_row(name: &str, title: &str, model: Model) -> Recipe {
    Recipe {
        name: name.into(),
        title: title.into(),
        curve: None,
        data: DatasetName::Mnist,
        reference: model.published(title),
        model,
        training: mnist_training(),
        scaled_down: None,
    }
}
