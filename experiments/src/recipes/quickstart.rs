//! The gated LeNet-5 on digits that the program draws: a minute, no network, no files.
//!
//! `cargo quickstart`. The lambdas are larger than the paper's and the gates learn faster, because so much is to happen
//! in so few steps.

use l0::Lambda;
use l0_data::DatasetName;
use l0_train::{Optimiser, Training};

use crate::{Gating, Model, Recipe};

/// The recipe.
pub fn recipe() -> Recipe {
    let lambdas = [10.0, 0.5, 0.1, 10.0].map(Lambda::PerWeight).to_vec();
    Recipe {
        name: "quickstart",
        title: "L0, drawn digits",
        data: DatasetName::Digits,
        model: Model::Lenet5 { sizes: l0_lenet5::lenet5_caffe(), gating: Gating::L0 { lambdas } },
        training: Training {
            epochs: 16,
            gate_optimiser: Optimiser::adam(8e-3), // 1,600 steps must move log alpha as far as 120,000 do in the paper
            average: 0.99,                         // an average over 1,000 steps would lag behind
            ..super::mnist_training()
        },
        reference: None,
        scaled_down: None,
    }
}
