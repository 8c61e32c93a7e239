//! Images to vectors and back: (image, number) for eight images <-> (number, image).

use super::tile::{LANES, Vector};

/// `to[i][l] = from[l][start + i]` for a run of numbers of up to eight images, 0 for images that are not there.
pub(super) fn pack(from: &[f32], image: usize, start: usize, to: &mut [Vector]) {
    let zeros = [0.0; LANES];
    let runs: [&[f32]; LANES] = std::array::from_fn(|l| from.get(l * image + start..).unwrap_or(&[]));
    let (blocks, rest) = to.as_chunks_mut::<LANES>();
    for (b, block) in blocks.iter_mut().enumerate() {
        let eight = |run: &[f32]| run.get(b * LANES..).and_then(|run| run.first_chunk().copied()).unwrap_or(zeros);
        *block = Vector::transpose(runs.map(|run| Vector::from(eight(run))));
    }
    let done = blocks.len() * LANES;
    for (i, to) in rest.iter_mut().enumerate() {
        *to = Vector::from(runs.map(|run| run.get(done + i).copied().unwrap_or(0.0)));
    }
}

/// `to[l][start + i] = from[i][l]` for as many images as there are.
pub(super) fn unpack(from: &[Vector], to: &mut [f32], image: usize, start: usize) {
    let (blocks, rest) = from.as_chunks::<LANES>();
    for (b, block) in blocks.iter().enumerate() {
        let turned = Vector::transpose(*block);
        for (to, run) in to.chunks_exact_mut(image).zip(turned) {
            to[start + b * LANES..][..LANES].copy_from_slice(&run.to_array());
        }
    }
    let done = start + blocks.len() * LANES;
    for (i, from) in rest.iter().enumerate() {
        to.chunks_exact_mut(image).zip(from.to_array()).for_each(|(to, x)| to[done + i] = x);
    }
}
