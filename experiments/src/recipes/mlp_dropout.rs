//! LeNet-300-100 on MNIST with dropout, 0.2 of the pixels and 0.5 of the hidden units ("dropout network" in Figure 3 of the paper).
//!
//! `just reproduce-mnist mlp-dropout --seeds 5`. Measured: 1.51 % (five seeds).

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    let model = Model::Mlp { sizes: l0_mlp::lenet_300_100(), gating: Gating::Dropout };
    super::mnist_row("mlp-dropout", "dropout", model)
}
