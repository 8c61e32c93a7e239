//! Sums of products of 8-bit whole numbers: a linear map of codes, as convolutions and linear layers are.
//!
//! A [`Map`] is packed once and run over positions of an image, or over examples. Its sums are whole numbers of 32
//! bits, so that every [`Isa`] gives the same bits: VNNI where a CPU has it, AVX2 without, and plain loops anywhere.
//!
//! ```
//! use l0_int8::{Isa, Map, Terms};
//! // Two outputs of three inputs: 1 x - 2 y + 3 z + 10 and x + y + z.
//! let terms = Terms { runs: &[(0, 3)], weight: &[1, -2, 3, 1, 1, 1], bias: &[10, 0], zero: 0 };
//! let map = Map::new(terms, Isa::best());
//! let mut ys = [0.0; 4];
//! map.floats(&[5, 6, 7, 200, 0, 100, 0], &[0, 3], &[1.0, 0.5], &mut ys);
//! assert_eq!(ys, [24.0, 9.0, 510.0, 150.0]);
//! ```

#![allow(unsafe_code)] // vectors of the CPU (docs/architecture.md); clippy asks for a SAFETY comment on each block

mod dot;
mod emit;
mod isa;
mod map;
mod packed;
mod portable;
mod range;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use emit::Codes;
pub use isa::Isa;
pub use map::{Map, Terms};
pub use range::Range;
