//! Steps that put numbers elsewhere: units picked, set side by side or made of zeros, rows and columns picked, repeated
//! or mixed.

use crate::Result;
use crate::kernel::{Inputs, Kernel};
use crate::layout::Layout;

/// Each unit of the output is a unit of an input, or 0; with all units of one input listed, a copy into another layout.
pub(crate) struct Units {
    pub(crate) inputs: Vec<Layout>,
    pub(crate) output: Layout,
    /// For each unit (input, unit).
    pub(crate) from: Vec<Option<(usize, usize)>>,
}

impl Units {
    /// The same units, elsewhere.
    pub(crate) fn copy(input: Layout, output: Layout) -> Self {
        Self { inputs: vec![input], output, from: (0..output.c).map(|unit| Some((0, unit))).collect() }
    }
}

impl Units {
    /// Features of one input: numbers one by one.
    fn features(&self, xs: &[f32], ys: &mut [f32]) {
        for (y, from) in ys.iter_mut().zip(&self.from) {
            *y = from.map_or(0.0, |(_, unit)| xs[unit]);
        }
    }
}

impl Kernel for Units {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let Layout { h, w, .. } = self.output;
        for image in 0..images {
            let ys = &mut ys[image * self.output.len()..];
            if let ([input], 1) = (self.inputs.as_slice(), self.output.plane())
                && input.plane() == 1
            {
                self.features(xs.image(0, input, image), ys);
                continue;
            }
            for (c, from) in self.from.iter().enumerate() {
                for y in 0..h {
                    let to = &mut ys[self.output.at(c, y)..][..w];
                    match *from {
                        Some((i, unit)) => {
                            let input = &self.inputs[i];
                            to.copy_from_slice(&xs.image(i, input, image)[input.at(unit, y)..][..w]);
                        }
                        None => to.fill(0.0),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Each row and column of the output is one of the input, or 0.
pub(crate) struct Places {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    pub(crate) rows: Vec<Option<usize>>,
    /// The input's width stands for a column of zeros.
    pub(crate) columns: Vec<usize>,
}

impl Places {
    /// Row and column `at` of the output show what `row` and `column` say.
    pub(crate) fn new(
        input: Layout,
        output: Layout,
        row: impl Fn(usize) -> Option<usize>,
        column: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let rows = (0..output.h).map(|y| row(y).filter(|&y| y < input.h)).collect();
        let columns = (0..output.w).map(|x| column(x).filter(|&x| x < input.w).unwrap_or(input.w)).collect();
        Self { input, output, rows, columns }
    }
}

impl Kernel for Places {
    fn scratch(&self) -> usize {
        self.input.w + 1
    }

    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], scratch: &mut [f32]) -> Result<()> {
        let w = self.input.w;
        scratch[w] = 0.0;
        for image in 0..images {
            let (xs, ys) = (xs.image(0, &self.input, image), &mut ys[image * self.output.len()..]);
            for (i, to) in self.output.rows().enumerate() {
                let to = &mut ys[to..][..self.output.w];
                let Some(row) = self.rows[i % self.output.h] else {
                    to.fill(0.0);
                    continue;
                };
                scratch[..w].copy_from_slice(&xs[self.input.at(i / self.output.h, row)..][..w]);
                to.iter_mut().zip(&self.columns).for_each(|(y, &x)| *y = scratch[x]);
            }
        }
        Ok(())
    }
}

/// `(1 - t)` of number `at` and `t` of number `next`.
#[derive(Debug, Clone, Copy)]
struct Mean {
    at: usize,
    next: usize,
    t: f32,
}

/// The means that a side of n numbers becomes: those around `(i + 1/2) / factor - 1/2`, held to the side, or around
/// `i (n - 1) / (n factor - 1)` where the corners lie at one place.
fn means(n: usize, factor: usize, align_corners: bool) -> Vec<Mean> {
    let (last, long) = (n - 1, n * factor);
    let place = |i: usize| match align_corners {
        true => (i * last) as f64 / (long - 1).max(1) as f64,
        false => ((i as f64 + 0.5) / factor as f64 - 0.5).clamp(0.0, last as f64),
    };
    let mean = |place: f64| {
        let at = (place as usize).min(last);
        Mean { at, next: (at + 1).min(last), t: (place - at as f64) as f32 }
    };
    (0..long).map(|i| mean(place(i))).collect()
}

/// Means of the four numbers around each place of a larger image.
pub(crate) struct Bilinear {
    input: Layout,
    output: Layout,
    rows: Vec<Mean>,
    columns: Vec<Mean>,
}

impl Bilinear {
    pub(crate) fn new(input: Layout, output: Layout, align_corners: bool) -> Self {
        let rows = means(input.h, output.h / input.h, align_corners);
        Self { input, output, rows, columns: means(input.w, output.w / input.w, align_corners) }
    }
}

impl Kernel for Bilinear {
    fn scratch(&self) -> usize {
        self.input.w
    }

    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], scratch: &mut [f32]) -> Result<()> {
        let line = &mut scratch[..self.input.w];
        for image in 0..images {
            let (xs, ys) = (xs.image(0, &self.input, image), &mut ys[image * self.output.len()..]);
            for (i, to) in self.output.rows().enumerate() {
                let (c, row) = (i / self.output.h, self.rows[i % self.output.h]);
                let [above, below] = [row.at, row.next].map(|y| &xs[self.input.at(c, y)..]);
                let both = above.iter().zip(below);
                line.iter_mut().zip(both).for_each(|(to, (a, b))| *to = row.t.mul_add(b - a, *a));
                let mixed = |m: &Mean| m.t.mul_add(line[m.next] - line[m.at], line[m.at]);
                ys[to..].iter_mut().zip(&self.columns).for_each(|(y, mean)| *y = mixed(mean));
            }
        }
        Ok(())
    }
}
