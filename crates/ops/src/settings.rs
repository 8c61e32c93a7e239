//! What operations are told beside their tensors, and what they give back.

use candle_core::Tensor;

use crate::selection::Selection;

/// What a convolution does beside its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvSettings {
    /// Rows and columns from one place of the kernel to the next.
    pub stride: (usize, usize),
    /// Zeros above, left of, below and right of the image.
    pub padding: [usize; 4],
    /// Rows and columns from one number of the kernel to the next, 1 for a kernel without gaps.
    pub dilation: (usize, usize),
    /// Parts of the channels, each computed from its own part of the input's.
    pub groups: usize,
}

impl ConvSettings {
    /// The same stride both ways, as many zeros on each side, no gaps, one group.
    pub fn square(stride: usize, padding: usize) -> Self {
        Self { stride: (stride, stride), padding: [padding; 4], dilation: (1, 1), groups: 1 }
    }
}

/// What a transposed convolution does beside its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransposedSettings {
    /// Rows and columns of the result from one number of the input to the next.
    pub stride: (usize, usize),
    /// Rows and columns taken away above, left of, below and right of the result.
    pub padding: [usize; 4],
    /// Rows added below and columns added to the right of the result.
    pub output_padding: (usize, usize),
    /// Rows and columns from one number of the kernel to the next.
    pub dilation: (usize, usize),
    /// Parts of the channels, each computed from its own part of the input's.
    pub groups: usize,
}

/// What follows a convolution at once: fused with it where that pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epilogue {
    /// Apply max(0, x).
    pub relu: bool,
    /// Side and stride of a max pooling window after that; 1 for none.
    pub max_pool: usize,
}

impl Epilogue {
    /// Nothing follows.
    pub const NONE: Self = Self { relu: false, max_pool: 1 };
}

/// Windows over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns of a window.
    pub size: (usize, usize),
    /// Rows and columns from one window to the next.
    pub stride: (usize, usize),
    /// How far windows reach beyond the image above, left of, below and right of it; less than their size.
    pub padding: [usize; 4],
    /// Whether a last window that reaches beyond the padding counts, if it starts within the image or the padding
    /// before it.
    pub ceil: bool,
}

impl Window {
    /// Windows side by side, those that do not fit left out.
    pub fn side_by_side(size: (usize, usize)) -> Self {
        Self { size, stride: size, padding: [0; 4], ceil: false }
    }

    /// Height and width of what images of (h, w) are pooled to: `(h + top + bottom - size) / stride + 1`, rounded down,
    /// or up with `ceil`, but no window starts below or right of the image. None if there is no window, a size or
    /// stride is 0, or the padding is not smaller than the size.
    pub fn output(&self, h: usize, w: usize) -> Option<(usize, usize)> {
        let [top, left, bottom, right] = self.padding;
        let side = |n: usize, before: usize, after: usize, size: usize, stride: usize| {
            if n == 0 || stride == 0 || before >= size || after >= size {
                return None;
            }
            let padded = n.checked_add(before)?.checked_add(after)?;
            match padded.checked_sub(size) {
                Some(room) if self.ceil => Some((room.div_ceil(stride) + 1).min((n + before).div_ceil(stride))),
                Some(room) => Some(room / stride + 1),
                None => (self.ceil && size - padded < stride).then_some(1),
            }
        };
        let (rows, columns) = (self.size, self.stride);
        Some((side(h, top, bottom, rows.0, columns.0)?, side(w, left, right, rows.1, columns.1)?))
    }
}

/// What a normalisation does at once with its own work: add another value of its shape, then `max(0, x)`.
#[derive(Debug, Clone, Copy)]
pub struct After<'a> {
    /// What is added, of the shape of the result.
    pub plus: Option<&'a Tensor>,
    /// Apply max(0, x), after the sum if there is one.
    pub relu: bool,
}

impl After<'_> {
    /// Nothing.
    pub const NONE: Self = Self { plus: None, relu: false };
    /// ReLU alone.
    pub const RELU: Self = Self { plus: None, relu: true };
}

/// The result of a batch normalisation that computed the statistics itself.
#[derive(Debug, Clone)]
pub struct BatchNormed {
    /// Normalised, scaled and shifted input, of the input's shape.
    pub ys: Tensor,
    /// Mean of each channel over the batch, (c,), detached.
    pub mean: Tensor,
    /// Variance of each channel over the batch without Bessel's correction, (c,), detached.
    pub var: Tensor,
}

/// What running statistics learn from a batch.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// Values of the kept units, (kept,), or none.
    pub values: Option<&'a Tensor>,
    /// Times this.
    pub factor: f64,
    /// Which units they belong to.
    pub kept: &'a Selection,
    /// Values of all units, (n,), added to those; none are zeros.
    pub constants: Option<&'a Tensor>,
    /// How much each unit learns, 0 for nothing; one for each of the n units.
    pub rates: &'a [f32],
}
