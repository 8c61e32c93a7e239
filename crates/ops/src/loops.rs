//! Loops over numbers, nothing else: what several operations share.

use crate::parallel::made;

/// Numbers a piece of element by element work holds: 64 KiB of each operand.
const PIECE: usize = 16 * 1024;

/// `ys[i] = f(xs[i])`.
pub(crate) fn map(xs: &[f32], f: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    let items = xs.chunks(PIECE).map(|xs| (xs.len(), xs)).collect();
    made(items, |xs, ys| ys.iter_mut().zip(xs).for_each(|(y, &x)| *y = f(x)))
}

/// `ys[i] = f(a[i], b[i])`.
pub(crate) fn map2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    let items = a.chunks(PIECE).zip(b.chunks(PIECE)).map(|(a, b)| (a.len(), (a, b))).collect();
    made(items, |(a, b): (&[f32], &[f32]), ys| ys.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(a, b)))
}

/// `masked = grad` where `ys > 0`, 0 elsewhere.
pub(crate) fn mask_into(masked: &mut [f32], grad: &[f32], ys: &[f32]) {
    masked.iter_mut().zip(grad).zip(ys).for_each(|((m, &g), &y)| *m = if y > 0.0 { g } else { 0.0 });
}

/// `max(0, x)`; not a number stays so.
pub(crate) fn rectify(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}
