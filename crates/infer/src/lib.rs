//! Plain networks run fast on a CPU.
//!
//! An [`Engine`] is compiled once from a network and its parameters, or read from a file ([`Engine::load`]): a list of
//! steps on flat `f32` buffers. Weights are packed in the order in which the inner loops meet them, buffers are there
//! from the start, and what follows a linear map (normalisation, bias, 2x2 max pooling, a function of each number) is
//! done to its results while they are at hand. There is no graph, no gradient, and no allocation per call.
//!
//! Every layer of `l0-net` runs. One that has no step here yet runs alone on Candle's tensors: slower, and with
//! allocations, but with the same results.
//!
//! What a network rounds to 8 bits ([`l0_net::Activation::Quantise`]) is computed with whole numbers, by the
//! instructions that the CPU has for these (`l0_int8`), as far as layers have a step for them; the rest of such a
//! network runs as any other. No code stands for what is not a number: where NaN is rounded, it becomes the least
//! number of the grid here, whereas the forward pass of `l0-net` keeps it. `docs/decisions/055-int8.md` says how.
//!
//! A convolution is computed directly on vectors along the rows of an image, or, with 3x3 kernels of stride 1 and
//! enough channels, by minimal filtering; one image after the other, so it needs no batch to be fast. Positions that
//! pooling would drop are not computed. `docs/decisions/030-inference.md` and `047-inference-of-every-layer.md` have
//! the measurements behind this.
//!
//! ```
//! use l0_net::{Builder, Params};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut b = Builder::image("input", 1, 28, 28);
//! b.conv2d("conv1", 9, 5).relu().max_pool2d(2).flatten("features").linear("fc", 10);
//! let net = b.build()?;
//! let params = Params::init(&net, 1, &candle_core::Device::Cpu)?;
//! let mut engine = l0_infer::Engine::new(&net, &params.detached())?;
//! assert_eq!(engine.run(&[0.0; 2 * 784], 2)?, [0.0; 20]); // biases are 0 at first
//! assert_eq!(engine.predict(&[0.0; 784], 1)?, [0]);
//! # Ok(())
//! # }
//! ```

mod after;
mod compile;
mod conv;
mod engine;
mod error;
mod fallback;
mod filter;
mod fold;
mod int8_kernels;
mod int8_steps;
mod kernel;
mod lanes;
mod layout;
mod linear;
mod minimal;
mod moves;
mod pointwise;
mod pool;
mod program;
mod softmax;
mod split;
mod tile;
mod transposed;

pub use engine::Engine;
pub use error::{Error, Result};
