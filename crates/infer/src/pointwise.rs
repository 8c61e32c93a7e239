//! Steps that go number by number: scales and shifts, sums, products.

use crate::Result;
use crate::after::{After, Bounds};
use crate::kernel::{Inputs, Kernel};
use crate::layout::Layout;

/// `scale x + shift` per channel: a normalisation that no convolution takes over, or a function alone.
pub(crate) struct Pointwise {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
    pub(crate) after: After,
}

impl Kernel for Pointwise {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let bounds = self.after.bounds();
        for image in 0..images {
            let (xs, ys) = (xs.image(0, &self.input, image), &mut ys[image * self.output.len()..]);
            self.input.beside(&self.output, |c, from, to| {
                let (scale, shift, w) = (self.scale[c], self.shift[c], self.input.w);
                let row = xs[from..][..w].iter().zip(&mut ys[to..][..w]);
                row.for_each(|(x, y)| *y = bounds.hold(scale * x + shift));
            });
            self.after.finish(&self.output, ys);
        }
        Ok(())
    }
}

/// A number for each value is added: what closed channels left behind at padded borders.
pub(crate) struct Map {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    /// (c, h, w)
    pub(crate) values: Vec<f32>,
    pub(crate) after: After,
}

impl Kernel for Map {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let bounds = self.after.bounds();
        for image in 0..images {
            let (xs, ys) = (xs.image(0, &self.input, image), &mut ys[image * self.output.len()..]);
            let rows = self.input.rows().zip(self.output.rows());
            for ((from, to), values) in rows.zip(self.values.chunks_exact(self.input.w)) {
                let row = values.iter().zip(&xs[from..]).zip(&mut ys[to..]);
                row.for_each(|((value, x), y)| *y = bounds.hold(x + value));
            }
            self.after.finish(&self.output, ys);
        }
        Ok(())
    }
}

/// The sum of two inputs or more.
pub(crate) struct Add {
    pub(crate) inputs: Vec<Layout>,
    pub(crate) output: Layout,
    pub(crate) after: After,
}

impl Add {
    /// `ys` and one more input; the bounds are those of the last one.
    fn more(&self, i: usize, xs: &[f32], ys: &mut [f32]) {
        let bounds = self.bounds_of(i);
        let w = self.output.w;
        self.inputs[i].beside(&self.output, |_, from, to| {
            let row = xs[from..][..w].iter().zip(&mut ys[to..][..w]);
            row.for_each(|(x, y)| *y = bounds.hold(*y + x));
        });
    }

    fn bounds_of(&self, i: usize) -> Bounds {
        if i + 1 == self.inputs.len() { self.after.bounds() } else { Bounds::NONE }
    }
}

impl Kernel for Add {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let bounds = self.bounds_of(1);
        for image in 0..images {
            let [a, b] = [0, 1].map(|i| xs.image(i, &self.inputs[i], image));
            let ys = &mut ys[image * self.output.len()..];
            let (first, w) = (self.inputs[1].at(0, 0), self.output.w);
            let (row, plane, h) = (self.inputs[1].row(), self.inputs[1].plane(), self.output.h);
            let mut y = 0;
            self.inputs[0].beside(&self.output, |c, from, to| {
                let other = first + c * plane + y % h * row;
                y += 1;
                let row = a[from..][..w].iter().zip(&b[other..][..w]).zip(&mut ys[to..][..w]);
                row.for_each(|((a, b), y)| *y = bounds.hold(a + b));
            });
            (2..self.inputs.len()).for_each(|i| self.more(i, xs.image(i, &self.inputs[i], image), ys));
            self.after.finish(&self.output, ys);
        }
        Ok(())
    }
}

/// The product of an image and another, or a number for each of its channels.
pub(crate) struct Mul {
    pub(crate) inputs: [Layout; 2],
    /// Which input is the image.
    pub(crate) image: usize,
    pub(crate) output: Layout,
    pub(crate) after: After,
}

impl Kernel for Mul {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let [input, factor] = [self.image, 1 - self.image].map(|i| self.inputs[i]);
        let (bounds, each) = (self.after.bounds(), (factor.h, factor.w) == (self.output.h, self.output.w));
        for image in 0..images {
            let [a, b] = [(self.image, input), (1 - self.image, factor)].map(|(i, like)| xs.image(i, &like, image));
            let ys = &mut ys[image * self.output.len()..];
            for (row, (from, to)) in input.rows().zip(self.output.rows()).enumerate() {
                let (c, y) = (row / input.h, row % input.h);
                let values = a[from..][..input.w].iter().zip(&mut ys[to..]);
                if each {
                    values.zip(&b[factor.at(c, y)..]).for_each(|((a, y), b)| *y = bounds.hold(a * b));
                } else {
                    let b = b[factor.at(c, 0)];
                    values.for_each(|(a, y)| *y = bounds.hold(a * b));
                }
            }
            self.after.finish(&self.output, ys);
        }
        Ok(())
    }
}
