//! The inner loops of the direct convolution, on vectors of eight images.
//!
//! A number of each of eight images side by side is one vector, so a weight meets eight images in one multiply-add,
//! whatever the width of the image. A tile holds `O` x `T` sums in registers while it runs over all its terms.

use l0_lanes::{Eight, Eights, Lanes, Level, at_best};

/// Images side by side in a vector.
pub(super) const LANES: usize = 8;

/// One number of each of eight images.
pub(super) type Vector = Eight;

/// Most outputs (channels) of a tile, and most positions or weights beside them: 24 sums fill 32 registers.
pub(super) const OUTPUTS: usize = 6;
pub(super) const POSITIONS: usize = 4;

/// Most positions or weights of a tile on this CPU: half as many where there are half as many registers.
pub(super) fn positions() -> usize {
    Level::current().share_of_32(POSITIONS)
}

/// Cuts `0..n` into ranges of nearly equal length, at most `most`.
pub(super) fn even(n: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let left = n - start;
        let len = left.div_ceil(left.div_ceil(most).max(1));
        start += len;
        (len > 0).then(|| (start - len, len))
    })
}

/// Input planes seen through shifts: term (i, k) of position x is `data[i * plane + at + shifts[k] + x]`, for the k of
/// `first..end`; the other terms are known to be zero.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) data: &'a [Vector],
    pub(super) plane: usize,
    pub(super) shifts: &'a [usize],
    pub(super) first: usize,
    pub(super) end: usize,
}

/// Where results go: output o of position x is `at + o * plane + x * step`.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) at: usize,
    pub(super) plane: usize,
    pub(super) step: usize,
}

/// `to[o, x] = sum over i, k of weights[i, k, o] from[i, k, x]` for `width` positions and `outputs` outputs.
pub(super) fn correlate(
    from: Source,
    at: usize,
    width: usize,
    weights: &[f32],
    outputs: usize,
    to: &mut [Vector],
    target: Target,
) {
    // Sizes of tiles are constants for the compiler, which otherwise keeps no sum in a register.
    match outputs {
        1 => row::<1>(from, at, width, weights, to, target),
        2 => row::<2>(from, at, width, weights, to, target),
        3 => row::<3>(from, at, width, weights, to, target),
        4 => row::<4>(from, at, width, weights, to, target),
        5 => row::<5>(from, at, width, weights, to, target),
        _ => row::<OUTPUTS>(from, at, width, weights, to, target),
    }
}

fn row<const O: usize>(from: Source, at: usize, width: usize, weights: &[f32], to: &mut [Vector], target: Target) {
    let (weights, _) = weights.as_chunks::<O>();
    for (x, len) in even(width, positions()) {
        let target = Target { at: target.at + x * target.step, ..target };
        match len {
            1 => sums::<O, 1>(from, at + x, weights, to, target),
            2 => sums::<O, 2>(from, at + x, weights, to, target),
            3 => sums::<O, 3>(from, at + x, weights, to, target),
            _ => sums::<O, POSITIONS>(from, at + x, weights, to, target),
        }
    }
}

at_best! {
    fn sums[const O: usize, const T: usize][O, T](
        from: Source,
        at: usize,
        weights: &[[f32; O]],
        to: &mut [Vector],
        target: Target,
    ) as V: Eight {
        // O x T sums need O + T loads for O T multiply-adds: with 6 x 4 the loads hide behind the arithmetic, and 24
        // sums, four inputs and a weight still fit the registers.
        let mut sums = [[V::zero(); T]; O];
        let shifts = &from.shifts[from.first..from.end];
        for (plane, weights) in from.data.chunks_exact(from.plane).zip(weights.chunks_exact(from.shifts.len())) {
            for (&shift, weights) in shifts.iter().zip(&weights[from.first..from.end]) {
                // Always there: a shifted window lies inside its plane.
                let Some(xs) = plane[at + shift..].first_chunk::<T>() else { return };
                for o in 0..O {
                    let weight = V::splat(weights[o]);
                    for t in 0..T {
                        sums[o][t] = weight.mul_add(V::load(&xs[t]), sums[o][t]);
                    }
                }
            }
        }
        for o in 0..O {
            for t in 0..T {
                sums[o][t].store(&mut to[target.at + o * target.plane + t * target.step]);
            }
        }
    }
}

/// Rows of two stacks of planes that meet: `rows` rows of `width`, starting every `x_stride` and `g_stride`.
#[derive(Clone, Copy)]
pub(super) struct Meeting {
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) x_stride: usize,
    pub(super) g_stride: usize,
}

/// `to[o * depth + k] += sum over rows, positions and images of g[g_at[o] ..] x[x_at[k] ..]`.
pub(super) fn contract(
    x: &[Vector],
    g: &[Vector],
    meeting: Meeting,
    x_at: &[usize],
    g_at: &[usize],
    to: &mut [f32],
    depth: usize,
) {
    macro_rules! dispatch {
        ($($o:literal $k:literal),*) => {
            match (g_at.len(), x_at.len()) {
                $(($o, $k) => dots::<$o, $k>(x, g, meeting, x_at, g_at, to, depth),)*
                (o, k) => unreachable!("no tile of {o} x {k}"),
            }
        };
    }
    dispatch!(1 1, 1 2, 1 3, 1 4, 2 1, 2 2, 2 3, 2 4, 3 1, 3 2, 3 3, 3 4, 4 1, 4 2, 4 3, 4 4, 5 1, 5 2, 5 3, 5 4, 6 1, 6 2, 6 3, 6 4);
}

at_best! {
    fn dots[const O: usize, const K: usize][O, K](
        x: &[Vector],
        g: &[Vector],
        meeting: Meeting,
        x_at: &[usize],
        g_at: &[usize],
        to: &mut [f32],
        depth: usize,
    ) as V: Eight {
        // Lanes are images: summed up only at the end, so that each number of dW is eight running sums.
        let mut sums = [[V::zero(); K]; O];
        for row in 0..meeting.rows {
            let (mut xs, mut gs) = ([x; K], [g; O]);
            for k in 0..K {
                xs[k] = &x[x_at[k] + row * meeting.x_stride..][..meeting.width];
            }
            for o in 0..O {
                gs[o] = &g[g_at[o] + row * meeting.g_stride..][..meeting.width];
            }
            for at in 0..meeting.width {
                for k in 0..K {
                    let x = V::load(&xs[k][at]);
                    for o in 0..O {
                        sums[o][k] = x.mul_add(V::load(&gs[o][at]), sums[o][k]);
                    }
                }
            }
        }
        for o in 0..O {
            for k in 0..K {
                to[o * depth + k] += sums[o][k].sum();
            }
        }
    }
}
