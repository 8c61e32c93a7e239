//! LeNet-5-Caffe on MNIST with group gates and one lambda (Louizos et al. 2018, Table 1).
//!
//! `just reproduce-mnist lenet5-l0 --seeds 3`. Paper: 0.9 % error, 20-25-45-462, 8.9 % of the weights.
//! Measured: 0.82 %, 20-28-47-452, 9.4 % (three seeds).

use l0::Lambda;

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    let model = Model::Lenet5 {
        sizes: l0_lenet5::lenet5_caffe(),
        gating: Gating::L0 { lambdas: vec![Lambda::PerWeight(0.1)] },
    };
    super::mnist_row("lenet5-l0", "L0, lambda = 0.1/N", model)
}
