//! A decoded picture: its pixels, and how opaque they are.

/// The most memory that decoding one picture may take, in bytes: some 40 million pixels of a JPEG.
pub(crate) const MEMORY: u64 = 512 << 20;

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// (h, w, samples), 1 sample for grey or 3 for red, green, blue.
    pub(super) pixels: Vec<u8>,
    pub(super) samples: usize,
    pub(super) opacity: Option<Vec<u8>>,
    pub(super) size: (usize, usize),
}

impl Picture {
    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Whether it has one grey for each pixel, and no colours.
    pub fn is_grey(&self) -> bool {
        self.samples == 1
    }

    /// How opaque each pixel is, (h, w), from 0 to 255; `None` if all are wholly.
    pub fn opacity(&self) -> Option<&[u8]> {
        self.opacity.as_deref()
    }

    /// The pixels as (channels, h, w), `channels` being 1 or 3; opacity left aside. Colours become grey by the weights
    /// of luma, 0.299, 0.587 and 0.114.
    pub fn planes(&self, channels: usize) -> Vec<u8> {
        let each = || self.pixels.chunks_exact(self.samples);
        match (channels, self.samples) {
            (1, 3) => each().map(grey).collect(),
            (channels, samples) => (0..channels).flat_map(|k| each().map(move |pixel| pixel[k % samples])).collect(),
        }
    }

    /// The picture on white.
    pub(crate) fn on_white(mut self) -> Self {
        let Some(opacity) = self.opacity.take() else { return self };
        for (pixel, a) in self.pixels.chunks_exact_mut(self.samples).zip(opacity.into_iter().map(u32::from)) {
            pixel.iter_mut().for_each(|value| *value = ((u32::from(*value) * a + 255 * (255 - a) + 127) / 255) as u8);
        }
        self
    }
}

#[inline]
pub(super) fn grey(colour: &[u8]) -> u8 {
    let [r, g, b] = [0, 1, 2].map(|k| u32::from(colour[k]));
    ((299 * r + 587 * g + 114 * b) / 1000) as u8
}
