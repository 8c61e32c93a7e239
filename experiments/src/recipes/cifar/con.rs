//! A Wide ResNet on CIFAR held to a density in place of paying for it (Gallego-Posada et al. 2022).
//!
//! `just reproduce-cifar wrn-16-1-con-0.5 wrn-16-1-con-0.25`, `just reproduce-cifar --profile paper wrn-28-10-con-0.5`.
//! Published for WRN-28-10 on CIFAR-10: density 0.5, 4.02 % error with 49.2 % of the parameters. As there, a closed map stays
//! zero after its normalisation, and gates learn 60 times as fast as weights.

use l0::{Quantity, Targets};
use l0_net::ClosedMaps;
use l0_train::Training;

use super::{Setting, fast_gates};
use crate::{Model, Recipe};

/// The row.
pub(super) fn recipe(on: &Setting, density: f64) -> Recipe {
    let mut row = on.row("", "", super::l0(0.0));
    if let Model::WideResnet { sizes, .. } = &mut row.model {
        sizes.closed = ClosedMaps::Zero;
    }
    let row = row.held_to(Targets::Model(density), Quantity::Params);
    let training = Training {
        gate_optimiser: fast_gates(row.training.optimiser),
        frozen_epochs: row.training.epochs / 10,
        ..row.training
    };
    Recipe { training, ..row }
}
