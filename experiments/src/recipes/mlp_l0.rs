//! LeNet-300-100 on MNIST with gates on the inputs of every layer, one lambda (Louizos et al. 2018, Table 1).
//!
//! `just reproduce-mnist mlp-l0 --seeds 5`. Paper: 1.4 % error, 219-214-100.

use l0_data::DatasetName;

use l0::Lambda;

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    Recipe {
        name: "mlp-l0".into(),
        title: "L0, lambda = 0.1/N".into(),
        curve: None,
        data: DatasetName::Mnist,
        model: Model::Mlp {
            sizes: l0_mlp::lenet_300_100(),
            gating: Gating::L0 { lambdas: vec![Lambda::PerWeight(0.1)] },
        },
        training: super::mnist_training(),
        reference: Some(super::table1("MLP 784-300-100", "L0, lambda = 0.1/N", 1.4, &[219, 214, 100], 26.0, 26.0)),
        scaled_down: None,
    }
}
