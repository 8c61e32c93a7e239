//! LeNet-300-100 on MNIST without any regularisation: what the others are measured against.
//!
//! `just reproduce-mnist mlp-dense --seeds 5`. Measured: 1.52 % (five seeds).

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    let model = Model::Mlp { sizes: l0_mlp::lenet_300_100(), gating: Gating::Dense };
    super::mnist_row("mlp-dense", "dense", model)
}
