//! Plain loops, for any CPU.

use crate::dot::{DEPTH, Dot, LANES};
use crate::emit::Emit;
use crate::range::Range;
use crate::tile::{Place, Tiles, tile};

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
}

impl Tiles for Portable {
    unsafe fn tile<const P: usize, const N: usize>(place: Place<'_>, places: &[u32; P], emit: &mut impl Emit) {
        // SAFETY: as the trait asks.
        unsafe { tile::<Self, P, N>(place, places, emit) }
    }
}
