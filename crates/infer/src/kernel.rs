//! What a step of a compiled network does.

use crate::Result;
use crate::layout::Layout;

/// The buffers that a step reads.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) buffers: &'a [Vec<f32>],
    /// Of each input, its buffer.
    pub(crate) places: &'a [usize],
}

impl<'a> Inputs<'a> {
    /// All images of input `i`.
    pub(crate) fn all(&self, i: usize) -> &'a [f32] {
        &self.buffers[self.places[i]]
    }

    /// One image of input `i`, and what comes after it.
    pub(crate) fn image(&self, i: usize, layout: &Layout, image: usize) -> &'a [f32] {
        &self.all(i)[image * layout.len()..]
    }
}

/// The work of one step.
pub(crate) trait Kernel: Send + Sync {
    /// Computes some images of the output; borders stay as they are.
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], scratch: &mut [f32]) -> Result<()>;

    /// How many numbers of scratch space it needs.
    fn scratch(&self) -> usize {
        0
    }
}
