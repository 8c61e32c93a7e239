//! Training operations for Candle that are right and fast on a CPU.
//!
//! Candle's own forms of some operations are wrong (the gradient of max pooling, ReLU'(0)) or slow on a CPU
//! (convolution backward); `docs/differences.md` of the workspace lists them. Every operation here takes and returns
//! ordinary Candle tensors and takes part in Candle's `backward`; [`backward`] does the same with fewer copies.
//!
//! On the CPU in `f32` an operation runs our kernels, and so it does on CUDA, in `f32` or with activations in bf16,
//! where the feature `cuda` is on; anywhere else it is composed of Candle's own right operations (module [`portable`]),
//! with the same results but for rounding. Within [`taped`], gradients on CUDA are taken by [`backward`] alone. Results
//! on the CPU do not depend on the number of threads: work is split into fixed pieces and reduced in a fixed order.
//!
//! A [`Selection`] says which units of a dimension take part. [`select`] takes the chosen rows and columns of a weight,
//! scaled per unit, as one differentiable step: a layer that uses the result computes the sub-block alone, and the
//! gradients come back scattered to the full weight. This is what makes closed gates save time, exactly.

#![allow(unsafe_code)] // also in lanes and int8, else only in tests (docs/architecture.md); clippy asks for a SAFETY comment on each block
#![deny(missing_docs)]

mod backward;
mod chain;
mod channels;
mod check;
mod concat;
mod conv;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod device;
mod framed;
mod gemm;
mod gradients;
mod images;
mod lattice;
mod linear;
mod loops;
mod loss;
mod map;
pub mod math;
mod maxima;
mod norm;
mod parallel;
mod planes;
mod pointwise;
mod pool;
pub mod portable;
mod select;
mod selection;
mod settings;
mod sum;
mod take;
mod tape;
mod tokens;
mod unset;
pub mod update;
mod upsample;
mod upsample_means;
mod window;
mod window_counts;

pub use backward::{backward, backward_all};
pub use channels::{mul, prelu, softmax};
pub use concat::concat;
pub use conv::{conv, conv_transpose, conv2d, conv2d_epilogue};
pub use framed::{pad, stride};
pub use gradients::Gradients;
pub use images::{Placed, images};
pub use linear::{linear, linear_relu};
pub use loss::cross_entropy;
pub use map::{Pointwise, map, map_in_place};
pub use norm::{batch_norm, batch_norm_train, running};
pub use parallel::awake;
pub use pointwise::{add, dropout, dropout_from, relu};
pub use pool::{global_avg_pool, max_pool2d};
pub use select::{select, select_vector};
pub use selection::Selection;
pub use settings::{After, BatchNormed, ConvSettings, Epilogue, Running, TransposedSettings, Window};
pub use take::take;
pub use tape::{taped, to_device};
pub use upsample::{upsample_bilinear, upsample_nearest};
pub use window::{avg_pool, global_max_pool, max_pool};

// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
