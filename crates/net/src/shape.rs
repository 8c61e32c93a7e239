//! The shape of one example on an edge of the graph.

/// The shape of one example on an edge of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// (features,)
    Features(usize),
    /// (c, h, w)
    Image(usize, usize, usize),
}

impl Shape {
    /// Largest number of values an example may have: descriptions come from files.
    pub(crate) const LIMIT: usize = 1 << 28;

    /// The shape of an example of a data set: an image where it has three dimensions, else as many features as numbers.
    pub fn of_example(dims: &[usize]) -> Self {
        match *dims {
            [c, h, w] => Self::Image(c, h, w),
            _ => Self::Features(dims.iter().product()),
        }
    }

    /// The shape of these dimensions, or none that an example can have.
    pub(crate) fn of(dims: &[usize]) -> Option<Self> {
        let shape = match *dims {
            [n] => Self::Features(n),
            [c, h, w] => Self::Image(c, h, w),
            _ => return None,
        };
        shape.is_sane().then_some(shape)
    }

    /// Whether an example has a number of values that can be computed with.
    pub(crate) fn is_sane(self) -> bool {
        let size = self.dims().iter().try_fold(1usize, |size, &d| size.checked_mul(d));
        size.is_some_and(|size| 0 < size && size <= Self::LIMIT)
    }

    /// Number of units: features or channels.
    pub fn units(self) -> usize {
        match self {
            Self::Features(n) | Self::Image(n, ..) => n,
        }
    }

    /// Number of positions of each unit: 1, or h w.
    pub fn positions(self) -> usize {
        match self {
            Self::Features(_) => 1,
            Self::Image(_, h, w) => h * w,
        }
    }

    /// The same shape with another number of units.
    pub fn with_units(self, units: usize) -> Self {
        match self {
            Self::Features(_) => Self::Features(units),
            Self::Image(_, h, w) => Self::Image(units, h, w),
        }
    }

    /// The dimensions.
    pub fn dims(self) -> Vec<usize> {
        match self {
            Self::Features(n) => vec![n],
            Self::Image(c, h, w) => vec![c, h, w],
        }
    }

    /// The dimensions of a batch of `b` examples.
    pub(crate) fn batch(self, b: usize) -> Vec<usize> {
        let mut dims = self.dims();
        dims.insert(0, b);
        dims
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Features(n) => write!(f, "({n})"),
            Self::Image(c, h, w) => write!(f, "({c}, {h}, {w})"),
        }
    }
}
