//! What an instruction set has to offer, the trait [`Dot`]: eight sums in a vector, to each of which four products of a
//! code and a weight are added at once. `portable` and `x86` implement it; the loops of `tile` are written over it.

use crate::range::Range;

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
}
