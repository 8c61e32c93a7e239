//! LeNet-5-Caffe on MNIST without any regularisation: what the others are measured against.
//!
//! `just reproduce-mnist lenet5-dense --seeds 3`. Measured: 0.68 % (three seeds).

use crate::{Gating, Model, Recipe};

/// The row.
pub(super) fn recipe() -> Recipe {
    let model = Model::Lenet5 { sizes: l0_lenet5::lenet5_caffe(), gating: Gating::Dense };
    super::mnist_row("lenet5-dense", "dense", model)
}
