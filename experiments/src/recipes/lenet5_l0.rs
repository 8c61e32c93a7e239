//! LeNet-5-Caffe on MNIST with group gates and one lambda (Louizos et al. 2018, Table 1).
//!
//! `just reproduce-mnist lenet5-l0 --seeds 3`. Paper: 0.9 % error, 20-25-45-462.

use l0_data::DatasetName;

use l0::Lambda;

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    Recipe {
        name: "lenet5-l0".into(),
        title: "L0, lambda = 0.1/N".into(),
        curve: None,
        data: DatasetName::Mnist,
        model: Model::Lenet5 {
            sizes: l0_lenet5::lenet5_caffe(),
            gating: Gating::L0 { lambdas: vec![Lambda::PerWeight(0.1)] },
        },
        training: super::mnist_training(),
        reference: Some(super::table1("LeNet-5-Caffe", "L0, lambda = 0.1/N", 0.9, &[20, 25, 45, 462], 8.9, 48.5)),
        scaled_down: None,
    }
}
