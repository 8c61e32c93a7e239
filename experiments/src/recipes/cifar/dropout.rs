//! A Wide ResNet on CIFAR with dropout, 0.3, between the convolutions of a block (Louizos et al. 2018, Table 2 and Figure 4).
//!
//! `just reproduce-cifar wrn-16-1-dropout`, `just reproduce-cifar --profile paper wrn-28-10-dropout`. Paper: 3.89 % on
//! CIFAR-10, 18.85 % on CIFAR-100. Measured for WRN-16-1 in 20 epochs: 13.39 % on CIFAR-10 (one seed), above the dense
//! network: one so small, trained so shortly, does not overfit.

use super::Setting;
use crate::{Gating, Recipe};

/// The row.
pub(super) fn recipe(on: &Setting) -> Recipe {
    on.row("dropout", "dropout", Gating::Dropout)
}
