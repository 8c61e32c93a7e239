//! The gated LeNet-5 on digits that the program draws: a minute, no network, no files.
//!
//! `cargo quickstart`. An open weight costs lambda / N: with 10,000 images in place of 60,000 the same lambda presses six
//! times as hard, hence smaller ones; and the gates learn faster, because so much is to happen in so few steps.

use l0::Lambda;
use l0_data::DatasetName;
use l0_train::{Optimiser, Training};

use crate::{Gating, Model, Recipe};

/// The recipe.
pub fn recipe() -> Recipe {
    let lambdas = [6.0, 0.25, 0.03, 3.0].map(Lambda::PerWeight).to_vec();
    Recipe {
        name: "quickstart".into(),
        title: "L0, drawn digits".into(),
        curve: None,
        data: DatasetName::Digits,
        model: Model::Lenet5 { sizes: l0_lenet5::lenet5_caffe(), gating: Gating::L0 { lambdas } },
        training: Training {
            epochs: 40,
            gate_optimiser: Optimiser::adam(8e-3), // 4,000 steps must move log alpha as far as 120,000 do in the paper
            average: 0.99,                         // an average over 1,000 steps would lag behind
            ..super::mnist_training()
        },
        reference: None,
        scaled_down: None,
    }
}
