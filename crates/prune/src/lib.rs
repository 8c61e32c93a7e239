//! Pruning a network that is trained already: gates on the channels and features that can be left out, which
//! start nearly open, learn which to keep, and are then frozen at what was asked for while the smaller network is
//! fine-tuned.
//!
//! ```no_run
//! use l0_data::ImageFolder;
//! use l0_prune::{Prune, Target};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let data = ImageFolder::open("photos")?.resize(64).split(0.2, 1)?;
//! let (model, about) = l0_net::OnnxReader::new().read_with_about("model.onnx")?;
//! let pruned = Prune::model(model).target(Target::Macs(0.5)).epochs(10).train(&data)?;
//! println!("{pruned}"); // asked for 0.5 of the MACs, got ...; error ... before, error ... now
//! pruned.save("small.safetensors")?; // what was trained and the file give the same logits, or this is an error
//! pruned.save_onnx("small.onnx", &about)?; // input and output are called as they were
//! # Ok(())
//! # }
//! ```
//!
//! [`Prune::plan`] says what a call of [`Prune::train`] will do, as a [`Plan`]: the gated network, its objective and
//! its training, every number of which follows from the steps that there are. Whoever wants a run folder, a progress
//! bar or a resumable run hands that to [`l0_train::run`].

#![deny(missing_docs)]

mod error;
mod gates;
mod latency;
mod normalise;
mod plan;
mod prune;
mod pruned;
mod settings;
mod target;

pub use error::{Error, Result};
pub use gates::ResidualStream;
pub use latency::{Clock, Limit, latencies, latency};
pub use normalise::normalised;
pub use plan::Plan;
pub use prune::Prune;
pub use pruned::{Pruned, read_of};
pub use target::Target;
