//! Pictures that a person hands to `predict`: PNG or IDX files, as bytes in the order a network reads.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use l0_data::idx::Idx;

/// Far more than a picture of a network's size needs, whatever else its file carries.
const MEMORY: usize = 1 << 20;

/// The images of a file, each of `shape` = (c, h, w), with a name for each.
///
/// # Errors
/// If the file does not hold such images.
pub fn read(path: &Path, shape: (usize, usize, usize)) -> Result<Vec<(String, Vec<u8>)>> {
    let name = path.display().to_string();
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        let pixels = decode(BufReader::new(file), shape).with_context(|| name.clone())?;
        return Ok(vec![(name, pixels)]);
    }
    let (c, h, w) = shape;
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let idx = Idx::parse(&bytes, 3, path).context("pictures are PNG, by their name, or IDX")?;
    let [_, rows, columns] = idx.dims[..] else { unreachable!("an IDX file of rank 3 has 3 dimensions") };
    let fits = (c, rows, columns) == (1, h, w);
    ensure!(fits, "{name}: images of 1x{rows}x{columns}, the network reads {c}x{h}x{w}");
    Ok(idx.data.chunks_exact(h * w).enumerate().map(|(i, image)| (format!("{name}[{i}]"), image.to_vec())).collect())
}

/// The pixels, (c, h, w), of a PNG; colours become grey, and a channel of opacity is left out, as the network needs.
///
/// # Errors
/// If the bytes are no PNG of this size; nothing is made room for before the size is known to be right.
pub fn decode(from: impl BufRead + Seek, (c, h, w): (usize, usize, usize)) -> Result<Vec<u8>> {
    let mut decoder = png::Decoder::new_with_limits(from, png::Limits { bytes: MEMORY });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().context("is no PNG")?;
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    ensure!((height, width) == (h, w), "has {width}x{height} pixels, the network reads {w}x{h}");
    let mut pixels = vec![0; reader.output_buffer_size().context("is too large")?];
    let frame = reader.next_frame(&mut pixels).context("does not decode")?;
    let samples = frame.color_type.samples();
    let pixels = pixels.chunks_exact(samples).take(h * w);
    let colours = if samples < 3 { 1 } else { 3 };
    match (c, colours) {
        (1, 1) => Ok(pixels.map(|p| p[0]).collect()),
        (1, _) => Ok(pixels
            .map(|p| ((299 * u32::from(p[0]) + 587 * u32::from(p[1]) + 114 * u32::from(p[2])) / 1000) as u8)
            .collect()),
        (3, _) => {
            let pixels: Vec<&[u8]> = pixels.collect();
            Ok((0..3).flat_map(|k| pixels.iter().map(move |p| p[if colours == 3 { k } else { 0 }])).collect())
        }
        _ => bail!("the network reads {c} channels, a picture has 1 or 3"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn encode(side: u32, colour: png::ColorType, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, side, side);
        encoder.set_color(colour);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        bytes
    }

    #[test]
    fn colours_become_grey_and_grey_becomes_colours() {
        let rgb = encode(1, png::ColorType::Rgb, &[255, 0, 0]);
        assert_eq!(decode(Cursor::new(&rgb), (1, 1, 1)).unwrap(), [76]);
        assert_eq!(decode(Cursor::new(&rgb), (3, 1, 1)).unwrap(), [255, 0, 0]);
        let grey = encode(2, png::ColorType::Grayscale, &[1, 2, 3, 4]);
        assert_eq!(decode(Cursor::new(&grey), (3, 2, 2)).unwrap(), [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
        let error = decode(Cursor::new(&grey), (1, 28, 28)).unwrap_err().to_string();
        assert_eq!(error, "has 2x2 pixels, the network reads 28x28");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
            colour in any::<bool>(),
        ) {
            let (kind, size) = if colour { (png::ColorType::Rgb, 12) } else { (png::ColorType::Grayscale, 4) };
            let mut bytes = encode(2, kind, &vec![7; size]);
            let length = bytes.len();
            changes.iter().for_each(|(at, byte)| bytes[at.index(length)] = *byte);
            for bytes in [&bytes[..], &bytes[..cut.index(length)]] {
                if let Ok(pixels) = decode(Cursor::new(bytes), (1, 2, 2)) {
                    prop_assert_eq!(pixels.len(), 4);
                }
            }
        }
    }
}
