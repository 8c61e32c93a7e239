//! A Wide ResNet on CIFAR with a gate on each map of a block's first convolution, lambda = 0.001/N (Louizos et al. 2018,
//! Table 2 and Figure 4).
//!
//! `just reproduce-cifar wrn-16-1-l0-0.001`, `just reproduce-cifar --profile paper wrn-28-10-l0-0.001`. Paper: 3.83 % on CIFAR-10, 18.75 % on
//! CIFAR-100. Measured for WRN-16-1 in 20 epochs: 12.74 % on CIFAR-10 with 99.8 % of the parameters (one seed). Hardly a gate
//! closes: see `cifar`.

use super::Setting;
use crate::Recipe;

/// The row.
pub(super) fn recipe(on: &Setting) -> Recipe {
    on.row("l0-0.001", "L0, lambda = 0.001/N", super::l0(0.001))
}
