//! Pictures as files have them: PNG, JPEG and WebP, told by what they hold and not by what they are called.
//!
//! Of 16 bits the upper 8 are taken; palettes are looked up; CMYK becomes red, green and blue; a photograph that its
//! EXIF data say is turned or mirrored is put upright. Embedded colour profiles are not applied. No file makes a
//! decoder take more than 512 MiB, however many pixels its header promises.

mod fit;
mod open;
mod pixels;

pub(crate) use fit::Frame;
pub(crate) use open::{Head, head};
#[cfg(feature = "hub")]
pub(crate) use open::{exact, wanted};
pub use pixels::Picture;

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

    /// The picture upright and in a frame of `size` by `size` pixels, (channels, size, size): transparent parts white,
    /// the shorter side made `size` with anti-aliasing, what the longer one has beyond it cut off on both ends.
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
