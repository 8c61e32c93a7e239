//! LeNet-5-Caffe on MNIST with dropout, 0.5 of the inputs of its linear layers ("dropout network" in Figure 3 of the paper).
//!
//! `just reproduce-mnist lenet5-dropout --seeds 3`. Measured: 0.53 % (three seeds).

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    let model = Model::Lenet5 { sizes: l0_lenet5::lenet5_caffe(), gating: Gating::Dropout };
    super::mnist_row("lenet5-dropout", "dropout", model)
}
