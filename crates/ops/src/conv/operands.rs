//! What a pass back through a convolution reads and makes.

/// The operands of a backward pass.
pub(super) struct Backward<'a> {
    pub(super) xs: &'a [f32],
    pub(super) weight: &'a [f32],
    pub(super) ys: &'a [f32],
    pub(super) grad: &'a [f32],
    pub(super) places: &'a [u8],
    /// Whether the gradient of xs is wanted.
    pub(super) images: bool,
}

/// What a backward pass computes; empty where it is not wanted.
pub(super) struct Gradients {
    pub(super) xs: Vec<f32>,
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}
