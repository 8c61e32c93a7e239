//! LeNet-5-Caffe on MNIST with group gates and a lambda for each layer, (10, 0.5, 0.1, 10) / N (Louizos et al. 2018, Table 1).
//!
//! `just reproduce-mnist lenet5-l0-sep --seeds 3`. Paper: 1.0 % error, 9-18-65-25, 1.4 % of the weights.
//! Measured: 1.02 %, 10-21-63-16, 1.5 % (three seeds).

use l0::Lambda;

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    let model = Model::Lenet5 {
        sizes: l0_lenet5::lenet5_caffe(),
        gating: Gating::L0 { lambdas: [10.0, 0.5, 0.1, 10.0].map(Lambda::PerWeight).to_vec() },
    };
    super::mnist_row("lenet5-l0-sep", "L0, lambda separate", model)
}
