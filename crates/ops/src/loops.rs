//! Loops over numbers, nothing else: what several operations share.

use l0_lanes::{Eight, Eights, Lanes, at_best};

use crate::unset::{Set, Unset, filled};

/// Numbers a piece of element by element work holds: 64 KiB of each operand.
const PIECE: usize = 16 * 1024;

/// `ys[i] = f(xs[i])`.
pub(crate) fn map(xs: &[f32], f: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    let items = xs.chunks(PIECE).map(|xs| (xs.len(), xs)).collect();
    filled(items, |xs: &[f32], ys| mapped(xs, ys, &f))
}

/// `ys[i] = f(a[i], b[i])`.
pub(crate) fn map2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    let items = a.chunks(PIECE).zip(b.chunks(PIECE)).map(|(a, b)| (a.len(), (a, b))).collect();
    filled(items, |(a, b): (&[f32], &[f32]), ys| mapped2(a, b, ys, &f))
}

at_best! {
    fn mapped['a, F: Fn(f32) -> f32][F](xs: &[f32], ys: Unset<'a>, f: &F) -> Set<'a> {
        ys.to(xs.iter().map(|&x| f(x)))
    }

    fn mapped2['a, F: Fn(f32, f32) -> f32][F](a: &[f32], b: &[f32], ys: Unset<'a>, f: &F) -> Set<'a> {
        ys.to(a.iter().zip(b).map(|(&a, &b)| f(a, b)))
    }

    /// `masked = grad` where `ys > 0`, 0 elsewhere.
    pub(crate) fn mask_into(masked: &mut [f32], grad: &[f32], ys: &[f32]) {
        masked.iter_mut().zip(grad).zip(ys).for_each(|((m, &g), &y)| *m = if y > 0.0 { g } else { 0.0 });
    }

    /// Adds to each number the sum of a vector.
    pub(crate) fn add_totals(sums: &mut [f32], vectors: &[Eight]) as V: Eight {
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            *sum += V::load(vector).sum();
        }
    }

    /// The sum of some numbers, eight side by side.
    pub(crate) fn sum(xs: &[f32]) -> f32 as V: Eight {
        let (eights, rest) = xs.as_chunks::<8>();
        let mut sums = V::zero();
        for eight in eights {
            sums += V::of(eight);
        }
        sums.sum() + rest.iter().sum::<f32>()
    }
}

/// `max(0, x)`; not a number stays so.
#[inline(always)]
pub(crate) fn rectify(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}
