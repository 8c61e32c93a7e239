//! Recipes of the published rows, and what the command line programs share.
//!
//! A [`Recipe`] states every setting of one row in the same order: data, architecture, objective,
//! training. [`recipes`] has a file for
//! each row, headed by its claim. [`session`] turns a recipe and a seed into a run folder.

pub mod architecture;
pub mod artifact;
pub mod asked;
pub mod choice;
pub mod cli;
pub mod config;
pub mod convert;
pub mod described;
pub mod device;
pub mod earlier;
pub mod estimate;
pub mod failures;
pub mod inspect;
pub mod int8;
pub mod latency;
pub mod lineage;
pub mod network_file;
pub mod old;
pub mod onnxruntime;
pub mod onward;
pub mod picture;
pub mod progress;
pub mod prune;
pub mod published;
pub mod reach;
pub mod recipe;
pub mod recipes;
pub mod rows;
pub mod session;
pub mod sweep;

pub use architecture::{Architecture, Gating};
pub use recipe::Recipe;

/// Of all programs: a training step takes and gives back the same memory again and again (docs/decisions/017).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The code of the README and of the guide, compiled and run as documentation tests.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../README.md")]
    mod readme {}
    #[doc = include_str!("../../docs/guide/gate-your-model.md")]
    mod gate_your_model {}
    #[doc = include_str!("../../docs/guide/own-data.md")]
    mod own_data {}
    #[doc = include_str!("../../docs/guide/prune.md")]
    mod prune {}
    #[doc = include_str!("../../docs/guide/price-or-target.md")]
    mod price_or_target {}
    #[doc = include_str!("../../docs/guide/report.md")]
    mod report {}
    #[doc = include_str!("../../docs/guide/export.md")]
    mod export {}
    #[doc = include_str!("../../docs/guide/resume.md")]
    mod resume {}
}
