//! Images to vectors: (image, number) for eight images -> (number, image).

use super::tile::{LANES, Vector};

/// `to[i][l] = from[l][start + i]` for a run of numbers of up to eight images, 0 for images that are not there.
pub(super) fn pack(from: &[f32], image: usize, start: usize, to: &mut [Vector]) {
    let run = |l: usize| from.get(l * image + start..).and_then(|run| run.get(..to.len())).unwrap_or(&[]);
    let runs: [&[f32]; LANES] = std::array::from_fn(run);
    let eights: [&[[f32; LANES]]; LANES] = std::array::from_fn(|l| runs[l].as_chunks().0);
    let (blocks, rest) = to.as_chunks_mut::<LANES>();
    let done = blocks.len() * LANES;
    if runs[LANES - 1].is_empty() {
        pack_some(&eights, blocks);
    } else {
        pack_all(eights.map(|run| &run[..blocks.len()]), blocks);
    }
    for (i, to) in rest.iter_mut().enumerate() {
        *to = Vector::from(runs.map(|run| run.get(done + i).copied().unwrap_or(0.0)));
    }
}

fn pack_all(runs: [&[[f32; LANES]]; LANES], blocks: &mut [[Vector; LANES]]) {
    for (b, block) in blocks.iter_mut().enumerate() {
        let mut eight = [Vector::ZERO; LANES];
        for l in 0..LANES {
            eight[l] = Vector::from(runs[l][b]);
        }
        *block = Vector::transpose(eight);
    }
}

fn pack_some(runs: &[&[[f32; LANES]]; LANES], blocks: &mut [[Vector; LANES]]) {
    for (b, block) in blocks.iter_mut().enumerate() {
        *block = Vector::transpose(runs.map(|run| run.get(b).map_or(Vector::ZERO, |&run| Vector::from(run))));
    }
}
