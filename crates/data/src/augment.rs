//! How training images are varied: by how far each is moved, and whether it is mirrored.

use crate::{Error, Result};
use l0_rng::{Purpose, Stream};

/// How training images are varied: moved by up to `pad` pixels each way, and mirrored half of the time.
///
/// What moves in from outside is raw black (0 before normalisation). That is what the authors of the L0 paper do
/// (torchvision's `RandomCrop(32, padding=4)` ahead of the normalisation); the authors of Wide ResNets pad by
/// reflection instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Pixels added on every side before cropping back to the image's size.
    pub pad: usize,
    /// Whether half of the images are mirrored left to right.
    pub flip: bool,
}

/// Where one image lands: a pure description, so that making a batch needs no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Placement {
    /// Row of the image that becomes the first row; negative or past the end means black.
    pub down: isize,
    /// Column that becomes the first column, before mirroring.
    pub right: isize,
    /// Whether the cropped image is then mirrored left to right.
    pub flip: bool,
}

impl Augment {
    /// The paper's augmentation of CIFAR: crops with padding 4, and flips.
    pub fn cifar() -> Self {
        Self { pad: 4, flip: true }
    }

    /// Whether images of (channels, height, width) can be moved so far and show something still.
    ///
    /// # Errors
    /// If `pad` is not less than the pixels of their shorter side.
    pub(crate) fn check(&self, (_, h, w): (usize, usize, usize)) -> Result<()> {
        let (pad, side) = (self.pad, h.min(w));
        if pad > 0 && pad >= side {
            let said = format!(
                "augment moves images of {h}x{w} by up to {pad} pixels (pad), expected less than the {side} of a side"
            );
            return Err(Error::Argument(said));
        }
        Ok(())
    }

    /// The placements of the `n` images of a batch: pure in (seed, epoch, step), so a resumed run draws the same.
    pub fn draw(&self, seed: u64, epoch: u64, step: u64, n: usize) -> Vec<Placement> {
        let mut stream = Stream::new(seed, Purpose::Augment, epoch, step, "crop and flip");
        let pad = self.pad as isize;
        let shift = |stream: &mut Stream| stream.below(2 * self.pad + 1) as isize - pad;
        let mut one = || Placement {
            down: shift(&mut stream),
            right: shift(&mut stream),
            flip: stream.bits() >> 63 == 1 && self.flip,
        };
        (0..n).map(|_| one()).collect()
    }

    /// In how many ways an image can land.
    pub fn ways(&self) -> usize {
        (2 * self.pad + 1).pow(2) * if self.flip { 2 } else { 1 }
    }

    /// Way number `k` of [`ways`](Self::ways).
    pub fn way(&self, k: usize) -> Placement {
        let side = 2 * self.pad + 1;
        let shift = |k: usize| (k % side) as isize - self.pad as isize;
        Placement { down: shift(k / side), right: shift(k), flip: k / side.pow(2) == 1 }
    }

    /// The number of a way: `way` the other way round.
    pub(crate) fn number(&self, placement: &Placement) -> usize {
        let side = 2 * self.pad + 1;
        let place = |shift: isize| (shift + self.pad as isize) as usize;
        (usize::from(placement.flip) * side + place(placement.down)) * side + place(placement.right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_cover_every_shift_evenly_and_depend_on_the_address_only() {
        let draws = Augment::cifar().draw(1, 2, 3, 9_000);
        assert_eq!(draws, Augment::cifar().draw(1, 2, 3, 9_000));
        assert_ne!(draws, Augment::cifar().draw(1, 2, 4, 9_000));
        for shift in -4..=4 {
            let rows = draws.iter().filter(|p| p.down == shift).count();
            let columns = draws.iter().filter(|p| p.right == shift).count();
            assert!((850..1150).contains(&rows) && (850..1150).contains(&columns));
        }
        let flips = draws.iter().filter(|p| p.flip).count();
        assert!((4300..4700).contains(&flips));
    }

    #[test]
    fn every_draw_is_one_of_the_ways() {
        for augment in [Augment::cifar(), Augment { pad: 1, flip: false }, Augment { pad: 0, flip: true }] {
            let ways: Vec<Placement> = (0..augment.ways()).map(|k| augment.way(k)).collect();
            assert!((0..ways.len()).all(|k| augment.number(&ways[k]) == k));
            assert!(augment.draw(1, 2, 3, 500).iter().all(|drawn| ways[augment.number(drawn)] == *drawn));
        }
        assert_eq!([Augment::cifar().ways(), Augment { pad: 1, flip: false }.ways()], [162, 9]);
    }

    #[test]
    fn images_are_not_moved_out_of_sight() {
        let check = |pad, flip| Augment { pad, flip }.check((3, 40, 32)).map_err(|error| error.to_string());
        assert_eq!([check(31, false), check(0, true)], [Ok(()), Ok(())]);
        let said = "augment moves images of 40x32 by up to 32 pixels (pad), expected less than the 32 of a side";
        assert_eq!(check(32, false), Err(said.into()));
        assert!(check(usize::MAX, true).is_err());
        assert!(Augment { pad: 0, flip: true }.check((1, 1, 1)).is_ok());
    }

    #[test]
    fn without_flips_the_shifts_stay_the_same() {
        let plain = Augment { flip: false, ..Augment::cifar() }.draw(1, 2, 3, 50);
        let flipped = Augment::cifar().draw(1, 2, 3, 50);
        assert!(plain.iter().all(|p| !p.flip));
        assert!(plain.iter().zip(&flipped).all(|(a, b)| (a.down, a.right) == (b.down, b.right)));
    }
}
