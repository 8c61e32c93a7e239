//! The inner loops: sums of some outputs at some positions, in registers until they are complete.

use crate::dot::{DEPTH, Dot, LANES};
use crate::emit::Emit;
use crate::packed::{BLOCK, Packed};

/// Of which map and which inputs a tile is, the first of its vectors of outputs, and which of its positions are stored
/// where: so many, from the first on.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    map: &'a Packed,
    xs: &'a [u8],
    vector: usize,
    first: usize,
    count: usize,
}

/// An instruction set that tiles are compiled for.
///
/// # Safety
/// As for [`Dot`].
pub(crate) trait Tiles: Dot {
    /// [`tile`], compiled for it.
    unsafe fn tile<const P: usize, const N: usize>(place: Place<'_>, places: &[u32; P], emit: &mut impl Emit);
}

/// Runs a map over positions, `P` of them and up to three vectors of outputs at a time.
///
/// # Safety
/// The CPU has the instructions of `D`. From every position, `xs` holds all that the map reads.
pub(crate) unsafe fn run<D: Tiles, const P: usize>(map: &Packed, xs: &[u8], positions: &[u32], emit: &mut impl Emit) {
    let mut first = 0;
    while first < positions.len() {
        let left = &positions[first..];
        // One or two positions alone are cheaper one by one than in a tile most of which is thrown away.
        let count = if left.len() > 2 || P <= left.len() { left.len().min(P) } else { 1 };
        for &(vector, vectors) in &map.blocks {
            let place = Place { map, xs, vector, first, count };
            // SAFETY: as for this function.
            unsafe {
                match (left.first_chunk::<P>(), count) {
                    (Some(places), _) => outputs::<D, P>(place, places, vectors, emit),
                    (None, 1) => outputs::<D, 1>(place, &[left[0]], vectors, emit),
                    (None, _) => {
                        let mut places = [left[0]; P];
                        places[..count].copy_from_slice(left);
                        outputs::<D, P>(place, &places, vectors, emit);
                    }
                }
            }
        }
        first += count;
    }
}

/// The outputs of a block at `P` positions.
///
/// # Safety
/// As for [`run`].
unsafe fn outputs<D: Tiles, const P: usize>(place: Place<'_>, places: &[u32; P], vectors: usize, emit: &mut impl Emit) {
    // SAFETY: as for `run`.
    unsafe {
        match vectors {
            1 => D::tile::<P, 1>(place, places, emit),
            2 => D::tile::<P, 2>(place, places, emit),
            _ => D::tile::<P, BLOCK>(place, places, emit),
        }
    }
}

/// `N` vectors of outputs at `P` positions.
///
/// # Safety
/// As for [`run`].
#[inline(always)]
pub(crate) unsafe fn tile<D: Dot, const P: usize, const N: usize>(
    place: Place<'_>,
    places: &[u32; P],
    emit: &mut impl Emit,
) {
    let Place { map, xs, vector, first, count } = place;
    let (biases, _) = map.bias[vector * LANES..].as_chunks::<LANES>();
    let (weights, _) = map.weights[vector * LANES * DEPTH * map.steps.len()..].as_chunks::<{ LANES * DEPTH }>();
    let bias: &[[i32; LANES]; N] = biases.first_chunk().expect("biases are rounded up to vectors");
    // SAFETY: the instructions are there. A step and a position together lie DEPTH or more bytes before the end of
    // `xs`, as `Map::check` has made sure for every pair of them.
    unsafe {
        let from: [*const u8; P] = places.map(|place| xs.as_ptr().add(place as usize));
        let mut sums: [[D::Sums; N]; P] = [std::array::from_fn(|v| D::sums(&bias[v])); P];
        for (&step, weights) in map.steps.iter().zip(weights.as_chunks::<N>().0) {
            let mut all = [D::weights(&weights[0]); N];
            for v in 1..N {
                all[v] = D::weights(&weights[v]);
            }
            for p in 0..P {
                let inputs = D::inputs(from[p].add(step as usize).cast::<[u8; DEPTH]>().read());
                for v in 0..N {
                    sums[p][v] = D::add(sums[p][v], inputs, all[v]);
                }
            }
        }
        for (p, sums) in sums.iter().enumerate() {
            if p < count {
                for (v, &sums) in sums.iter().enumerate() {
                    emit.emit::<D>(first + p, (vector + v) * LANES, sums);
                }
            }
        }
    }
}
