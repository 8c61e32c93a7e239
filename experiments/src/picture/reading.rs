//! A picture as a network is to see it: light on dark where it was trained on that, with nothing transparent.
//!
//! The digits of MNIST, and those that the program draws, are light on black. Of MNIST's 60,000 training images the
//! mean lies between 2.5 and 40 % of full brightness, at 13 % over all, that of the outermost pixels is at most 3.4 %,
//! and the brightest pixel is 254 or 255. A photograph of an object has no such rule.

use anyhow::{Result, bail};
use clap::ValueEnum;
use l0_data::Benchmark;

use super::pixels::Picture;

/// Mean brightness of MNIST's training images.
const MEAN: f64 = 0.13 * 255.0;
/// The least difference between the lightest and the darkest pixel of a picture that shows something.
const FAINT: u8 = 64;
/// The most brightness, on average, of the pixels at the edge of a picture on black.
const BLACK: f64 = 64.0;

/// Whether light and dark are exchanged before the network sees a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Invert {
    /// Where a picture is dark on light and the network was trained on light on dark.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// What a network is to see of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The pixels, (c, h, w).
    pub pixels: Vec<u8>,
    /// What was done to the picture, and what speaks against believing the answer.
    pub notes: Vec<String>,
}

impl Picture {
    /// The picture as a network that was trained on `dataset` is to see it. Transparent parts become the background of
    /// those images.
    ///
    /// # Errors
    /// If the picture has transparent parts, and the images of the data set no background.
    pub fn reading(&self, dataset: Benchmark, invert: Invert) -> Result<Reading> {
        if !is_light_on_black(dataset) {
            if self.opacity.is_some() {
                bail!("has transparent parts, and the images of {dataset} have no background; put it on one first");
            }
            return Ok(self.read_as(invert == Invert::Yes));
        }
        let looks_inverted = self.is_dark_on_light();
        let inverted = if invert == Invert::Auto { looks_inverted } else { invert == Invert::Yes };
        let mut reading = self.read_as(inverted);
        if looks_inverted && !inverted {
            reading.notes.push(format!("left as it is, dark on light, where {dataset} is light on dark"));
        }
        reading.doubt(self.size, dataset);
        Ok(reading)
    }

    fn read_as(&self, inverted: bool) -> Reading {
        let pixels = if inverted { self.inverted() } else { self.onto(0) };
        let ground = if inverted { "white" } else { "black" };
        let transparent = self.opacity.as_ref().map(|_| format!("its transparent parts taken for {ground}"));
        let notes = transparent.into_iter().chain(inverted.then(|| "inverted: light and dark exchanged".into()));
        Reading { pixels, notes: notes.collect() }
    }

    /// Of the picture and its inverse, each on its own background: the one that shows something; if both do, the one as
    /// bright as training images are.
    fn is_dark_on_light(&self) -> bool {
        let [here, there] = [self.onto(0), self.inverted()];
        let off = |pixels: &[u8]| (mean(pixels.iter()) - MEAN).abs();
        match [contrast(&here), contrast(&there)].map(|contrast| contrast < FAINT) {
            [true, false] => true,
            [false, true] => false,
            _ => off(&there) < off(&here),
        }
    }

    fn inverted(&self) -> Vec<u8> {
        self.onto(255).into_iter().map(|pixel| 255 - pixel).collect()
    }

    /// The pixels on a ground of one brightness.
    fn onto(&self, ground: u8) -> Vec<u8> {
        let Some(opacity) = &self.opacity else { return self.pixels.clone() };
        let mixed = |(&pixel, &a): (&u8, &u8)| {
            let sum = u32::from(a) * u32::from(pixel) + u32::from(255 - a) * u32::from(ground);
            ((sum + 127) / 255) as u8
        };
        self.pixels.iter().zip(opacity.iter().cycle()).map(mixed).collect()
    }
}

impl Reading {
    /// Notes that the picture is not like those of a data set that is light on black.
    fn doubt(&mut self, (h, w): (usize, usize), dataset: Benchmark) {
        if contrast(&self.pixels) < FAINT {
            self.notes.push("it shows next to nothing, so the answer means nothing".into());
        }
        let is_edge = |&(i, _): &(usize, &u8)| [i / w, i % w].contains(&0) || i / w + 1 == h || i % w + 1 == w;
        let edge = mean(self.pixels.iter().enumerate().filter(is_edge).map(|(_, pixel)| pixel));
        if edge > BLACK {
            let percent = 100.0 * edge / 255.0;
            self.notes
                .push(format!("its edge is {percent:.0} % bright, where that of {dataset} is black: trust it less"));
        }
    }
}

fn is_light_on_black(dataset: Benchmark) -> bool {
    match dataset {
        Benchmark::Mnist | Benchmark::Digits => true,
        Benchmark::Cifar10 | Benchmark::Cifar100 => false,
    }
}

fn contrast(pixels: &[u8]) -> u8 {
    pixels.iter().max().unwrap_or(&0) - pixels.iter().min().unwrap_or(&0)
}

fn mean<'a>(pixels: impl Iterator<Item = &'a u8>) -> f64 {
    let (sum, count) = pixels.fold((0.0, 0.0), |(sum, count), &pixel| (sum + f64::from(pixel), count + 1.0));
    sum / f64::max(count, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use l0_data::Digits;

    fn digits() -> Vec<Vec<u8>> {
        let digits = Digits { train: 300, test: 1, seed: 3 }.draw().unwrap();
        (0..300).map(|i| digits.train.image(i).to_vec()).collect()
    }

    fn inverse(pixels: &[u8]) -> Vec<u8> {
        pixels.iter().map(|pixel| 255 - pixel).collect()
    }

    fn picture(pixels: Vec<u8>, opacity: Option<Vec<u8>>) -> Picture {
        Picture { pixels, opacity, size: (28, 28) }
    }

    fn auto(picture: &Picture) -> Reading {
        picture.reading(Benchmark::Mnist, Invert::Auto).unwrap()
    }

    #[test]
    fn a_digit_is_read_alike_white_on_black_black_on_white_and_on_nothing() {
        for digit in digits() {
            let of = |notes: &[&str]| Reading {
                pixels: digit.clone(),
                notes: notes.iter().map(|n| n.to_string()).collect(),
            };
            let inverted = "inverted: light and dark exchanged";
            assert_eq!(auto(&picture(digit.clone(), None)), of(&[]));
            assert_eq!(auto(&picture(inverse(&digit), None)), of(&[inverted]));
            let ink = |ink: u8| picture(vec![ink; 784], Some(digit.clone()));
            assert_eq!(auto(&ink(255)), of(&["its transparent parts taken for black"]));
            assert_eq!(auto(&ink(0)), of(&["its transparent parts taken for white", inverted]));
            // Black on white paper, whose corner alone is transparent.
            let corner = (0..784).map(|i| if i == 0 { 0 } else { 255 }).collect();
            let torn = auto(&picture(inverse(&digit), Some(corner)));
            assert_eq!((&torn.pixels[1..], torn.pixels[0]), (&digit[1..], 0));
        }
    }

    #[test]
    fn what_one_asks_for_is_done_and_said() {
        let digit = digits().remove(7);
        let read = |pixels: &[u8], invert| picture(pixels.to_vec(), None).reading(Benchmark::Digits, invert).unwrap();
        assert_eq!(read(&digit, Invert::Yes).pixels, inverse(&digit));
        let left = read(&inverse(&digit), Invert::No);
        assert_eq!(left.pixels, inverse(&digit));
        assert_eq!(left.notes[0], "left as it is, dark on light, where digits is light on dark");
        assert!(left.notes[1].starts_with("its edge is "), "{:?}", left.notes);
    }

    #[test]
    fn a_picture_of_nothing_and_one_on_grey_are_doubted() {
        for nothing in [0, 40, 128, 255] {
            let notes = auto(&picture(vec![nothing; 784], None)).notes;
            assert!(notes.iter().any(|note| note.starts_with("it shows next to nothing")), "{nothing}: {notes:?}");
        }
        let grey: Vec<u8> = digits().remove(1).iter().map(|&pixel| pixel.max(100)).collect();
        let notes = auto(&picture(grey, None)).notes;
        assert_eq!(notes, ["its edge is 39 % bright, where that of mnist is black: trust it less"]);
    }

    #[test]
    fn photographs_have_no_background() {
        let light = Picture { pixels: vec![250; 3 * 32 * 32], opacity: None, size: (32, 32) };
        let read = |picture: &Picture, invert| picture.reading(Benchmark::Cifar10, invert);
        assert_eq!(read(&light, Invert::Auto).unwrap(), Reading { pixels: light.pixels.clone(), notes: vec![] });
        assert_eq!(read(&light, Invert::Yes).unwrap().pixels, vec![5; 3 * 32 * 32]);
        let cut_out = Picture { opacity: Some(vec![0; 32 * 32]), ..light };
        let error = read(&cut_out, Invert::Auto).unwrap_err().to_string();
        assert!(error.starts_with("has transparent parts, and the images of cifar10 have no background"), "{error}");
    }
}
