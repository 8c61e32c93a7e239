//! Images to vectors: (image, number) for eight images -> (number, image).

use l0_lanes::{Eights, Lanes, at_best};

use super::tile::{LANES, Vector};

at_best! {
    /// `to[i][l] = from[l][start + i]` for a run of numbers of up to eight images, 0 for images that are not there.
    pub(super) fn pack(from: &[f32], image: usize, start: usize, to: &mut [Vector]) as V: Eight {
        let mut runs: [&[f32]; LANES] = [&[]; LANES];
        for (l, run) in runs.iter_mut().enumerate() {
            *run = from.get(l * image + start..).and_then(|run| run.get(..to.len())).unwrap_or(&[]);
        }
        let (blocks, rest) = to.as_chunks_mut::<LANES>();
        let done = blocks.len() * LANES;
        for (b, block) in blocks.iter_mut().enumerate() {
            let mut eight = [V::zero(); LANES];
            for l in 0..LANES {
                if let Some(run) = runs[l].as_chunks().0.get(b) {
                    eight[l] = V::of(run);
                }
            }
            let turned = V::transpose(eight);
            for l in 0..LANES {
                turned[l].store(&mut block[l]);
            }
        }
        for (i, to) in rest.iter_mut().enumerate() {
            let mut numbers = [0.0; LANES];
            for l in 0..LANES {
                numbers[l] = runs[l].get(done + i).copied().unwrap_or(0.0);
            }
            *to = Vector::new(numbers);
        }
    }
}
