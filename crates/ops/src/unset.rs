//! Memory that holds no numbers yet, and the ways to set all of them: zeros that are written over at once cost as much
//! as a pass of arithmetic over the same numbers.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use l0_lanes::{Eight, Eights, Lanes, at_best};

use crate::parallel::{carve, each};

/// A new buffer made of parts side by side: `work` gets an item and its part, of the length beside the item, as zeros.
/// Each thread sets its parts to zero just before it fills them, while they are in its cache.
pub(crate) fn made<T: Send>(items: Vec<(usize, T)>, work: impl Fn(T, &mut [f32]) + Sync + Send) -> Vec<f32> {
    filled(items, |item, part| part.zeroed(|part| work(item, part)))
}

/// The same where `work` sets every number itself.
pub(crate) fn filled<T: Send>(
    items: Vec<(usize, T)>,
    work: impl for<'a> Fn(T, Unset<'a>) -> Set<'a> + Sync + Send,
) -> Vec<f32> {
    let len = items.iter().map(|(len, _)| len).sum();
    let mut all = Vec::with_capacity(len);
    let parts = carve(&mut all.spare_capacity_mut()[..len], items.iter().map(|(len, _)| *len).collect::<Vec<_>>());
    each(items.into_iter().zip(parts).collect(), |((_, item), part): ((usize, T), &mut [MaybeUninit<f32>])| {
        work(item, Unset(part));
    });
    // SAFETY: the parts are all of the first `len` numbers, and the work on each said that it has been set.
    unsafe { all.set_len(len) };
    all
}

/// A part of a new buffer, whose numbers are still to be set.
pub(crate) struct Unset<'a>(&'a mut [MaybeUninit<f32>]);

/// Says that all numbers of an [`Unset`] are set. Only what sets them makes one, and that of another part does not live
/// long enough to stand in for it.
pub(crate) struct Set<'a>(PhantomData<&'a mut f32>);

impl<'a> Unset<'a> {
    /// Sets zeros, then runs `work` on them.
    #[inline(always)] // so that `work` is a part of the caller, whose instructions it may have
    pub(crate) fn zeroed(self, work: impl FnOnce(&mut [f32])) -> Set<'a> {
        self.0.fill(MaybeUninit::new(0.0));
        // SAFETY: every number has just been set.
        work(unsafe { self.0.assume_init_mut() });
        Set(PhantomData)
    }

    /// Sets the numbers one after the other, to as many values.
    #[inline(always)] // as above
    pub(crate) fn to(self, values: impl Iterator<Item = f32>) -> Set<'a> {
        let mut set = 0;
        for (number, value) in self.0.iter_mut().zip(values) {
            number.write(value);
            set += 1;
        }
        assert_eq!(set, self.0.len(), "fewer values than numbers");
        Set(PhantomData)
    }

    /// Has `work` set part after part, of these lengths; it is told which.
    pub(crate) fn parts(
        self,
        lens: impl Iterator<Item = usize>,
        mut work: impl for<'b> FnMut(usize, Unset<'b>) -> Set<'b>,
    ) -> Set<'a> {
        let mut rest = self.0;
        for (which, len) in lens.enumerate() {
            let (part, after) = rest.split_at_mut(len);
            let Set(_) = work(which, Unset(part));
            rest = after;
        }
        assert!(rest.is_empty(), "the parts leave {} numbers", rest.len());
        Set(PhantomData)
    }

    /// Up to eight images of so many numbers each, to be set from vectors of eight.
    pub(crate) fn images(self, image: usize) -> Images<'a> {
        assert!(image == 0 || self.0.len().is_multiple_of(image), "images of {image} in {} numbers", self.0.len());
        assert!(self.0.len() <= 8 * image, "more than eight images of {image} in {} numbers", self.0.len());
        Images { numbers: self.0, image, done: 0 }
    }
}

/// Images whose first numbers are set.
pub(crate) struct Images<'a> {
    numbers: &'a mut [MaybeUninit<f32>],
    image: usize,
    done: usize,
}

impl<'a> Images<'a> {
    /// Sets the next numbers: `image[l][done + i] = from[i][l]`.
    pub(crate) fn put(&mut self, from: &[Eight]) {
        let end = self.done + from.len();
        assert!(end <= self.image, "{end} numbers of an image of {}", self.image);
        unpack(from, self.numbers, self.image, self.done);
        self.done = end;
    }

    /// All numbers are set.
    pub(crate) fn set(self) -> Set<'a> {
        assert_eq!(self.done, self.image, "numbers of an image that are set");
        Set(PhantomData)
    }
}

at_best! {
    /// `image[l][done + i] = from[i][l]`.
    fn unpack(from: &[Eight], numbers: &mut [MaybeUninit<f32>], image: usize, done: usize) as V: Eight {
        let (blocks, rest) = from.as_chunks::<8>();
        for (b, block) in blocks.iter().enumerate() {
            let mut vectors = [V::zero(); 8];
            for i in 0..8 {
                vectors[i] = V::load(&block[i]);
            }
            let turned = V::transpose(vectors);
            for (to, run) in numbers.chunks_exact_mut(image).zip(turned) {
                let mut values = [0.0; 8];
                run.put(&mut values);
                to[done + 8 * b..][..8].write_copy_of_slice(&values);
            }
        }
        let done = done + 8 * blocks.len();
        for (i, from) in rest.iter().enumerate() {
            for (to, x) in numbers.chunks_exact_mut(image).zip(from.to_array()) {
                to[done + i].write(x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_set_in_every_way() {
        let eights: [Eight; 9] = std::array::from_fn(|i| Eight::new(std::array::from_fn(|l| (10 * l + i) as f32)));
        let made = filled(vec![(3, 0), (5, 1), (18, 2)], |which, part| match which {
            0 => part.zeroed(|part| part[1] = 7.0),
            1 => part.parts([2, 3].into_iter(), |which, part| part.to((0..5).skip(which).map(|x| x as f32))),
            _ => {
                let mut images = part.images(9);
                images.put(&eights[..8]);
                images.put(&eights[8..]);
                images.set()
            }
        });
        let images = (0..9).chain(10..19).map(|x| x as f32);
        assert_eq!(made, [0.0, 7.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0].into_iter().chain(images).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "fewer values")]
    fn what_is_not_set_is_not_handed_out() {
        filled(vec![(3, ())], |(), part| part.to([1.0, 2.0].into_iter()));
    }
}
