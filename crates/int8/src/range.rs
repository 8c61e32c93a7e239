//! The codes of a grid, and how a number becomes one.

/// Added to a number of less than 2^21 and read as bits, it leaves the number rounded to whole ones, ties to even.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23

/// The zero point, and the distances from it of the least and the largest code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    pub(crate) zero: i32,
    pub(crate) least: f32,
    pub(crate) most: f32,
}

impl Range {
    /// Of codes from `least` to `most`.
    pub fn new(zero: u8, least: u8, most: u8) -> Self {
        let distance = |code: u8| f32::from(code) - f32::from(zero);
        Self { zero: i32::from(zero), least: distance(least), most: distance(most) }
    }

    /// The code of a number of steps: the nearest, of two the one at an even distance from that of 0; of what is not a
    /// number, the least.
    #[inline(always)]
    pub fn code(&self, steps: f32) -> u8 {
        let steps = if steps > self.least { steps } else { self.least };
        let steps = if steps < self.most { steps } else { self.most };
        ((steps + ROUND).to_bits() as i32 - ROUND.to_bits() as i32 + self.zero) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_distance_and_what_lies_beyond_to_the_ends() {
        let range = Range::new(100, 90, 250);
        for i in -4000..4000 {
            let x = i as f32 * 0.25;
            assert_eq!(f32::from(range.code(x)), (x.round_ties_even() + 100.0).clamp(90.0, 250.0), "{x}");
        }
        assert_eq!([range.code(1e30), range.code(-1e30), range.code(f32::NAN)], [250, 90, 90]);
    }
}
