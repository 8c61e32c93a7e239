//! Vectors of numbers by the instructions that a CPU turns out to have.
//!
//! A library is compiled with the flags of the program that uses it, mostly for a CPU of 2003. [`at_best!`] compiles a
//! function once for each [`Level`] of instructions, and calls the one for the best level that this CPU has. Its
//! vectors are [`Lanes`]; loops over plain numbers become instructions of that level, too.
//!
//! What such a function calls has to be part of it: `#[inline(always)]`, and generic over the vectors. Closures have
//! its instructions, but functions of the standard library that call them may not, so arrays are filled by loops.
//!
//! Levels with multiply-adds give the same bits. Without them vectors round a product before they add to it;
//! `f32::mul_add` still rounds once, by a call that is slow.

#![allow(unsafe_code)] // the instructions themselves; clippy asks for a SAFETY comment on each block
#![deny(missing_docs)]

mod dispatch;
mod level;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use self::level::Level;
pub use self::vector::{Eights, Lanes, Vectors};

/// What [`at_best!`] names. Their vectors are for functions that it makes alone: elsewhere the CPU may lack their
/// instructions.
#[doc(hidden)]
pub mod levels {
    pub use crate::vector::Plain;
    #[cfg(target_arch = "x86_64")]
    pub use crate::x86::{Avx2, Avx512};
}

/// Eight numbers in memory, at an address that is a multiple of 32.
pub type Eight = wide::f32x8;

/// Sixteen numbers in memory, at an address that is a multiple of 64.
pub type Sixteen = wide::f32x16;
