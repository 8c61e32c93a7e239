//! LeNet-300-100 on MNIST with gates on the inputs of every layer, one lambda (Louizos et al. 2018, Table 1).
//!
//! `just reproduce-mnist mlp-l0 --seeds 5`. Paper: 1.4 % error, 219-214-100, 26.0 % of the weights.
//! Measured: 1.45 %, 218-210-100, 25.5 % (five seeds).

use l0::Lambda;

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    let model =
        Model::Mlp { sizes: l0_mlp::lenet_300_100(), gating: Gating::L0 { lambdas: vec![Lambda::PerWeight(0.1)] } };
    super::mnist_row("mlp-l0", "L0, lambda = 0.1/N", model)
}
