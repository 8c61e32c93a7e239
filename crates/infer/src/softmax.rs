//! `exp(x) / sum of exp` over the units, at each position.

use crate::Result;
use crate::kernel::{Inputs, Kernel};
use crate::layout::Layout;
use crate::tile::larger;

pub(crate) struct Softmax {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
}

impl Softmax {
    /// A row of positions of all units; `line` holds the largest values, then the sums.
    fn row(&self, xs: &[f32], y: usize, ys: &mut [f32], line: &mut [f32]) {
        let (w, from, to) = (self.output.w, |c| self.input.at(c, y), |c| self.output.at(c, y));
        line.fill(f32::NEG_INFINITY);
        for c in 0..self.output.c {
            line.iter_mut().zip(&xs[from(c)..]).for_each(|(most, x)| *most = larger(*most, *x));
        }
        for c in 0..self.output.c {
            let all = ys[to(c)..].iter_mut().zip(&xs[from(c)..]).zip(&*line);
            all.for_each(|((y, x), most)| *y = (x - most).exp());
        }
        line.fill(0.0);
        for c in 0..self.output.c {
            line.iter_mut().zip(&ys[to(c)..][..w]).for_each(|(sum, y)| *sum += y);
        }
        for c in 0..self.output.c {
            ys[to(c)..].iter_mut().zip(&*line).for_each(|(y, sum)| *y /= sum);
        }
    }
}

impl Kernel for Softmax {
    fn scratch(&self) -> usize {
        self.output.w
    }

    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], scratch: &mut [f32]) -> Result<()> {
        for image in 0..images {
            let (xs, ys) = (xs.image(0, &self.input, image), &mut ys[image * self.output.len()..]);
            (0..self.output.h).for_each(|y| self.row(xs, y, ys, &mut scratch[..self.output.w]));
        }
        Ok(())
    }
}
