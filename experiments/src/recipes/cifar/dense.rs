//! A Wide ResNet on CIFAR without gates or dropout (Louizos et al. 2018, Table 2, "WRN-28-10").
//!
//! `just reproduce-cifar wrn-16-1-dense wrn-16-2-dense`; `--profile paper wrn-28-10-dense`. Paper: 4.00 % on CIFAR-10,
//! 21.18 % on CIFAR-100. Measured on CIFAR-10 in 20 epochs, one seed each: WRN-16-1 11.12 %, WRN-16-2 8.47 %.

use super::Setting;
use crate::{Gating, Recipe};

/// The row.
pub(super) fn recipe(on: &Setting) -> Recipe {
    on.row("dense", "dense", Gating::Dense)
}
