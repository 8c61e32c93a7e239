//! What a step of a compiled network does, and the steps that are mere passes over their input.

use crate::layout::Layout;
use crate::tile::{at_least, larger};

/// The work of one step.
pub(crate) trait Kernel: Send + Sync {
    /// Computes some images of the output; borders stay as they are. Inputs that a step does not have are empty.
    fn run(&self, images: usize, xs: [&[f32]; 2], ys: &mut [f32], scratch: &mut [f32]);

    /// How many numbers of scratch space it needs.
    fn scratch(&self) -> usize {
        0
    }
}

/// `value` or, with ReLU, `max(0, value)`.
#[inline(always)]
fn rectified(relu: bool, value: f32) -> f32 {
    at_least(if relu { 0.0 } else { f32::NEG_INFINITY }, value)
}

/// `scale x + shift` per channel, then ReLU: a normalisation that no convolution takes over, or a ReLU alone.
pub(crate) struct Pointwise {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
    pub(crate) relu: bool,
}

impl Kernel for Pointwise {
    fn run(&self, images: usize, xs: [&[f32]; 2], ys: &mut [f32], _: &mut [f32]) {
        for image in 0..images {
            let (xs, ys) = (&xs[0][image * self.input.len()..], &mut ys[image * self.output.len()..]);
            for (row, (from, to)) in self.input.rows().zip(self.output.rows()).enumerate() {
                let (scale, shift) = (self.scale[row / self.input.h], self.shift[row / self.input.h]);
                let row = xs[from..][..self.input.w].iter().zip(&mut ys[to..]);
                row.for_each(|(x, y)| *y = rectified(self.relu, scale * x + shift));
            }
        }
    }
}

/// A number for each value is added, then ReLU: what closed channels left behind at padded borders.
pub(crate) struct Map {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    /// (c, h, w)
    pub(crate) values: Vec<f32>,
    pub(crate) relu: bool,
}

impl Kernel for Map {
    fn run(&self, images: usize, xs: [&[f32]; 2], ys: &mut [f32], _: &mut [f32]) {
        for image in 0..images {
            let (xs, ys) = (&xs[0][image * self.input.len()..], &mut ys[image * self.output.len()..]);
            let rows = self.input.rows().zip(self.output.rows());
            for ((from, to), values) in rows.zip(self.values.chunks_exact(self.input.w)) {
                let row = values.iter().zip(&xs[from..]).zip(&mut ys[to..]);
                row.for_each(|((value, x), y)| *y = rectified(self.relu, x + value));
            }
        }
    }
}

/// The sum of two inputs, then ReLU.
pub(crate) struct Add {
    pub(crate) inputs: [Layout; 2],
    pub(crate) output: Layout,
    pub(crate) relu: bool,
}

impl Kernel for Add {
    fn run(&self, images: usize, xs: [&[f32]; 2], ys: &mut [f32], _: &mut [f32]) {
        for image in 0..images {
            let [a, b] = [0, 1].map(|i| &xs[i][image * self.inputs[i].len()..]);
            let ys = &mut ys[image * self.output.len()..];
            let starts = self.inputs[0].rows().zip(self.inputs[1].rows()).zip(self.output.rows());
            for ((from_a, from_b), to) in starts {
                let row = a[from_a..][..self.output.w].iter().zip(&b[from_b..]).zip(&mut ys[to..]);
                row.for_each(|((a, b), y)| *y = rectified(self.relu, a + b));
            }
        }
    }
}

/// The largest value of windows side by side.
pub(crate) struct MaxPool {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    pub(crate) size: usize,
}

impl Kernel for MaxPool {
    fn run(&self, images: usize, xs: [&[f32]; 2], ys: &mut [f32], _: &mut [f32]) {
        let (row, s) = (self.input.row(), self.size);
        for image in 0..images {
            let (xs, ys) = (&xs[0][image * self.input.len()..], &mut ys[image * self.output.len()..]);
            for (i, to) in self.output.rows().enumerate() {
                let from = self.input.at(i / self.output.h, i % self.output.h * s);
                for (x, y) in ys[to..][..self.output.w].iter_mut().enumerate() {
                    let rows = (0..s).map(|r| &xs[from + r * row + x * s..][..s]);
                    *y = rows.flatten().fold(f32::NEG_INFINITY, |most, x| larger(most, *x));
                }
            }
        }
    }
}

/// The mean of each channel.
pub(crate) struct AvgPool {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
}

impl Kernel for AvgPool {
    fn run(&self, images: usize, xs: [&[f32]; 2], ys: &mut [f32], _: &mut [f32]) {
        let n = (self.input.h * self.input.w) as f32;
        for image in 0..images {
            let (xs, ys) = (&xs[0][image * self.input.len()..], &mut ys[image * self.output.len()..]);
            for (c, y) in ys[..self.output.c].iter_mut().enumerate() {
                let rows = (0..self.input.h).map(|row| &xs[self.input.at(c, row)..][..self.input.w]);
                *y = rows.map(|row| row.iter().sum::<f32>()).sum::<f32>() / n;
            }
        }
    }
}

/// The listed channels in their order; with all of them listed, a copy into another layout.
pub(crate) struct Gather {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    pub(crate) units: Vec<u32>,
}

impl Kernel for Gather {
    fn run(&self, images: usize, xs: [&[f32]; 2], ys: &mut [f32], _: &mut [f32]) {
        for image in 0..images {
            let (xs, ys) = (&xs[0][image * self.input.len()..], &mut ys[image * self.output.len()..]);
            if self.input.plane() == 1 && self.output.plane() == 1 {
                ys.iter_mut().zip(&self.units).for_each(|(y, &unit)| *y = xs[unit as usize]);
                continue;
            }
            for (i, to) in self.output.rows().enumerate() {
                let from = self.input.at(self.units[i / self.output.h] as usize, i % self.output.h);
                ys[to..][..self.output.w].copy_from_slice(&xs[from..][..self.output.w]);
            }
        }
    }
}
