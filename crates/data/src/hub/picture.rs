use png::{BitDepth, ColorType, Decoder, Limits};
use std::io::Cursor;

/// Far more than a picture of this crate's size needs, whatever else its file carries.
const MEMORY: usize = 1 << 20;

/// Decodes a PNG of exactly this shape (1 channel: 8-bit grey, 3: 8-bit colour) into planes (c, h, w).
///
/// # Errors
/// What the picture is instead, or why it does not decode.
pub(super) fn decode(bytes: &[u8], (c, h, w): (usize, usize, usize), planes: &mut [u8]) -> Result<(), String> {
    let decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MEMORY });
    let mut reader = decoder.read_info().map_err(|error| format!("bytes that do not decode ({error})"))?;
    let info = reader.info();
    let colour = if c == 1 { ColorType::Grayscale } else { ColorType::Rgb };
    let wanted = (w as u32, h as u32, colour, BitDepth::Eight);
    if (info.width, info.height, info.color_type, info.bit_depth) != wanted {
        let bits = info.bit_depth as u8;
        return Err(format!("a {bits}-bit {:?} one of {}x{}", info.color_type, info.height, info.width));
    }
    let broken = |error| format!("one that does not decode ({error})");
    if c == 1 {
        reader.next_frame(planes).map_err(broken)?;
        return Ok(());
    }
    let mut pixels = vec![0; planes.len()];
    reader.next_frame(&mut pixels).map_err(broken)?;
    for (channel, plane) in planes.chunks_exact_mut(h * w).enumerate() {
        let of_channel = pixels[channel..].iter().step_by(c);
        plane.iter_mut().zip(of_channel).for_each(|(to, from)| *to = *from);
    }
    Ok(())
}

/// What [`decode`] expects, for messages.
pub(super) fn wanted((c, h, w): (usize, usize, usize)) -> String {
    let colour = if c == 1 { "Grayscale" } else { "Rgb" };
    format!("an 8-bit {colour} PNG of {h}x{w}")
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

    #[test]
    fn other_pictures_are_named() {
        let refused = |bytes: &[u8], message: &str| {
            let error = decode(bytes, (1, 2, 3), &mut [0; 6]).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        };
        refused(&encode(3, 2, ColorType::Rgb, BitDepth::Eight, &[0; 18]), "a 8-bit Rgb one of 2x3");
        refused(&encode(3, 2, ColorType::Grayscale, BitDepth::Sixteen, &[0; 12]), "a 16-bit Grayscale one of 2x3");
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
