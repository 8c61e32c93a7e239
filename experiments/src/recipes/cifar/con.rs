//! A Wide ResNet on CIFAR held to a density in place of paying for it (Gallego-Posada et al. 2022).
//!
//! `just reproduce-cifar wrn-16-1-con-0.5 wrn-16-1-con-0.25 wrn-16-2-con-0.5`; `--profile paper wrn-28-10-con-0.5`.
//! Published for WRN-28-10 on CIFAR-10: density 0.5, 4.02 % error with 49.2 % of the parameters. As there, a closed map stays
//! zero after its normalisation, and gates learn faster than weights (60 times, in a narrower network less) and do not feel
//! the weight decay; other than there, they learn in the first three tenths of the training only (docs/differences.md).
//! Measured in 20 epochs, one seed each: WRN-16-1 at density 0.5, 13.34 % with 50.0 % of the parameters, at 0.25, 16.24 %
//! with 24.7 %; WRN-16-2 at 0.5, 9.41 % with 50.0 %.

use l0::{Quantity, Targets};

use super::Setting;
use crate::Recipe;

/// The row.
pub(super) fn recipe(on: &Setting, density: f64) -> Recipe {
    on.row("", "", super::l0(0.0)).held_to(Targets::Model(density), Quantity::Params)
}
