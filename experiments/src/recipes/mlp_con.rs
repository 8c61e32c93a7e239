//! LeNet-300-100 on MNIST held to a density in place of paying for it (Gallego-Posada et al. 2022, Table 3 and appendix).
//!
//! `just reproduce-mnist mlp-con-0.2 --seeds 5`. Published, with Adam at 7e-4 and batches of 128: density 0.2, 2.11 % error
//! with 12.8 % of the weights; 0.35, 1.75 % with 30.1 %.
//! Measured: 0.2, 1.72 % with 20.3 %; 0.35, 1.56 % with 35.0 % (five seeds each).

use l0::{Quantity, Targets};

use crate::Recipe;

/// The rows: everything but the constraint is as in the row with one lambda.
pub(super) fn recipes() -> Vec<Recipe> {
    let at = |density| super::mlp_l0::recipe().held_to(Targets::Model(density), Quantity::Params);
    vec![at(0.2), at(0.35)]
}
