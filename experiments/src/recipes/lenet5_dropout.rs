//! LeNet-5-Caffe on MNIST with dropout, 0.5 of the inputs of its linear layers ("dropout network" in Figure 3 of the paper).
//!
//! `just reproduce-mnist lenet5-dropout`

use l0_data::DatasetName;

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    Recipe {
        name: "lenet5-dropout".into(),
        title: "dropout".into(),
        curve: None,
        data: DatasetName::Mnist,
        model: Model::Lenet5 { sizes: l0_lenet5::lenet5_caffe(), gating: Gating::Dropout },
        training: super::mnist_training(),
        reference: None,
        scaled_down: None,
    }
}
