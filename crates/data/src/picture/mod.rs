//! Pictures as files have them: PNG, JPEG and WebP, told by what they hold and not by what they are called.
//!
//! Of 16 bits the upper 8 are taken; palettes are looked up; CMYK becomes red, green and blue; a photograph that its EXIF
//! data say is turned or mirrored is put upright. Embedded colour profiles are not applied. No file makes a decoder take
//! more than 512 MiB, however many pixels its header promises.

mod fit;
mod open;

pub(crate) use fit::Frame;
pub(crate) use open::{Head, head};
#[cfg(feature = "hub")]
pub(crate) use open::{exact, wanted};

/// The most memory that decoding one picture may take, in bytes: some 40 million pixels of a JPEG.
pub(crate) const MEMORY: u64 = 512 << 20;

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// (h, w, samples), 1 sample for grey or 3 for red, green, blue.
    pixels: Vec<u8>,
    samples: usize,
    opacity: Option<Vec<u8>>,
    size: (usize, usize),
}

impl Picture {
    /// Decodes a PNG, JPEG or WebP; of an animation, its first frame.
    ///
    /// # Errors
    /// What the bytes are instead, or why they do not decode.
    ///
    /// ```
    /// let said = l0_data::Picture::open(b"GIF89a, some bytes").unwrap_err();
    /// assert_eq!(said, "a Gif file, where PNG, JPEG and WebP are read");
    /// ```
    pub fn open(bytes: &[u8]) -> Result<Self, String> {
        open::open(bytes)
    }

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

    /// The pixels as (channels, h, w), `channels` being 1 or 3; opacity left aside. Colours become grey by the weights of
    /// luma, 0.299, 0.587 and 0.114.
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

    /// The picture upright and in a frame of `size` by `size` pixels, (channels, size, size): transparent parts white, the
    /// shorter side made `size` with anti-aliasing, what the longer one has beyond it cut off on both ends.
    ///
    /// # Errors
    /// If `size` is 0 or above 4096, or `channels` neither 1 nor 3.
    pub fn fitted(self, channels: usize, size: usize) -> Result<Vec<u8>, String> {
        let frame = Frame::checked((channels, size, size))?;
        let mut planes = vec![0; channels * size * size];
        frame.fit(&self.on_white(), &mut planes);
        Ok(planes)
    }
}

fn grey(colour: &[u8]) -> u8 {
    let [r, g, b] = [0, 1, 2].map(|k| u32::from(colour[k]));
    ((299 * r + 587 * g + 114 * b) / 1000) as u8
}
