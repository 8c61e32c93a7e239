//! A stride taken out of a convolution: an image laid out as planes of every so many rows and columns.

use l0_net::Pair;

use crate::layout::Layout;

/// An image with its border as planes of every s-th row and column: one for each remainder that a kernel offset has.
pub(crate) struct Split {
    stride: Pair,
    remainders: Vec<(usize, usize)>,
    h: usize,
    pub(crate) w: usize,
}

impl Split {
    /// For kernel offsets counted from the first row and column of the border.
    pub(crate) fn new(stride: Pair, input: &Layout, offsets: &[(usize, usize)]) -> Self {
        let mut remainders: Vec<(usize, usize)> = offsets.iter().map(|&(u, v)| (u % stride.h, v % stride.w)).collect();
        remainders.sort_unstable();
        remainders.dedup();
        Self { stride, remainders, h: input.height().div_ceil(stride.h), w: input.row().div_ceil(stride.w) }
    }

    /// From one channel to the next.
    pub(crate) fn plane(&self) -> usize {
        self.remainders.len() * self.h * self.w
    }

    /// Where the positions begin that meet a kernel offset.
    pub(crate) fn shift(&self, (u, v): (usize, usize)) -> usize {
        let remainder = (u % self.stride.h, v % self.stride.w);
        let place = self.remainders.iter().position(|&r| r == remainder).unwrap_or(0);
        (place * self.h + u / self.stride.h) * self.w + v / self.stride.w
    }

    pub(crate) fn run(&self, input: &Layout, xs: &[f32], to: &mut [f32]) {
        let planes = to.chunks_exact_mut(self.h * self.w);
        for (i, plane) in planes.take(input.c * self.remainders.len()).enumerate() {
            let (c, (ry, rx)) = (i / self.remainders.len(), self.remainders[i % self.remainders.len()]);
            let rows = xs[c * input.plane()..][..input.plane()].chunks_exact(input.row());
            for (to, from) in plane.chunks_exact_mut(self.w).zip(rows.skip(ry).step_by(self.stride.h)) {
                every(&from[rx..], self.stride.w, to);
            }
        }
    }
}

/// Every so many numbers of a row. Of two, the compiler makes vectors where it is told so.
#[inline(always)]
fn every(from: &[f32], stride: usize, to: &mut [f32]) {
    let (pairs, last) = from.as_chunks::<2>();
    if stride == 2 {
        to.iter_mut().zip(pairs).for_each(|(to, [x, _])| *to = *x);
        to.iter_mut().skip(pairs.len()).zip(last).for_each(|(to, x)| *to = *x);
    } else {
        to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, x)| *to = *x);
    }
}
