//! A [`Map`](crate::Map) as `tile` reads it: weights in the order in which the inner loops meet them, so that they are
//! read from front to back, and where the inputs lie. `map` makes it.

/// Most vectors of outputs of a tile.
pub(crate) const BLOCK: usize = 3;

/// What the inner loops read of a map.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    /// Where four bytes are read, from a position on.
    pub(crate) steps: Vec<u32>,
    /// For each block of vectors (step, vector, output, byte).
    pub(crate) weights: Vec<i8>,
    /// What sums start with, the zero of the inputs taken off.
    pub(crate) bias: Vec<i32>,
    /// The first vector of outputs of each tile, and how many there are.
    pub(crate) blocks: Vec<(usize, usize)>,
}
