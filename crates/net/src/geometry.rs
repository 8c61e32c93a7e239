//! Sizes along the two sides of an image, and zeros around it.
//!
//! In files a pair of equal numbers is one number, so that a 3x3 kernel reads `"kernel": 3`.

use serde::{Deserialize, Serialize};

/// A number along the height and one along the width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrTwo", into = "OneOrTwo")]
pub struct Pair {
    /// Along the height.
    pub h: usize,
    /// Along the width.
    pub w: usize,
}

impl Pair {
    /// 1 and 1: the stride and the dilation of most layers.
    pub const ONE: Self = Self { h: 1, w: 1 };

    /// The product of both.
    pub fn area(self) -> usize {
        self.h.saturating_mul(self.w) // descriptions come from files
    }

    /// The number that both are, if they are equal.
    pub fn square(self) -> Option<usize> {
        (self.h == self.w).then_some(self.h)
    }

    /// Whether one of both is 0.
    pub(crate) fn has_zero(self) -> bool {
        self.h == 0 || self.w == 0
    }

    pub(crate) fn one() -> Self {
        Self::ONE
    }

    pub(crate) fn is_one(&self) -> bool {
        *self == Self::ONE
    }

    pub(crate) fn is_zero(&self) -> bool {
        *self == Self { h: 0, w: 0 }
    }

    pub(crate) fn tuple(self) -> (usize, usize) {
        (self.h, self.w)
    }

    /// Both as ONNX writes them.
    pub(crate) fn ints(self) -> Vec<i64> {
        [self.h, self.w].map(|n| n as i64).to_vec()
    }
}

impl From<usize> for Pair {
    fn from(side: usize) -> Self {
        Self { h: side, w: side }
    }
}

impl From<(usize, usize)> for Pair {
    fn from((h, w): (usize, usize)) -> Self {
        Self { h, w }
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.h, self.w)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a whole number of 0 or more, or two of them: height and width")]
enum OneOrTwo {
    One(usize),
    Two(usize, usize),
}

impl From<OneOrTwo> for Pair {
    fn from(given: OneOrTwo) -> Self {
        match given {
            OneOrTwo::One(n) => n.into(),
            OneOrTwo::Two(h, w) => (h, w).into(),
        }
    }
}

impl From<Pair> for OneOrTwo {
    fn from(pair: Pair) -> Self {
        pair.square().map_or(Self::Two(pair.h, pair.w), Self::One)
    }
}

/// Rows and columns of zeros around an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrFour", into = "OneOrFour")]
pub struct Sides {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Sides {
    /// Top, left, bottom, right.
    pub fn array(self) -> [usize; 4] {
        [self.top, self.left, self.bottom, self.right]
    }

    /// The number that all are, if they are equal.
    pub fn even(self) -> Option<usize> {
        let all = self.array();
        (all == [self.top; 4]).then_some(self.top)
    }

    /// Whether there are no zeros at all.
    pub fn is_empty(&self) -> bool {
        self.array() == [0; 4]
    }

    /// Height and width of a padded image; none where that is no number.
    pub(crate) fn around(self, h: usize, w: usize) -> Option<(usize, usize)> {
        Some((h.checked_add(self.top)?.checked_add(self.bottom)?, w.checked_add(self.left)?.checked_add(self.right)?))
    }

    /// All as ONNX writes them.
    pub(crate) fn ints(self) -> Vec<i64> {
        self.array().map(|n| n as i64).to_vec()
    }
}

impl From<usize> for Sides {
    fn from(n: usize) -> Self {
        [n; 4].into()
    }
}

impl From<[usize; 4]> for Sides {
    fn from([top, left, bottom, right]: [usize; 4]) -> Self {
        Self { top, left, bottom, right }
    }
}

impl From<Pair> for Sides {
    fn from(Pair { h, w }: Pair) -> Self {
        [h, w, h, w].into()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a whole number of 0 or more, or four of them")]
enum OneOrFour {
    One(usize),
    Four([usize; 4]),
}

impl From<OneOrFour> for Sides {
    fn from(given: OneOrFour) -> Self {
        match given {
            OneOrFour::One(n) => n.into(),
            OneOrFour::Four(sides) => sides.into(),
        }
    }
}

impl From<Sides> for OneOrFour {
    fn from(sides: Sides) -> Self {
        sides.even().map_or(Self::Four(sides.array()), Self::One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_are_one_number() {
        let json = |pair: Pair| serde_json::to_string(&pair).unwrap();
        assert_eq!((json(3.into()), json((3, 1).into())), ("3".into(), "[3,1]".into()));
        assert_eq!(serde_json::from_str::<Pair>("5").unwrap(), Pair { h: 5, w: 5 });
        assert_eq!(serde_json::from_str::<Pair>("[5,2]").unwrap(), Pair { h: 5, w: 2 });
        let sides = Sides { top: 0, left: 0, bottom: 1, right: 1 };
        assert_eq!(serde_json::to_string(&sides).unwrap(), "[0,0,1,1]");
        assert_eq!(serde_json::from_str::<Sides>("2").unwrap(), Sides::from(2));
        assert_eq!(sides.around(4, 5), Some((5, 6)));
        assert_eq!(Sides::from(usize::MAX).around(4, 5), None);
    }
}
