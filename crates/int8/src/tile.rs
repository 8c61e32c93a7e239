//! The inner loops: sums of some outputs at some positions, in registers until they are complete.

use crate::dot::{DEPTH, Dot, LANES};
use crate::emit::Emit;
use crate::map::{BLOCK, Map};

/// Runs a map over positions, `P` of them and up to three vectors of outputs at a time.
///
/// # Safety
/// The CPU has the instructions of `D`. From every position, `xs` holds all that the map reads.
#[inline(always)]
pub(crate) unsafe fn run<D: Dot, const P: usize>(map: &Map, xs: &[u8], positions: &[u32], emit: &mut impl Emit) {
    let mut start = 0;
    while start < positions.len() {
        let left = positions.len() - start;
        // SAFETY: as for this function.
        unsafe {
            if left >= P || left > 2 {
                let places = std::array::from_fn(|p| positions[start + p.min(left - 1)]);
                outputs::<D, P>(map, xs, &places, (start, left.min(P)), emit);
            } else {
                outputs::<D, 1>(map, xs, &[positions[start]], (start, 1), emit);
            }
        }
        start += if left > 2 { P } else { 1 };
    }
}

/// All outputs at `P` positions, of which the first `n` are stored from position `start` on.
#[inline(always)]
unsafe fn outputs<D: Dot, const P: usize>(
    map: &Map,
    xs: &[u8],
    places: &[u32; P],
    (start, n): (usize, usize),
    emit: &mut impl Emit,
) {
    for (vector, count) in map.blocks() {
        // SAFETY: as for `run`.
        unsafe {
            match count {
                1 => tile::<D, P, 1>(map, xs, places, vector, (start, n), emit),
                2 => tile::<D, P, 2>(map, xs, places, vector, (start, n), emit),
                _ => tile::<D, P, BLOCK>(map, xs, places, vector, (start, n), emit),
            }
        }
    }
}

#[inline(always)]
unsafe fn tile<D: Dot, const P: usize, const N: usize>(
    map: &Map,
    xs: &[u8],
    places: &[u32; P],
    vector: usize,
    (start, n): (usize, usize),
    emit: &mut impl Emit,
) {
    let (biases, _) = map.bias[vector * LANES..].as_chunks::<LANES>();
    let (weights, _) = map.weights[vector * LANES * DEPTH * map.steps.len()..].as_chunks::<{ LANES * DEPTH }>();
    let bias: &[[i32; LANES]; N] = biases.first_chunk().expect("biases are rounded up to vectors");
    // SAFETY: the instructions are there. A step and a position together lie DEPTH or more bytes before the end of `xs`,
    // as `Map::check` has made sure for every pair of them.
    unsafe {
        let mut sums: [[D::Sums; N]; P] = std::array::from_fn(|_| std::array::from_fn(|v| D::sums(&bias[v])));
        for (step, weights) in map.steps.iter().zip(weights.as_chunks::<N>().0) {
            let weights: [D::Weights; N] = std::array::from_fn(|v| D::weights(&weights[v]));
            for p in 0..P {
                let at = *step as usize + places[p] as usize;
                let inputs = D::inputs(xs.as_ptr().add(at).cast::<[u8; DEPTH]>().read());
                for v in 0..N {
                    sums[p][v] = D::add(sums[p][v], inputs, weights[v]);
                }
            }
        }
        for (p, sums) in sums.into_iter().enumerate().take(n) {
            for (v, sums) in sums.into_iter().enumerate() {
                emit.emit(start + p, (vector + v) * LANES, D::numbers(sums));
            }
        }
    }
}
