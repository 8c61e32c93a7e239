//! The one rule by which pictures of all shapes become images of one: the shorter side to the size, then the centre.
//!
//! Shrinking averages over all pixels that fall on one, each weighted by a triangle as wide as the reduction (Pillow
//! calls that `BILINEAR`); enlarging interpolates. Values are rounded to bytes between the two directions, as Pillow
//! does.

use super::pixels::{Picture, grey};

/// The largest side of an image.
pub(crate) const LARGEST: usize = 4096;

/// The images to be made: channels, height and width, and whether pictures are made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) shape: (usize, usize, usize),
    /// Pictures have this size already, and are refused if they do not.
    pub(crate) is_exact: bool,
}

impl Frame {
    /// A frame that somebody wrote down, if it is one.
    pub(crate) fn checked(shape: (usize, usize, usize)) -> Result<Self, String> {
        let (c, h, w) = shape;
        let is_frame = matches!(c, 1 | 3) && (1..=LARGEST).contains(&h) && (1..=LARGEST).contains(&w);
        is_frame.then_some(Self { shape, is_exact: false }).ok_or_else(|| {
            format!("images of {c}x{h}x{w}, where 1 or 3 channels and sides of 1 to {LARGEST} are possible")
        })
    }

    /// The picture as an image of this shape.
    pub(crate) fn fit(&self, picture: &Picture, planes: &mut [u8]) {
        fit(picture, self.shape, planes);
    }

    /// Decodes a picture into planes (c, h, w).
    pub(crate) fn decode(&self, bytes: &[u8], planes: &mut [u8]) -> Result<(), String> {
        let picture = Picture::open(bytes)?.on_white();
        let (_, h, w) = self.shape;
        if self.is_exact && picture.size != (h, w) {
            return Err(format!("a picture of {}x{}, where others are {h}x{w}", picture.size.0, picture.size.1));
        }
        fit(&picture, self.shape, planes);
        Ok(())
    }
}

/// Scales so that the picture just covers the frame, cuts the centre out, and sorts its pixels into planes.
fn fit(picture: &Picture, (c, h, w): (usize, usize, usize), planes: &mut [u8]) {
    if picture.size == (h, w) {
        return fill(&picture.pixels, picture.samples, c, planes);
    }
    let (scaled_h, scaled_w) = covering(picture.size, (h, w));
    let (rows, columns) = (taps(picture.size.0, scaled_h, h), taps(picture.size.1, scaled_w, w));
    let first = rows.first().map_or(0, |taps| taps.start);
    let last = rows.last().map_or(0, |taps| taps.start + taps.weights.len());
    let stride = picture.size.1 * picture.samples;
    let narrowed: Vec<u8> = picture.pixels[first * stride..last * stride]
        .chunks_exact(stride)
        .flat_map(|row| across(row, picture.samples, &columns))
        .collect();
    let pixels: Vec<u8> = rows.iter().flat_map(|taps| down(&narrowed, w * picture.samples, first, taps)).collect();
    fill(&pixels, picture.samples, c, planes);
}

/// The size whose one side is the frame's and whose other is no smaller.
fn covering((h, w): (usize, usize), (to_h, to_w): (usize, usize)) -> (usize, usize) {
    if h * to_w <= w * to_h { (to_h, (w * to_h / h).max(to_w)) } else { ((h * to_w / w).max(to_h), to_w) }
}

/// What one pixel of the result is made of.
struct Taps {
    start: usize,
    weights: Vec<f32>,
}

/// The taps of the central `count` of `scaled` pixels that `input` pixels become.
fn taps(input: usize, scaled: usize, count: usize) -> Vec<Taps> {
    let margin = scaled - count;
    let from = margin / 2 + usize::from(margin % 4 == 3); // half a pixel goes to the even side
    let scale = input as f64 / scaled as f64;
    let reach = scale.max(1.0);
    let one = |at: usize| {
        let centre = (at as f64 + 0.5) * scale;
        let start = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(input);
        let weight = |i: usize| (1.0 - ((i as f64 + 0.5 - centre) / reach).abs()).max(0.0);
        let sum: f64 = (start..end).map(weight).sum();
        Taps { start, weights: (start..end).map(|i| (weight(i) / sum) as f32).collect() }
    };
    (from..from + count).map(one).collect()
}

fn across(row: &[u8], samples: usize, columns: &[Taps]) -> Vec<u8> {
    let mut out = Vec::with_capacity(columns.len() * samples);
    for taps in columns {
        let pixels = &row[taps.start * samples..];
        for sample in 0..samples {
            let each = pixels[sample..].iter().step_by(samples).zip(&taps.weights);
            out.push(byte(each.map(|(&pixel, weight)| f32::from(pixel) * weight).sum()));
        }
    }
    out
}

fn down(rows: &[u8], stride: usize, first: usize, taps: &Taps) -> Vec<u8> {
    let mut sums = vec![0.0f32; stride];
    for (row, weight) in rows[(taps.start - first) * stride..].chunks_exact(stride).zip(&taps.weights) {
        sums.iter_mut().zip(row).for_each(|(sum, &pixel)| *sum += f32::from(pixel) * weight);
    }
    sums.into_iter().map(byte).collect()
}

#[inline]
fn byte(value: f32) -> u8 {
    (value + 0.5) as u8
}

/// Interleaved pixels as planes of so many channels.
fn fill(pixels: &[u8], samples: usize, channels: usize, planes: &mut [u8]) {
    let size = planes.len() / channels;
    for (channel, plane) in planes.chunks_exact_mut(size).enumerate() {
        let each = plane.iter_mut().zip(pixels.chunks_exact(samples));
        match (channels, samples) {
            (1, 3) => each.for_each(|(to, pixel)| *to = grey(pixel)),
            _ => each.for_each(|(to, pixel)| *to = pixel[channel % samples]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(size: (usize, usize), samples: usize, value: impl Fn(usize, usize, usize) -> u8) -> Picture {
        let (h, w) = size;
        let pixels = (0..h * w * samples).map(|i| value(i / samples / w, i / samples % w, i % samples)).collect();
        Picture { pixels, samples, opacity: None, size }
    }

    fn fitted(picture: &Picture, shape: (usize, usize, usize)) -> Vec<u8> {
        let mut planes = vec![0; shape.0 * shape.1 * shape.2];
        fit(picture, shape, &mut planes);
        planes
    }

    #[test]
    fn the_shorter_side_fits_and_the_centre_is_kept() {
        assert_eq!(covering((300, 400), (64, 64)), (64, 85));
        assert_eq!(covering((400, 300), (64, 64)), (85, 64));
        assert_eq!(covering((10, 10), (64, 64)), (64, 64));
        assert_eq!(covering((1, 9000), (64, 64)), (64, 576_000));
        // A ramp of 4 x 12 to 2 x 2: pixels 4 to 7 of each row, two by two, and a little of their neighbours.
        let ramp = picture((4, 12), 1, |_, x, _| 20 * x as u8);
        assert_eq!(fitted(&ramp, (1, 2, 2)), [90, 130, 90, 130]);
        // Row and column stay what they are, and colours become planes.
        let colours = picture((4, 4), 3, |y, x, k| [10 * y as u8, 10 * x as u8, 7][k]);
        let planes = fitted(&colours, (3, 4, 4));
        assert_eq!((planes[4], planes[16 + 4], planes[16 + 1], planes[40]), (10, 0, 10, 7));
    }

    /// Averages by the triangle at every pixel of the whole scaled picture, written out in f64 and without rounding
    /// between.
    fn naive(picture: &Picture, scaled: (usize, usize), (y, x): (usize, usize), k: usize) -> f64 {
        let weights = |at: usize, input: usize, scaled: usize| -> Vec<f64> {
            let scale = input as f64 / scaled as f64;
            let centre = (at as f64 + 0.5) * scale;
            let all: Vec<f64> =
                (0..input).map(|i| (1.0 - (i as f64 + 0.5 - centre).abs() / scale.max(1.0)).max(0.0)).collect();
            let sum: f64 = all.iter().sum();
            all.into_iter().map(|weight| weight / sum).collect()
        };
        let (rows, columns) = (weights(y, picture.size.0, scaled.0), weights(x, picture.size.1, scaled.1));
        let at = |i: usize, j: usize| f64::from(picture.pixels[(i * picture.size.1 + j) * picture.samples + k]);
        (0..rows.len())
            .flat_map(|i| (0..columns.len()).map(move |j| (i, j)))
            .map(|(i, j)| rows[i] * columns[j] * at(i, j))
            .sum()
    }

    #[test]
    fn shrinking_and_enlarging_agree_with_averages_in_f64() {
        for (size, side) in [((37, 23), 8), ((5, 7), 16), ((16, 50), 16), ((9, 4), 3)] {
            let noise = picture(size, 3, |y, x, k| (y * 89 + x * 57 + k * 101 + y * x * 13) as u8);
            let scaled = covering(size, (side, side));
            let from = |scaled: usize| (scaled - side) / 2 + usize::from((scaled - side) % 4 == 3);
            for (i, &found) in fitted(&noise, (3, side, side)).iter().enumerate() {
                let (k, y, x) = (i / side / side, i / side % side, i % side);
                let expected = naive(&noise, scaled, (y + from(scaled.0), x + from(scaled.1)), k);
                assert!((f64::from(found) - expected).abs() <= 1.1, "{size:?} {y} {x}: {found}, {expected}");
            }
        }
    }
}
