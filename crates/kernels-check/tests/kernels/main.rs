//! Each kernel of `crates/ops/src/cuda/kernels.cu` over a whole grid of blocks, against `l0-ops` on the CPU.
#![allow(unsafe_code)] // the kernels are C

use l0_kernels_check as _; // links them

#[macro_use]
mod launch;
mod numbers;

mod images;
mod loss;
mod norm;
mod pointwise;
mod select;
mod update;
