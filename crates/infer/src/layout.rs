//! How the values of one example lie in a buffer.

use l0_net::{Shape, Sides};

use crate::{Error, Result};

/// Numbers of a vector: on the machines at hand two vectors of 8 are multiplied at a time, as fast as one of 16, and
/// fewer lanes are idle at the end of a row.
pub(crate) const LANES: usize = 8;

/// Most values of one example in a buffer, be they numbers or codes.
const LIMIT: usize = 1 << 28;

/// A place in a buffer, as lists of places hold it.
pub(crate) fn place(at: usize) -> u32 {
    u32::try_from(at).expect("a buffer holds no more than LIMIT values, whose places fit into 32 bits")
}

/// Channels of rows, with a border of zeros that nobody writes; features are channels of a single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) c: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) pad: Sides,
}

impl Layout {
    /// The layout of an output of `node`, if a buffer may be so large; of a step on codes, what it lays out.
    pub(crate) fn new(node: &str, shape: Shape, pad: Sides) -> Result<Self> {
        let (c, h, w) = match shape {
            Shape::Features(n) => (n, 1, 1),
            Shape::Image(c, h, w) => (c, h, w),
        };
        let side = |n: usize, before: usize, after: usize| n.checked_add(before)?.checked_add(after);
        let size = || c.checked_mul(side(h, pad.top, pad.bottom)?)?.checked_mul(side(w, pad.left, pad.right)?);
        match size() {
            Some(size) if size <= LIMIT => Ok(Self { c, h, w, pad }),
            _ => Err(Error::TooLarge { node: node.into(), c, h, w, padding: pad.array(), limit: LIMIT }),
        }
    }

    /// So many channels of an image without a border.
    pub(crate) fn bare(c: usize, h: usize, w: usize) -> Self {
        Self { c, h, w, pad: Sides::default() }
    }

    /// From one row to the next.
    pub(crate) fn row(&self) -> usize {
        self.pad.left + self.w + self.pad.right
    }

    /// Rows with those of the border.
    pub(crate) fn height(&self) -> usize {
        self.pad.top + self.h + self.pad.bottom
    }

    /// From one channel to the next.
    pub(crate) fn plane(&self) -> usize {
        self.row() * self.height()
    }

    /// From one example to the next.
    pub(crate) fn len(&self) -> usize {
        self.c * self.plane()
    }

    /// Whether there is no border.
    pub(crate) fn is_bare(&self) -> bool {
        self.pad.is_empty()
    }

    /// Where row `y` of channel `c` begins.
    pub(crate) fn at(&self, c: usize, y: usize) -> usize {
        c * self.plane() + (y + self.pad.top) * self.row() + self.pad.left
    }

    /// Calls `f` with each channel and where each of its rows begins here and in `other`, which has the same sides: as
    /// plain loops, since rows are short.
    #[inline(always)]
    pub(crate) fn beside(&self, other: &Self, mut f: impl FnMut(usize, usize, usize)) {
        for c in 0..self.c {
            let (from, to) = (self.at(c, 0), other.at(c, 0));
            for y in 0..self.h {
                f(c, from + y * self.row(), to + y * other.row());
            }
        }
    }

    /// The beginnings of all rows, channel by channel.
    pub(crate) fn rows(self) -> impl Iterator<Item = usize> {
        (0..self.c).flat_map(move |c| (0..self.h).map(move |y| self.at(c, y)))
    }

    /// Channels without their positions' places: each a single row. Only what has no border can be seen so.
    pub(crate) fn rows_of_channels(&self) -> Self {
        Self::bare(self.c, 1, self.h * self.w)
    }

    /// The values in one piece, as features.
    pub(crate) fn flat(&self) -> Self {
        Self::bare(self.c * self.h * self.w, 1, 1)
    }
}

/// Cuts `0..n` into ranges (start, length) of nearly equal length, at most `most`.
pub(crate) fn even(n: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let pieces = n.div_ceil(most).max(1);
    (0..pieces).map(move |i| (i * n / pieces, (i + 1) * n / pieces)).map(|(from, to)| (from, to - from))
}
