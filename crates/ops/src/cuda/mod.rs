//! The operations on a GPU: our kernels (`kernels.cu`) and cuDNN's convolutions, in `f32` or with activations in bf16.
//!
//! Shapes are those of the CPU, (b, c, h, w), but images lie in memory with their channels last, which tensor cores
//! want: a result is a view of (b, h, w, c). What comes in otherwise, as from one of Candle's operations, is copied
//! first. Activations have one type throughout a pass; parameters, statistics and their gradients are `f32`.

mod conv;
mod graph;
mod launch;
mod linear;
pub(crate) mod lists;
mod loss;
mod norm;
pub(crate) mod open;
mod pointwise;
mod select;
pub(crate) mod serves;
pub(crate) mod sum;
pub(crate) mod update;

pub(crate) use conv::conv2d_epilogue;
pub(crate) use launch::images;
pub(crate) use linear::linear;
pub(crate) use loss::cross_entropy;
pub(crate) use norm::{batch_norm, batch_norm_train, running};
pub(crate) use pointwise::{add, dropout, global_avg_pool, relu};
pub(crate) use select::{select, take};
pub(crate) use serves::serves;
