//! Zero padding of images, and every so many rows and columns of them.
//!
//! pad: `ys[y + top, x + left] = xs[y, x]`, 0 elsewhere. stride: `ys[y, x] = xs[start + step y, start + step x]`. Each
//! is the gradient of the other, but for its numbers.

use candle_core::{Result, Tensor};

use crate::chain::apply_all;
use crate::check;
use crate::cpu::serves;
use crate::planes::{EachPlane, Linear};
use crate::portable;

/// A small image within a large one: its (y, x) is there at `start + step (y, x)`.
#[derive(Clone, Copy)]
struct Places {
    small: (usize, usize),
    large: (usize, usize),
    start: (usize, usize),
    step: (usize, usize),
}

impl Places {
    /// For each row of the small image, where its first number is in the large one.
    fn rows(self) -> impl Iterator<Item = usize> {
        (0..self.small.0).map(move |y| (self.start.0 + self.step.0 * y) * self.large.1 + self.start.1)
    }

    fn take_out(self, large: &[f32], small: &mut [f32]) {
        for (row, first) in small.chunks_exact_mut(self.small.1.max(1)).zip(self.rows()) {
            match self.step.1 {
                1 => row.copy_from_slice(&large[first..first + row.len()]),
                step => row.iter_mut().zip(large[first..].iter().step_by(step)).for_each(|(to, x)| *to = *x),
            }
        }
    }

    fn put_in(self, small: &[f32], large: &mut [f32]) {
        for (row, first) in small.chunks_exact(self.small.1.max(1)).zip(self.rows()) {
            match self.step.1 {
                1 => large[first..first + row.len()].copy_from_slice(row),
                step => large[first..].iter_mut().step_by(step).zip(row).for_each(|(to, x)| *to = *x),
            }
        }
    }
}

struct Pad(Places);

impl Linear for Pad {
    fn output(&self) -> (usize, usize) {
        self.0.large
    }

    fn forward(&self, plane: &[f32], ys: &mut [f32]) {
        self.0.put_in(plane, ys);
    }

    fn backward(&self, g: &[f32], dx: &mut [f32]) {
        self.0.take_out(g, dx);
    }
}

struct Stride(Places);

impl Linear for Stride {
    fn output(&self) -> (usize, usize) {
        self.0.small
    }

    fn forward(&self, plane: &[f32], ys: &mut [f32]) {
        self.0.take_out(plane, ys);
    }

    fn backward(&self, g: &[f32], dx: &mut [f32]) {
        self.0.put_in(g, dx);
    }
}

/// Zeros above, left of, below and right of images: (b, c, h, w) -> (b, c, top + h + bottom, left + w + right).
///
/// # Errors
/// If `xs` is not (b, c, h, w), or the result has more numbers than can be counted.
pub fn pad(xs: &Tensor, sides: [usize; 4]) -> Result<Tensor> {
    let (large, (_, _, h, w)) = (check::pad(xs, sides)?, xs.dims4()?);
    if sides == [0; 4] {
        return Ok(xs.clone());
    }
    if !serves(&[xs]) {
        return portable::pad(xs, sides);
    }
    let places = Places { small: (h, w), large, start: (sides[0], sides[1]), step: (1, 1) };
    apply_all(vec![xs.contiguous()?], EachPlane(Pad(places)))
}

/// Every `step`-th row and column from `start` on, (row, column): (b, c, h, w) -> (b, c, h', w') with
/// h' = (h - start) / step, rounded up.
///
/// # Errors
/// If `xs` is not (b, c, h, w), the start is not in the image or a step is 0.
pub fn stride(xs: &Tensor, start: (usize, usize), step: (usize, usize)) -> Result<Tensor> {
    let (small, (_, _, h, w)) = (check::stride(xs, start, step)?, xs.dims4()?);
    if !serves(&[xs]) {
        return portable::stride(xs, start, step);
    }
    apply_all(vec![xs.contiguous()?], EachPlane(Stride(Places { small, large: (h, w), start, step })))
}
