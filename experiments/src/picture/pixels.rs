//! A picture as its file has it.

/// A picture, its pixels in the order a network reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Greys or colours, (c, h, w).
    pub pixels: Vec<u8>,
    /// How opaque each pixel is, (h, w), from 0 to 255; `None` if all are wholly.
    pub opacity: Option<Vec<u8>>,
    /// Rows and columns.
    pub(super) size: (usize, usize),
}
