//! What becomes of the sums of a tile once they are complete, the trait [`Emit`]: codes on the grid that the next layer
//! reads, or floats where the network goes on with those.

use crate::dot::{Dot, LANES};
use crate::range::Range;

/// How sums become codes: each times the scale of its output, as steps of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    /// For each output the input's scale times the weight's, over that of the codes.
    pub scales: Vec<f32>,
    /// The codes that there are.
    pub range: Range,
}

/// Takes in the sums of a tile.
pub(crate) trait Emit {
    /// The sums of up to eight outputs from `output` on, at a position.
    ///
    /// # Safety
    /// The CPU has the instructions of `D`.
    unsafe fn emit<D: Dot>(&mut self, position: usize, output: usize, sums: D::Sums);
}

/// Codes, the outputs of a position side by side.
pub(crate) struct ToCodes<'a> {
    /// With scales rounded up to whole vectors.
    pub(crate) to: &'a Codes,
    pub(crate) outputs: usize,
    pub(crate) ys: &'a mut [u8],
    /// From one position to the next.
    pub(crate) stride: usize,
}

impl Emit for ToCodes<'_> {
    #[inline(always)]
    unsafe fn emit<D: Dot>(&mut self, position: usize, output: usize, sums: D::Sums) {
        let scales = self.to.scales[output..].first_chunk().expect("scales are rounded up to vectors");
        // SAFETY: as for this function.
        let codes = unsafe { D::codes(sums, scales, &self.to.range) };
        let (at, room) = (position * self.stride + output, self.outputs - output);
        debug_assert!(at + room <= self.ys.len());
        if room >= LANES {
            // SAFETY: `Map::codes` has made sure that `ys` holds all outputs of every position, and here are eight or
            // more.
            unsafe { self.ys.as_mut_ptr().add(at).cast::<[u8; LANES]>().write(codes) };
        } else {
            store(&mut self.ys[at..at + room], codes);
        }
    }
}

/// Numbers, the outputs of a position side by side.
pub(crate) struct ToFloats<'a> {
    pub(crate) scales: &'a [f32],
    pub(crate) outputs: usize,
    pub(crate) ys: &'a mut [f32],
}

impl Emit for ToFloats<'_> {
    #[inline(always)]
    unsafe fn emit<D: Dot>(&mut self, position: usize, output: usize, sums: D::Sums) {
        let to = &mut self.ys[position * self.outputs + output..(position + 1) * self.outputs];
        // SAFETY: as for this function.
        let sums = unsafe { D::numbers(sums) };
        for ((y, sum), scale) in to.iter_mut().zip(sums).zip(&self.scales[output..]) {
            *y = sum as f32 * scale;
        }
    }
}

/// As many of eight codes as there is room for, fewer than all, and never by a call.
#[inline(always)]
fn store(to: &mut [u8], codes: [u8; LANES]) {
    let (n, mut at) = (to.len(), 0);
    if n & 4 != 0 {
        to[..4].copy_from_slice(&codes[..4]);
        at = 4;
    }
    if n & 2 != 0 {
        to[at..at + 2].copy_from_slice(&codes[at..at + 2]);
        at += 2;
    }
    if n & 1 != 0 {
        to[at] = codes[at];
    }
}
