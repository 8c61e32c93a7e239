//! What becomes of sums: codes of the next grid, or numbers.

use crate::dot::LANES;

/// How sums become codes of 0 to 255: `round(sum scale) + zero`, held to `least` and `most`; of two equally near codes the
/// even one is taken before `zero` is added.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    /// For each output the input's scale times the weight's, over that of the codes.
    pub scales: Vec<f32>,
    /// The code of 0.
    pub zero: u8,
    /// The least code: more than 0 where a function such as ReLU has a least value.
    pub least: u8,
    /// The largest code.
    pub most: u8,
}

/// Added to a number of less than 2^21 and read as bits, it leaves the number rounded to whole ones, ties to even.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
/// No code lies further from any other.
const FAR: f32 = 1024.0;

/// The whole number nearest to `x`, of two the even one, held to the 1024 that no code lies further from any other; of what is
/// not a number, anything.
#[inline(always)]
pub fn nearest(x: f32) -> i32 {
    let x = if x < -FAR { -FAR } else { x };
    let x = if x > FAR { FAR } else { x };
    (x + ROUND).to_bits() as i32 - ROUND.to_bits() as i32
}

/// Takes in the sums of a tile.
pub(crate) trait Emit {
    /// The sums of up to eight outputs from `output` on, at a position.
    fn emit(&mut self, position: usize, output: usize, sums: [i32; LANES]);
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
    fn emit(&mut self, position: usize, output: usize, sums: [i32; LANES]) {
        let Codes { scales, zero, least, most } = self.to;
        let (zero, least, most) = (i32::from(*zero), i32::from(*least), i32::from(*most));
        let scales: &[f32; LANES] = scales[output..].first_chunk().expect("scales are rounded up to vectors");
        let mut codes = [0u8; LANES];
        for i in 0..LANES {
            let code = nearest(sums[i] as f32 * scales[i]) + zero;
            codes[i] = code.max(least).min(most) as u8;
        }
        let at = position * self.stride;
        store(&mut self.ys[at + output..at + self.outputs], codes);
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
    fn emit(&mut self, position: usize, output: usize, sums: [i32; LANES]) {
        let to = &mut self.ys[position * self.outputs + output..(position + 1) * self.outputs];
        for ((y, sum), scale) in to.iter_mut().zip(sums).zip(&self.scales[output..]) {
            *y = sum as f32 * scale;
        }
    }
}

/// As many of eight codes as there is room for, never by a call.
#[inline(always)]
fn store(to: &mut [u8], codes: [u8; LANES]) {
    if let Some(to) = to.first_chunk_mut::<LANES>() {
        *to = codes;
        return;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_code() {
        for i in -4000..4000 {
            let x = i as f32 * 0.25;
            assert_eq!(nearest(x), x.round_ties_even() as i32, "{x}");
        }
        assert_eq!([nearest(1e30), nearest(-1e30)], [1024, -1024]);
    }
}
