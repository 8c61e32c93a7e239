//! Scale and zero point of a tensor: the grid of 256 numbers that the codes of an int8 network stand for.

use serde::{Deserialize, Serialize};

/// Scale and zero point of a tensor: a grid of 256 numbers, `scale (code - zero)` for each code of 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// The scale: the distance from one number to the next.
    pub scale: f32,
    /// The zero point: the code of 0.
    #[serde(default)]
    pub zero: i32,
    /// Whether codes are -128 to 127; else 0 to 255.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
}

impl Grid {
    /// How many steps there are from the least code to the largest.
    const STEPS: f32 = 255.0;

    /// The grid of codes 0 to 255 that reaches from `least` to `most`, and to 0, which is one of its numbers; none
    /// where the two are no finite numbers that a scale can be made of.
    pub fn reaching(least: f32, most: f32) -> Option<Self> {
        if !least.is_finite() || !most.is_finite() || least > most {
            return None;
        }
        let (least, most) = (least.min(0.0), most.max(0.0));
        let span = if least == most { 1.0 } else { most - least }; // of zeros alone any grid will do
        let scale = span / Self::STEPS;
        let zero = (-least / scale).round_ties_even() as i32;
        Some(Self { scale, zero, signed: false }).filter(|grid| grid.is_sane())
    }

    /// Whether its numbers can be computed with.
    pub(crate) fn is_sane(&self) -> bool {
        let (least, most) = self.codes();
        self.scale.is_normal() && self.scale > 0.0 && (Self::STEPS * self.scale).is_finite() && {
            (least..=most).contains(&self.zero)
        }
    }

    /// The least and the largest code.
    #[inline]
    pub fn codes(&self) -> (i32, i32) {
        if self.signed { (-128, 127) } else { (0, 255) }
    }

    /// The least and the largest number.
    #[inline]
    pub fn ends(&self) -> (f32, f32) {
        let (least, most) = self.codes();
        ((least - self.zero) as f32 * self.scale, (most - self.zero) as f32 * self.scale)
    }

    /// The number of the grid that is nearest to `x`, of two the one at an even distance from 0, in steps; not a number
    /// stays so.
    #[inline(always)]
    pub fn nearest(&self, x: f32) -> f32 {
        let (least, most) = self.codes();
        let steps = (x / self.scale).round_ties_even();
        steps.clamp((least - self.zero) as f32, (most - self.zero) as f32) * self.scale
    }

    /// Whether `x` lies within its ends.
    #[inline(always)]
    pub(crate) fn covers(&self, x: f32) -> bool {
        let (least, most) = self.ends();
        (least..=most).contains(&x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_holds_zero_and_reaches_both_ends() {
        for (least, most) in [(0.0, 1.0), (-1.0, 3.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0)] {
            let grid = Grid::reaching(least, most).unwrap();
            let (first, last) = grid.ends();
            assert_eq!(grid.nearest(0.0), 0.0);
            assert!(first <= least + grid.scale / 2.0 && last >= most - grid.scale / 2.0, "{grid:?}");
        }
        let bad = [(f32::NAN, 1.0), (0.0, f32::INFINITY), (1.0, 0.0), (0.0, 1e-40), (f32::MIN, f32::MAX)];
        assert!(bad.iter().all(|&(least, most)| Grid::reaching(least, most).is_none()));
    }

    #[test]
    fn the_nearest_number_is_that_of_a_search() {
        for grid in [Grid { scale: 0.25, zero: 3, signed: false }, Grid { scale: 0.5, zero: -7, signed: true }] {
            let (least, most) = grid.codes();
            for i in -400..800 {
                let x = i as f32 * 0.1 + 0.01;
                let number = |code: i32| (code - grid.zero) as f32 * grid.scale;
                let best = (least..=most).map(number).min_by(|a, b| (a - x).abs().total_cmp(&(b - x).abs())).unwrap();
                assert_eq!(grid.nearest(x), best, "{x} on {grid:?}");
            }
        }
        assert!(Grid { scale: 1.0, zero: 0, signed: false }.nearest(f32::NAN).is_nan());
        let odd = Grid { scale: 1.0, zero: 3, signed: false }; // its number 2 has the code 5
        assert_eq!([odd.nearest(1.5), odd.nearest(2.5), odd.nearest(-0.5)], [2.0, 2.0, 0.0]);
    }
}
