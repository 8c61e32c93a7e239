//! Pooling by windows and over whole channels.

use l0_net::layers::{AvgPool2d, MaxPool2d, PoolKind};
use l0_net::{Pair, Sides};

use crate::Result;
use crate::kernel::{Inputs, Kernel};
use crate::layout::Layout;
use crate::tile::larger;

/// Windows along one side of an image.
struct Windows {
    size: usize,
    stride: usize,
    /// Rows or columns before the image.
    before: usize,
    /// Those of the image.
    n: usize,
    /// How many windows.
    out: usize,
}

impl Windows {
    /// The rows of the image that window `i` sees.
    fn seen(&self, i: usize) -> std::ops::Range<usize> {
        let start = i * self.stride;
        start.saturating_sub(self.before)..start.saturating_add(self.size).saturating_sub(self.before).min(self.n)
    }

    /// The places in a window that lie within the image for one window or more.
    fn places(&self) -> std::ops::Range<usize> {
        self.before.saturating_sub((self.out - 1) * self.stride)..self.size.min(self.before + self.n)
    }

    /// Of the windows that have their number `k` within the image, the first one, the end, and the place of that number
    /// in the first one.
    fn with(&self, k: usize) -> (usize, usize, usize) {
        let first = self.before.saturating_sub(k).div_ceil(self.stride);
        let end = (self.n + self.before).saturating_sub(k).div_ceil(self.stride).min(self.out);
        (first.min(end), end, (first * self.stride + k).saturating_sub(self.before))
    }

    /// How many numbers each window has within the image, or, with zeros, within `after` more and those before.
    fn counts(&self, zeros: bool, after: usize) -> Vec<f32> {
        let count = |i| match zeros {
            true => self.size.min(self.before + self.n + after - i * self.stride),
            false => self.seen(i).len(),
        };
        (0..self.out).map(|i| count(i) as f32).collect()
    }
}

/// The largest value or the mean of windows.
pub(crate) struct Pool {
    input: Layout,
    output: Layout,
    rows: Windows,
    columns: Windows,
    /// Numbers that each window is the mean of, down and across; none where the largest is wanted.
    counts: Option<[Vec<f32>; 2]>,
}

impl Pool {
    fn new(input: Layout, output: Layout, size: Pair, stride: Option<Pair>, padding: Sides) -> Self {
        let stride = stride.unwrap_or(size);
        let rows = Windows { size: size.h, stride: stride.h, before: padding.top, n: input.h, out: output.h };
        let columns = Windows { size: size.w, stride: stride.w, before: padding.left, n: input.w, out: output.w };
        Self { input, output, rows, columns, counts: None }
    }

    pub(crate) fn max(layer: &MaxPool2d, input: Layout, output: Layout) -> Self {
        Self::new(input, output, layer.size, layer.stride, layer.padding)
    }

    pub(crate) fn mean(layer: &AvgPool2d, input: Layout, output: Layout) -> Self {
        let pool = Self::new(input, output, layer.size, layer.stride, layer.padding);
        let (zeros, Sides { bottom, right, .. }) = (layer.count_include_pad, layer.padding);
        let counts = [pool.rows.counts(zeros, bottom), pool.columns.counts(zeros, right)];
        Self { counts: Some(counts), ..pool }
    }

    /// A row of windows: first down, then across.
    fn row(
        &self,
        plane: &[f32],
        y: usize,
        line: &mut [f32],
        to: &mut [f32],
        start: f32,
        both: impl Fn(f32, f32) -> f32,
    ) {
        line.fill(start);
        for row in self.rows.seen(y) {
            line.iter_mut().zip(&plane[self.input.at(0, row)..]).for_each(|(to, x)| *to = both(*to, *x));
        }
        to.fill(start);
        for k in self.columns.places() {
            let (first, end, from) = self.columns.with(k);
            let values = line.iter().skip(from).step_by(self.columns.stride);
            to[first..end].iter_mut().zip(values).for_each(|(to, x)| *to = both(*to, *x));
        }
    }
}

impl Kernel for Pool {
    fn scratch(&self) -> usize {
        self.input.w
    }

    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], scratch: &mut [f32]) -> Result<()> {
        let line = &mut scratch[..self.input.w];
        for image in 0..images {
            let (xs, ys) = (xs.image(0, &self.input, image), &mut ys[image * self.output.len()..]);
            for (i, at) in self.output.rows().enumerate() {
                let (plane, y) = (&xs[i / self.output.h * self.input.plane()..], i % self.output.h);
                let to = &mut ys[at..][..self.output.w];
                match &self.counts {
                    None => self.row(plane, y, line, to, f32::NEG_INFINITY, larger),
                    Some([rows, columns]) => {
                        self.row(plane, y, line, to, 0.0, |a, b| a + b);
                        to.iter_mut().zip(columns).for_each(|(to, column)| *to /= rows[y] * column);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The mean or the largest value of each channel.
pub(crate) struct Global {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    pub(crate) kind: PoolKind,
}

impl Kernel for Global {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let Layout { c, h, w, .. } = self.input;
        for image in 0..images {
            let (xs, ys) = (xs.image(0, &self.input, image), &mut ys[image * self.output.len()..]);
            for c in 0..c {
                let rows = (0..h).map(|row| &xs[self.input.at(c, row)..][..w]);
                ys[self.output.at(c, 0)] = match self.kind {
                    PoolKind::Mean => rows.map(sum).sum::<f32>() / (h * w) as f32,
                    PoolKind::Max => rows.flatten().fold(f32::NEG_INFINITY, |most, x| larger(most, *x)),
                };
            }
        }
        Ok(())
    }
}

/// The sum of a row, eight numbers at a time.
fn sum(row: &[f32]) -> f32 {
    let (eights, rest) = row.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, x)| *sum += x);
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}
