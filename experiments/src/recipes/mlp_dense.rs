//! LeNet-300-100 on MNIST without any regularisation: what the others are measured against.
//!
//! `just reproduce-mnist mlp-dense`

use l0_data::DatasetName;

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    Recipe {
        name: "mlp-dense".into(),
        title: "dense".into(),
        curve: None,
        data: DatasetName::Mnist,
        model: Model::Mlp { sizes: l0_mlp::lenet_300_100(), gating: Gating::Dense },
        training: super::mnist_training(),
        reference: None,
        scaled_down: None,
    }
}
