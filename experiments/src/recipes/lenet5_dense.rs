//! LeNet-5-Caffe on MNIST without any regularisation: what the others are measured against.
//!
//! `just reproduce-mnist lenet5-dense`

use l0_data::DatasetName;

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    Recipe {
        name: "lenet5-dense".into(),
        title: "dense".into(),
        curve: None,
        data: DatasetName::Mnist,
        model: Model::Lenet5 { sizes: l0_lenet5::lenet5_caffe(), gating: Gating::Dense },
        training: super::mnist_training(),
        reference: None,
        scaled_down: None,
    }
}
