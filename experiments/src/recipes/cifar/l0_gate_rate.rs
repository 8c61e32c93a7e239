//! A small Wide ResNet on CIFAR-10 whose gates close: they learn 60 times as fast as the weights, at a price that counts.
//!
//! `just reproduce-cifar wrn-16-1-l0-gates`. Not in the paper. A map of WRN-16-1 has a tenth of the weights of one of
//! WRN-28-10, and all of them together a 228th, so that the paper's lambda would hardly be felt.
//! Measured: 13.55 % with 42.4 % of the parameters (one seed).

use super::Setting;
use crate::Recipe;
use crate::recipe::GATE_RATE;

/// All gated weights open together add 0.074 to the loss: a constraint that left 52 % of the network ended with a
/// multiplier of 0.08 when its gates felt the weight decay, as they do here.
const LAMBDA: f64 = 0.05;

/// The row.
pub(super) fn recipe(on: &Setting) -> Recipe {
    let rate = GATE_RATE * on.training.optimiser.learning_rate();
    on.row("l0-gates", "L0, lambda = 0.05/N, gates 60 times as fast", super::l0(LAMBDA)).with_fast_gates(rate)
}
