//! Pictures that a person hands to `predict`: files of pictures, or IDX files, as bytes in the order a network reads.

mod pixels;
mod reading;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use l0_data::idx::Idx;

pub use pixels::Picture;
pub use reading::{Invert, Reading};

/// How the names of pictures end.
const PICTURES: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// How IDX files begin, and compressed ones.
const IDX: [u8; 2] = [0, 0];
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Whether a file is a picture, by its name.
pub fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|ending| PICTURES.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// The images of a file, each of `shape` = (c, h, w), with a name for each.
///
/// # Errors
/// If the file does not hold such images.
pub fn read(path: &Path, shape: (usize, usize, usize)) -> Result<Vec<(String, Picture)>> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    if is_picture(path) {
        let picture = decode(&bytes, shape).with_context(|| name.clone())?;
        return Ok(vec![(name, picture)]);
    }
    let (c, h, w) = shape;
    ensure!(
        bytes.starts_with(&IDX) || bytes.starts_with(&GZIP),
        "{name}: neither a picture by its name, which ends in .{}, nor an IDX file of images",
        PICTURES.join(", .")
    );
    let idx = Idx::parse(&bytes, 3, path)?;
    let [_, rows, columns] = idx.dims[..] else { unreachable!("an IDX file of rank 3 has 3 dimensions") };
    let fits = (c, rows, columns) == (1, h, w);
    ensure!(fits, "{name}: images of 1x{rows}x{columns}, the network reads {c}x{h}x{w}");
    let picture = |image: &[u8]| Picture { pixels: image.to_vec(), opacity: None, size: (h, w) };
    Ok(idx.data.chunks_exact(h * w).enumerate().map(|(i, image)| (format!("{name}[{i}]"), picture(image))).collect())
}

/// A picture of any kind: palettes are looked up, of 16 bits the upper 8 are taken, and colours become grey, or greys
/// colours, as the network needs.
///
/// # Errors
/// If the bytes are no picture of this size.
pub fn decode(bytes: &[u8], (c, h, w): (usize, usize, usize)) -> Result<Picture> {
    let picture = l0_data::Picture::open(bytes).map_err(|said| anyhow::anyhow!("is {said}"))?;
    let (height, width) = picture.size();
    ensure!((height, width) == (h, w), "has {width}x{height} pixels, the network reads {w}x{h}");
    ensure!(matches!(c, 1 | 3), "the network reads {c} channels, a picture has 1 or 3");
    Ok(Picture { pixels: picture.planes(c), opacity: picture.opacity().map(<[u8]>::to_vec), size: (h, w) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(side: u32, colour: png::ColorType, pixels: &[u8]) -> Vec<u8> {
        encode_as(side, (colour, png::BitDepth::Eight), pixels, |_| ())
    }

    fn encode_as(
        side: u32,
        (colour, depth): (png::ColorType, png::BitDepth),
        pixels: &[u8],
        more: impl Fn(&mut png::Encoder<&mut Vec<u8>>),
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, side, side);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        more(&mut encoder);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        bytes
    }

    #[test]
    fn what_is_neither_a_picture_nor_idx_is_called_neither() {
        let dir = tempfile::tempdir().unwrap();
        let (archive, idx) = (dir.path().join("mn.npz"), dir.path().join("labels"));
        std::fs::write(&archive, b"PK\x03\x04").unwrap();
        std::fs::write(&idx, [0, 0, 8, 1, 0, 0, 0, 0]).unwrap();
        let said = |path: &Path| format!("{:#}", read(path, (1, 28, 28)).unwrap_err());
        let error = said(&archive);
        assert!(error.ends_with("mn.npz: neither a picture by its name, which ends in .png, .jpg, .jpeg, .webp, nor an IDX file of images"), "{error}");
        assert!(said(&idx).contains("labels: expected"), "{}", said(&idx));
    }

    #[test]
    fn colours_become_grey_and_grey_becomes_colours() {
        let rgb = encode(1, png::ColorType::Rgb, &[255, 0, 0]);
        assert_eq!(decode(&rgb, (1, 1, 1)).unwrap().pixels, [76]);
        assert_eq!(decode(&rgb, (3, 1, 1)).unwrap().pixels, [255, 0, 0]);
        let grey = encode(2, png::ColorType::Grayscale, &[1, 2, 3, 4]);
        assert_eq!(decode(&grey, (3, 2, 2)).unwrap().pixels, [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
        let error = decode(&grey, (1, 28, 28)).unwrap_err().to_string();
        assert_eq!(error, "has 2x2 pixels, the network reads 28x28");
    }

    #[test]
    fn every_kind_of_png_is_read_with_its_opacity() {
        use png::BitDepth::{Eight, One, Sixteen};
        use png::ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgba};
        let check = |kind, bytes: &[u8], palette: &[u8], opaque: &[u8], expected: (&[u8], Option<&[u8]>)| {
            let png = encode_as(2, kind, bytes, |encoder| {
                (!palette.is_empty()).then(|| encoder.set_palette(palette.to_vec()));
                (!opaque.is_empty()).then(|| encoder.set_trns(opaque.to_vec()));
            });
            let found = decode(&png, (1, 2, 2)).unwrap();
            assert_eq!((&found.pixels[..], found.opacity.as_deref()), expected, "{kind:?}");
        };
        let wide = [1, 99, 2, 99, 3, 99, 4, 99];
        check((Grayscale, Sixteen), &wide, &[], &[], (&[1, 2, 3, 4], None));
        check((Grayscale, One), &[0x40, 0x80], &[], &[], (&[0, 255, 255, 0], None));
        check(
            (GrayscaleAlpha, Eight),
            &[9, 0, 9, 255, 8, 7, 8, 255],
            &[],
            &[],
            (&[9, 9, 8, 8], Some(&[0, 255, 7, 255])),
        );
        check((GrayscaleAlpha, Eight), &[9, 255, 9, 255, 8, 255, 8, 255], &[], &[], (&[9, 9, 8, 8], None));
        let seen = [255, 0, 0, 255].repeat(3);
        check((Rgba, Eight), &[&seen[..], &[0; 4]].concat(), &[], &[], (&[76, 76, 76, 0], Some(&[255, 255, 255, 0])));
        let of_palette = (&[0, 255, 255, 0][..], Some(&[0, 255, 255, 0][..]));
        check((Indexed, Eight), &[0, 1, 1, 0], &[0, 0, 0, 255, 255, 255], &[0, 255], of_palette);
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
                if let Ok(picture) = decode(bytes, (1, 2, 2)) {
                    prop_assert_eq!(picture.pixels.len(), 4);
                }
            }
        }
    }
}
