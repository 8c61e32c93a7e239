//! LeNet-5-Caffe on MNIST held to densities in place of paying for them (Gallego-Posada et al. 2022).
//!
//! `just reproduce-mnist lenet5-con-0.1 lenet5-con-0.5-0.3-0.7-0.1 --seeds 3`. Published: density 0.1, 1.01 % error with 7.75 %
//! of the weights; open gates of the layers 0.5, 0.3, 0.7, 0.1: 0.91 % with 2.35 %.

use l0::{Quantity, Targets};

use crate::Recipe;

/// The rows: everything but the constraint is as in the row with one lambda.
pub(super) fn recipes() -> Vec<Recipe> {
    let held = |targets| super::lenet5_l0::recipe().held_to(targets, Quantity::Params);
    vec![held(Targets::Model(0.1)), held(Targets::Layers(vec![0.5, 0.3, 0.7, 0.1]))]
}
