//! From the bytes of a file to pixels.

use super::pixels::{MEMORY, Picture};
use image::codecs::{jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageResult, Limits};
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Pictures that take more than this are decoded one at a time.
const LARGE: u64 = 64 << 20;
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What a file says of its picture before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Rows and columns, put upright.
    pub(crate) size: (usize, usize),
    pub(crate) is_grey: bool,
}

/// Reads what comes before the pixels.
pub(crate) fn head(bytes: &[u8]) -> Result<Head, String> {
    guarded(|| {
        let mut decoder = decoder(bytes)?;
        let (w, h) = decoder.dimensions();
        let size = if is_turned(orientation(&mut *decoder)) { (w, h) } else { (h, w) };
        let is_grey = matches!(decoder.color_type(), ColorType::L8 | ColorType::La8 | ColorType::L16 | ColorType::La16);
        Ok(Head { size: (size.0 as usize, size.1 as usize), is_grey })
    })
}

pub(super) fn open(bytes: &[u8]) -> Result<Picture, String> {
    let image = guarded(|| decode(bytes))?;
    let size = (image.height() as usize, image.width() as usize);
    let color = image.color();
    let channels = usize::from(color.channel_count());
    let pixels = match color {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => image.into_bytes(),
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => upper(&image.into_bytes()),
        other => return Err(format!("a picture of {other:?}")),
    };
    let samples = if channels < 3 { 1 } else { 3 };
    if channels == samples {
        return Ok(Picture { pixels, samples, opacity: None, size });
    }
    let opacity: Vec<u8> = pixels.chunks_exact(channels).map(|pixel| pixel[samples]).collect();
    let opacity = Some(opacity).filter(|opacity| opacity.iter().any(|&a| a < 255));
    let pixels = pixels.chunks_exact(channels).flat_map(|pixel| &pixel[..samples]).copied().collect();
    Ok(Picture { pixels, samples, opacity, size })
}

/// The upper byte of each two, which `image` keeps in the order of the machine.
fn upper(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks_exact(2).map(|pair| (u16::from_ne_bytes([pair[0], pair[1]]) >> 8) as u8).collect()
}

/// Decoders of files that somebody made have panicked before.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("bytes on which the decoder fails".into()))
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let mut decoder = decoder(bytes)?;
    let _held = (needed(&*decoder) > LARGE).then(|| ONE_AT_A_TIME.lock().unwrap_or_else(|held| held.into_inner()));
    let orientation = orientation(&mut *decoder);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| broken(&error))?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn decoder(bytes: &[u8]) -> Result<Box<dyn ImageDecoder + '_>, String> {
    let format = image::guess_format(bytes).map_err(|_| "no PNG, JPEG or WebP".to_string())?;
    let decoder = of_format(bytes, format)?.map_err(|error| broken(&error))?;
    let (w, h) = decoder.dimensions();
    if needed(&*decoder) > MEMORY {
        return Err(format!("{w}x{h} pixels, which take more than {} MiB to decode", MEMORY >> 20));
    }
    if w == 0 || h == 0 {
        return Err("a picture without pixels".into());
    }
    if format == ImageFormat::Jpeg && !has_end(bytes) {
        return Err("a JPEG that is cut off".into());
    }
    Ok(decoder)
}

fn of_format(bytes: &[u8], format: ImageFormat) -> Result<ImageResult<Box<dyn ImageDecoder + '_>>, String> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MEMORY);
    let from = Cursor::new(bytes);
    Ok(match format {
        ImageFormat::Png => PngDecoder::with_limits(from, limits).map(|decoder| Box::new(decoder) as _),
        ImageFormat::Jpeg => JpegDecoder::new(from).map(|decoder| Box::new(decoder) as _),
        ImageFormat::WebP => WebPDecoder::new(from).and_then(|mut decoder| {
            decoder.set_limits(limits)?;
            Ok(Box::new(decoder) as _)
        }),
        other => return Err(format!("a {other:?} file, where PNG, JPEG and WebP are read")),
    })
}

/// What decoding takes at most: the pixels as decoded and once more as bytes or turned, and 12 bytes for each, which a
/// progressive JPEG needs for its coefficients.
fn needed(decoder: &dyn ImageDecoder) -> u64 {
    let (w, h) = decoder.dimensions();
    let pixels = u64::from(w).saturating_mul(u64::from(h));
    pixels.saturating_mul(12).max(decoder.total_bytes().saturating_mul(2))
}

fn orientation(decoder: &mut dyn ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms) // EXIF data that nobody can read turn nothing
}

fn is_turned(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// Whether the mark of the end comes behind the last scan. The decoder makes up what is missing, and pixels that nobody
/// took are no data. Segments are stepped over, for a preview inside the EXIF data has an end of its own; what follows
/// the end, as the film of a motion photo, is no part of the picture.
fn has_end(jpeg: &[u8]) -> bool {
    let mut at = 2;
    while let Some(from) = jpeg.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) {
        at += from + 1;
        match jpeg.get(at) {
            Some(0xd9) => return true,
            // Stuffed bytes and restarts within a scan, fill bytes, and marks without a segment.
            Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 1,
            Some(0xff) | None => {}
            Some(_) => match jpeg.get(at + 1..at + 3) {
                Some(&[high, low]) => at += 1 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
    }
    false
}

fn broken(error: &image::ImageError) -> String {
    let said = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    format!("a picture that does not decode ({said})")
}

/// Decodes a picture of exactly this size into planes (c, h, w) of 8 bits, c being 1 (grey) or 3 (red, green, blue), as
/// long as nothing is lost by it: what grey a colour should be, or what 8 bits 16 should be, is for whoever made a
/// published data set to say.
#[cfg(feature = "hub")]
pub(crate) fn exact(bytes: &[u8], (c, h, w): (usize, usize, usize), planes: &mut [u8]) -> Result<(), String> {
    let found = head(bytes)?;
    if found.size != (h, w) {
        let colour = if found.is_grey { "grey" } else { "colour" };
        return Err(format!("a {colour} one of {}x{}", found.size.0, found.size.1));
    }
    let image = guarded(|| decode(bytes))?;
    let is_wide = image.color().bytes_per_pixel() > image.color().channel_count();
    if is_wide && image.as_bytes().chunks_exact(2).any(|pair| pair[0] != pair[1]) {
        return Err("one whose 16 bits are more than 8 can hold".into());
    }
    let picture = open(bytes)?;
    if picture.opacity.is_some() {
        return Err("one that is transparent in places".into());
    }
    let in_colour = |pixel: &[u8]| pixel.iter().any(|value| *value != pixel[0]);
    if c == 1 && picture.pixels.chunks_exact(picture.samples).any(in_colour) {
        return Err("one in colour".into());
    }
    // One channel of equal ones: the weights of a grey need not give it back.
    let each = || picture.pixels.chunks_exact(picture.samples);
    for (channel, plane) in planes.chunks_exact_mut(h * w).enumerate() {
        plane.iter_mut().zip(each()).for_each(|(to, pixel)| *to = pixel[channel % picture.samples]);
    }
    Ok(())
}

/// What [`exact`] expects, for messages.
#[cfg(feature = "hub")]
pub(crate) fn wanted((c, h, w): (usize, usize, usize)) -> String {
    let colour = if c == 1 { "grey" } else { "colour" };
    format!("a {colour} picture of {h}x{w} and 8 bits")
}
