//! LeNet-300-100 on MNIST with dropout, 0.2 of the pixels and 0.5 of the hidden units ("dropout network" in Figure 3 of the paper).
//!
//! `just reproduce-mnist mlp-dropout`

use l0_data::DatasetName;

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    Recipe {
        name: "mlp-dropout".into(),
        title: "dropout".into(),
        curve: None,
        data: DatasetName::Mnist,
        model: Model::Mlp { sizes: l0_mlp::lenet_300_100(), gating: Gating::Dropout },
        training: super::mnist_training(),
        reference: None,
        scaled_down: None,
    }
}
