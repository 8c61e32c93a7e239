//! A network described once.
//!
//! A [`Net`] is a small graph of layers, written as a chain with a [`Builder`]. Everything else is derived from that
//! one description: its parameters and their initial values ([`Params`]), the forward pass with any space of units
//! masked ([`Net::forward`]), its cost ([`Net::cost`]), a table ([`Net::summary`]), and what is left of it as a smaller
//! plain network ([`Net::compact`]), verified to be equal ([`Agreement`]) and kept in files that describe themselves
//! ([`Model::save`]).
//!
//! Every edge of the graph carries a *space* of units: features, or channels of an image. A mask scales each unit of a
//! space where the space is made (by the input, a linear layer, a convolution or a flattening); a unit scaled by 0 is
//! not computed at all, nor is a unit that no later layer reads. [`Plan`] holds which units are left at every layer;
//! the forward pass takes that sub-block of each weight and runs the small network, and the gradients come back in full
//! size.
//!
//! This crate knows masks, not where they come from.
//!
//! ```
//! use l0_net::{Builder, Layer, Masks, Mode, Params};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut b = Builder::image("input", 1, 28, 28);
//! b.conv2d("conv1", 20, 5).relu().max_pool2d(2).flatten("features").linear("fc", 10);
//! let net = b.build()?;
//! let params = Params::init(&net, 1, &candle_core::Device::Cpu)?;
//! let xs = candle_core::Tensor::zeros((3, 1, 28, 28), candle_core::DType::F32, &candle_core::Device::Cpu)?;
//! let ys = net.forward(&params.weights(), &xs, &Masks::none(&net), Mode::Eval)?.ys;
//! assert_eq!(ys.dims(), [3, 10]);
//! assert_eq!(net.cost().weights(), 20 * 25 + 20 * 144 * 10);
//! # Ok(())
//! # }
//! ```

mod agreement;
mod builder;
mod chain;
mod compact;
mod cost;
mod coupling;
mod error;
mod file;
mod forward;
mod geometry;
mod grid;
mod import;
mod int8;
mod int8_layers;
pub mod layers;
mod masks;
mod net;
mod onnx;
mod params;
mod pattern;
mod place;
mod plan;
mod prunable;
mod rename;
mod shape;
mod space;
mod summary;
mod weights;

pub use agreement::Agreement;
pub use builder::Builder;
pub use chain::Chain;
pub use compact::{Kept, Model};
pub use cost::{Cost, ExpectedCost, LayerCost, Probabilities};
pub use coupling::Unprunable;
pub use error::{Error, Result};
pub use file::{Card, Existing, FileProblem, GatedModel, Kind, read_card, write_file};
pub use forward::{Mode, Output, StatisticsUpdate};
pub use geometry::{Pair, Sides};
pub use grid::Grid;
pub use import::Import;
pub use int8::Int8Weights;
pub use layers::{Activation, ClosedChannels, Layer, Margins};
pub use masks::{Mask, Masks};
pub use net::{LayerWeights, Net, Node};
pub use onnx::{OnnxAbout, OnnxEnds, OnnxProblem, OnnxReader, from_onnx, onnx_about, onnx_values, to_onnx};
pub use params::{Param, Params};
pub(crate) use place::Place;
pub use plan::{Plan, Unit};
pub use prunable::Prunable;
pub use rename::Rename;
pub use shape::Shape;
pub use space::{NodeId, Space, SpaceId};
pub use weights::{Role, Weights};

// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
