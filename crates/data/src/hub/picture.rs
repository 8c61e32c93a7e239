//! A PNG as planes of bytes. The same pixels can be stored in many ways, and the tools that write data sets, or make PNGs
//! smaller, choose freely: all of them are read as long as nothing is lost by it. What grey a colour should be, or what 8
//! bits 16 should be, is for whoever made the data set to say.

use png::{BitDepth, ColorType, Decoder, Limits, Transformations};
use std::io::Cursor;

/// Far more than a picture of this crate's size needs, whatever else its file carries.
const MEMORY: usize = 1 << 20;

/// Decodes a PNG of exactly this size into planes (c, h, w) of 8 bits, c being 1 (grey) or 3 (red, green, blue).
///
/// # Errors
/// What the picture is instead, or why it does not decode.
pub(super) fn decode(bytes: &[u8], (c, h, w): (usize, usize, usize), planes: &mut [u8]) -> Result<(), String> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MEMORY });
    decoder.set_transformations(Transformations::EXPAND); // no palette, 8 bits or 16
    let mut reader = decoder.read_info().map_err(|error| format!("bytes that do not decode ({error})"))?;
    let info = reader.info();
    if (info.width, info.height) != (w as u32, h as u32) {
        let bits = info.bit_depth as u8;
        return Err(format!("a {bits}-bit {:?} one of {}x{}", info.color_type, info.height, info.width));
    }
    let broken = |error| format!("one that does not decode ({error})");
    if c == 1 && reader.output_color_type() == (ColorType::Grayscale, BitDepth::Eight) {
        return reader.next_frame(planes).map(drop).map_err(broken);
    }
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("one that is too large")?];
    let frame = reader.next_frame(&mut pixels).map_err(broken)?;
    let pixels = if frame.bit_depth == BitDepth::Sixteen { narrow(&pixels)? } else { pixels };
    fill(planes.chunks_exact_mut(h * w), &pixels, frame.color_type.samples())
}

/// 8 bits of each 16, which have to repeat them: so 8 bits are widened.
fn narrow(wide: &[u8]) -> Result<Vec<u8>, String> {
    let byte = |pair: &[u8]| (pair[0] == pair[1]).then_some(pair[0]);
    let bytes: Option<Vec<u8>> = wide.chunks_exact(2).map(byte).collect();
    bytes.ok_or_else(|| "one whose 16 bits are more than 8 can hold".into())
}

/// Sorts pixels of 1 to 4 samples (grey or colours, and opacity behind either) into planes.
fn fill<'a>(planes: impl ExactSizeIterator<Item = &'a mut [u8]>, pixels: &[u8], samples: usize) -> Result<(), String> {
    let colours = if samples < 3 { 1 } else { 3 };
    let each = || pixels.chunks_exact(samples);
    if samples > colours && each().any(|pixel| pixel[colours] != 255) {
        return Err("one that is transparent in places".into());
    }
    if planes.len() == 1 && each().any(|pixel| pixel[..colours].iter().any(|value| *value != pixel[0])) {
        return Err("one in colour".into());
    }
    for (channel, plane) in planes.enumerate() {
        plane.iter_mut().zip(each()).for_each(|(to, pixel)| *to = pixel[channel % colours]);
    }
    Ok(())
}

/// What [`decode`] expects, for messages.
pub(super) fn wanted((c, h, w): (usize, usize, usize)) -> String {
    let colour = if c == 1 { "grey" } else { "colour" };
    format!("a {colour} PNG of {h}x{w} and 8 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(width: u32, height: u32, colour: ColorType, depth: BitDepth, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        bytes
    }

    #[test]
    fn rows_stay_rows_and_colours_become_planes() {
        let pixels: Vec<u8> = (0..18).collect(); // 2 rows of 3 pixels of 3 colours
        let bytes = encode(3, 2, ColorType::Rgb, BitDepth::Eight, &pixels);
        let mut planes = [0; 18];
        decode(&bytes, (3, 2, 3), &mut planes).unwrap();
        assert_eq!(planes, [0, 3, 6, 9, 12, 15, 1, 4, 7, 10, 13, 16, 2, 5, 8, 11, 14, 17]);
        let bytes = encode(3, 2, ColorType::Grayscale, BitDepth::Eight, &pixels[..6]);
        let mut planes = [0; 6];
        decode(&bytes, (1, 2, 3), &mut planes).unwrap();
        assert_eq!(planes, [0, 1, 2, 3, 4, 5]);
    }

    fn grey(bytes: &[u8]) -> Result<[u8; 6], String> {
        let mut plane = [0; 6];
        decode(bytes, (1, 2, 3), &mut plane).map(|()| plane)
    }

    /// The picture of a palette of two colours, with opacities if there are any.
    fn palette(colours: [u8; 6], opacity: Option<[u8; 2]>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 3, 2);
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::One);
        encoder.set_palette(colours.to_vec());
        if let Some(opacity) = opacity {
            encoder.set_trns(opacity.to_vec());
        }
        encoder.write_header().unwrap().write_image_data(&[0b0110_0000, 0b1000_0000]).unwrap();
        bytes
    }

    #[test]
    fn the_same_pixels_stored_in_another_way_are_the_same() {
        let pixels: [u8; 6] = [0, 5, 17, 99, 254, 255];
        let stored = |colour, depth, samples: fn(u8) -> Vec<u8>| {
            encode(3, 2, colour, depth, &pixels.into_iter().flat_map(samples).collect::<Vec<u8>>())
        };
        use {BitDepth::*, ColorType::*};
        for bytes in [
            stored(Grayscale, Sixteen, |v| vec![v, v]),
            stored(GrayscaleAlpha, Eight, |v| vec![v, 255]),
            stored(Rgb, Eight, |v| vec![v; 3]),
            stored(Rgb, Sixteen, |v| vec![v; 6]),
            stored(Rgba, Eight, |v| vec![v, v, v, 255]),
        ] {
            assert_eq!(grey(&bytes), Ok(pixels));
        }
        assert_eq!(grey(&palette([7, 7, 7, 9, 9, 9], None)), Ok([7, 9, 9, 9, 7, 7]));
        let two_bits = encode(3, 2, Grayscale, Two, &[0b0001_1000, 0b1111_0000]);
        assert_eq!(grey(&two_bits), Ok([0, 85, 170, 255, 255, 0]));
        let mut planes = [0; 18];
        decode(&palette([7, 8, 9, 1, 2, 3], Some([255, 255])), (3, 2, 3), &mut planes).unwrap();
        assert_eq!(planes, [7, 1, 1, 1, 7, 7, 8, 2, 2, 2, 8, 8, 9, 3, 3, 3, 9, 9]);
        decode(&stored(Grayscale, Eight, |v| vec![v]), (3, 2, 3), &mut planes).unwrap();
        assert_eq!(planes[..12], [pixels, pixels].concat());
    }

    #[test]
    fn other_pictures_are_named() {
        let refused = |bytes: &[u8], message: &str| {
            let error = grey(bytes).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        };
        let colours: Vec<u8> = (0..18).collect();
        refused(&encode(3, 2, ColorType::Rgb, BitDepth::Eight, &colours), "one in colour");
        refused(&palette([7, 7, 7, 9, 9, 8], None), "one in colour");
        refused(&palette([7, 7, 7, 9, 9, 9], Some([255, 0])), "one that is transparent in places");
        let wide = encode(3, 2, ColorType::Grayscale, BitDepth::Sixteen, &colours[..12]);
        refused(&wide, "one whose 16 bits are more than 8 can hold");
        refused(&encode(2, 3, ColorType::Grayscale, BitDepth::Eight, &[0; 6]), "a 8-bit Grayscale one of 3x2");
        refused(b"GIF89a", "bytes that do not decode");
        let whole = encode(3, 2, ColorType::Grayscale, BitDepth::Eight, &[0; 6]);
        refused(&whole[..whole.len() - 20], "one that does not decode");
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(noise in prop::collection::vec((any::<usize>(), any::<u8>()), 0..6), cut: usize) {
            let mut bytes = encode(3, 2, ColorType::Rgb, BitDepth::Eight, &[9; 18]);
            let length = bytes.len();
            noise.iter().for_each(|(at, byte)| bytes[at % length] = *byte);
            let _ = decode(&bytes, (3, 2, 3), &mut [0; 18]);
            let _ = decode(&bytes[..cut % length], (3, 2, 3), &mut [0; 18]);
        }
    }
}
