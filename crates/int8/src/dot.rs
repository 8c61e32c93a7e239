//! What a set of instructions does for a tile: eight sums at a time, each of four products.

use crate::emit::{Emit, Range};
use crate::tile::{Place, tile};

/// Outputs whose sums lie in one vector.
pub(crate) const LANES: usize = 8;
/// Products that are added to a sum at once.
pub(crate) const DEPTH: usize = 4;

/// Vectors of sums, and how products are added to them.
///
/// # Safety
/// Whoever calls a method has made sure that the CPU has the instructions.
pub(crate) trait Dot {
    /// Eight sums.
    type Sums: Copy;
    /// Four inputs, for all sums the same.
    type Inputs: Copy;
    /// Four weights of each of eight outputs.
    type Weights: Copy;

    unsafe fn sums(start: &[i32; LANES]) -> Self::Sums;
    unsafe fn inputs(codes: [u8; DEPTH]) -> Self::Inputs;
    unsafe fn weights(codes: &[i8; LANES * DEPTH]) -> Self::Weights;
    unsafe fn add(sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums;
    unsafe fn numbers(sums: Self::Sums) -> [i32; LANES];
    /// The codes of sums: each times its scale, held to the range, rounded, and counted from the code of 0.
    unsafe fn codes(sums: Self::Sums, scales: &[f32; LANES], range: &Range) -> [u8; LANES];
    /// [`tile`], compiled for these instructions.
    unsafe fn tile<const P: usize, const N: usize>(place: Place<'_>, places: &[u32; P], emit: &mut impl Emit);
}

/// Plain loops.
pub(crate) struct Portable;

impl Dot for Portable {
    type Sums = [i32; LANES];
    type Inputs = [i32; DEPTH];
    type Weights = [[i32; DEPTH]; LANES];

    #[inline(always)]
    unsafe fn sums(start: &[i32; LANES]) -> Self::Sums {
        *start
    }

    #[inline(always)]
    unsafe fn inputs(codes: [u8; DEPTH]) -> Self::Inputs {
        codes.map(i32::from)
    }

    #[inline(always)]
    unsafe fn weights(codes: &[i8; LANES * DEPTH]) -> Self::Weights {
        std::array::from_fn(|o| std::array::from_fn(|k| i32::from(codes[o * DEPTH + k])))
    }

    #[inline(always)]
    unsafe fn add(mut sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums {
        for (sum, weights) in sums.iter_mut().zip(&weights) {
            *sum += (0..DEPTH).map(|k| inputs[k] * weights[k]).sum::<i32>();
        }
        sums
    }

    #[inline(always)]
    unsafe fn numbers(sums: Self::Sums) -> [i32; LANES] {
        sums
    }

    #[inline(always)]
    unsafe fn codes(sums: Self::Sums, scales: &[f32; LANES], range: &Range) -> [u8; LANES] {
        std::array::from_fn(|i| range.code(sums[i] as f32 * scales[i]))
    }

    unsafe fn tile<const P: usize, const N: usize>(place: Place<'_>, places: &[u32; P], emit: &mut impl Emit) {
        // SAFETY: as the trait asks.
        unsafe { tile::<Self, P, N>(place, places, emit) }
    }
}
