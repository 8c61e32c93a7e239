//! Pictures that a person hands to `predict`: PNG or IDX files, as bytes in the order a network reads.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use l0_data::idx::Idx;

/// The images of a file, each of `shape` = (c, h, w), with a name for each.
///
/// # Errors
/// If the file does not hold such images.
pub fn read(path: &Path, shape: (usize, usize, usize)) -> Result<Vec<(String, Vec<u8>)>> {
    let name = path.display().to_string();
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        return Ok(vec![(name, png(path, shape)?)]);
    }
    let (c, h, w) = shape;
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let idx = Idx::parse(&bytes, 3, path)?;
    let found = (idx.dims.get(1).copied(), idx.dims.get(2).copied());
    ensure!(c == 1 && found == (Some(h), Some(w)), "{name}: images of {found:?}, the network reads {c}x{h}x{w}");
    Ok(idx.data.chunks_exact(h * w).enumerate().map(|(i, image)| (format!("{name}[{i}]"), image.to_vec())).collect())
}

/// A PNG of 8 bits a channel; colours become grey, and a channel of opacity is left out, as the network needs.
fn png(path: &Path, (c, h, w): (usize, usize, usize)) -> Result<Vec<u8>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().with_context(|| format!("{name} is no PNG"))?;
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    ensure!((height, width) == (h, w), "{name} has {width}x{height} pixels, the network reads {w}x{h}");
    let size = reader.output_buffer_size().with_context(|| format!("{name} is too large"))?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).with_context(|| format!("{name} does not decode"))?;
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
