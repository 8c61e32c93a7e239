//! Static quantisation after training: from a network of floats and a few of its inputs to one of 8-bit integers.
//!
//! A [`Calibration`] runs the network over those inputs and keeps how the values at each place are distributed. From
//! that a [`Method`] says how far the 256 numbers of each place reach ([`l0_net::Grid`]); weights are rounded for each
//! output by itself, biases to 32 bits ([`l0_net::Int8Weights`]). What comes out is a [`l0_net::Model`] like any other,
//! which rounds where the file that is written of it does: its outputs are those of the file.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use l0_net::{Builder, Model, Params};
//! use l0_quantise::{Calibration, Method};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut b = Builder::image("image", 1, 8, 8);
//! b.conv2d("conv", 4, 3).relu().max_pool2d(2).flatten("features").linear("fc", 10);
//! let net = b.build()?;
//! let weights = Params::init(&net, 1, &Device::Cpu)?.detached();
//! let model = Model::new(net, weights)?;
//! let images = Tensor::rand(0f32, 1f32, (16, 1, 8, 8), &Device::Cpu)?;
//! let calibration = Calibration::of(&model, &[images.clone()])?;
//! let quantised = calibration.quantise(Method::MinMax)?;
//! assert!(quantised.floats.is_empty());
//! let difference = (quantised.model.forward(&images)? - model.forward(&images)?)?.abs()?.max_all()?;
//! assert!(difference.to_scalar::<f32>()? < 0.1);
//! # Ok(())
//! # }
//! ```

mod calibration;
mod error;
mod histogram;
mod rebuild;
mod roundings;

pub use calibration::{Calibration, Method, Quantised};
pub use error::{Error, Result};
