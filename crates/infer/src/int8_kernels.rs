//! The kernels of int8 steps: on codes of 8 bits, which lie channel beside channel, position after position (h, w, c),
//! in the same buffers as numbers, four to each.

use l0_int8::{Codes, Map, Range};
use l0_net::layers::MaxPool2d;
use l0_net::{Grid, Shape, Sides};

use crate::Result;
use crate::kernel::{Inputs, Kernel};
use crate::layout::{Layout, place};

/// Codes of a node's output, and where they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coded {
    pub(crate) buffer: usize,
    pub(crate) size: Size,
    pub(crate) grid: Grid,
}

/// The sides of an image of codes; features are channels of a single position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) c: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
}

impl Size {
    pub(crate) fn of(shape: Shape) -> Self {
        match shape {
            Shape::Features(c) => Self { c, h: 1, w: 1 },
            Shape::Image(c, h, w) => Self { c, h, w },
        }
    }

    /// Codes of one example.
    pub(crate) fn len(&self) -> usize {
        self.c * self.h * self.w
    }

    /// From one example to the next.
    pub(crate) fn stride(&self) -> usize {
        self.len().next_multiple_of(4)
    }

    /// The numbers whose place they take.
    pub(crate) fn layout(&self) -> Layout {
        Layout::bare(self.stride() / 4, 1, 1)
    }
}

/// A code as it is kept, 0 to 255, for one of a grid.
pub(crate) fn kept(grid: Grid, code: i32) -> u8 {
    (code - grid.codes().0).clamp(0, 255) as u8
}

fn bytes(numbers: &[f32]) -> &[u8] {
    bytemuck::cast_slice(numbers)
}

fn bytes_mut(numbers: &mut [f32]) -> &mut [u8] {
    bytemuck::cast_slice_mut(numbers)
}

/// The codes of image `image` of input `i`, and what comes after them.
fn image<'a>(xs: &Inputs<'a>, i: usize, size: Size, image: usize) -> &'a [u8] {
    &bytes(xs.all(i))[image * size.stride()..]
}

/// Numbers become codes.
pub(crate) struct Encode {
    pub(crate) input: Layout,
    pub(crate) size: Size,
    pub(crate) grid: Grid,
}

impl Kernel for Encode {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let (scale, Size { c, .. }) = (self.grid.scale, self.size);
        let range = Range::new(kept(self.grid, self.grid.zero), 0, 255);
        let code = |x: f32| range.code(x / scale);
        let bytes = bytes_mut(ys);
        for image in 0..images {
            let (xs, ys) = (xs.image(0, &self.input, image), &mut bytes[image * self.size.stride()..]);
            for (i, at) in self.input.rows().enumerate() {
                let (channel, y) = (i / self.input.h, i % self.input.h);
                let row = &xs[at..][..self.input.w];
                let to = &mut ys[y * self.input.w * c + channel..];
                match c {
                    1 => to.iter_mut().zip(row).for_each(|(y, &x)| *y = code(x)),
                    _ => to.iter_mut().step_by(c).zip(row).for_each(|(y, &x)| *y = code(x)),
                }
            }
        }
        Ok(())
    }
}

/// Codes become numbers.
pub(crate) struct Decode {
    pub(crate) size: Size,
    pub(crate) grid: Grid,
    pub(crate) output: Layout,
}

impl Kernel for Decode {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let (zero, c) = (i32::from(kept(self.grid, self.grid.zero)), self.size.c);
        for i in 0..images {
            let (xs, ys) = (image(&xs, 0, self.size, i), &mut ys[i * self.output.len()..]);
            for (i, at) in self.output.rows().enumerate() {
                let from = &xs[i % self.output.h * self.output.w * c + i / self.output.h..];
                let to = ys[at..][..self.output.w].iter_mut();
                to.zip(from.iter().step_by(c)).for_each(|(y, &x)| *y = (i32::from(x) - zero) as f32 * self.grid.scale);
            }
        }
        Ok(())
    }
}

/// What becomes of the sums of a linear map.
pub(crate) enum To {
    Codes(Codes),
    /// Numbers, by the scale of each output.
    Floats(Vec<f32>),
}

/// A convolution, one image after the other.
pub(crate) struct Convolve {
    pub(crate) map: Map,
    pub(crate) input: Size,
    /// The image with what is around it.
    pub(crate) padded: Layout,
    /// The code around the image.
    pub(crate) zero: u8,
    /// Where each output begins to read.
    pub(crate) positions: Vec<u32>,
    pub(crate) output: Size,
    pub(crate) to: Codes,
}

impl Convolve {
    /// Puts an image in the middle of zeros.
    fn pad(&self, xs: &[u8], to: &mut [u8]) {
        let (Size { c, w, .. }, Sides { top, left, .. }) = (self.input, self.padded.pad);
        let row = self.padded.row() * c;
        to[..self.padded.len()].fill(self.zero);
        let lines = xs[..self.input.len()].chunks_exact(w * c);
        for (line, to) in lines.zip(to[top * row..].chunks_exact_mut(row)) {
            to[left * c..][..w * c].copy_from_slice(line);
        }
    }
}

impl Kernel for Convolve {
    fn scratch(&self) -> usize {
        if self.padded.is_bare() { 0 } else { self.padded.len().div_ceil(4) }
    }

    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], scratch: &mut [f32]) -> Result<()> {
        let (ys, scratch) = (bytes_mut(ys), bytes_mut(scratch));
        for i in 0..images {
            let to = (&mut ys[i * self.output.stride()..], self.output.c);
            let xs = image(&xs, 0, self.input, i);
            if self.padded.is_bare() {
                self.map.codes(xs, &self.positions, &self.to, to);
                continue;
            }
            self.pad(xs, scratch);
            self.map.codes(scratch, &self.positions, &self.to, to);
        }
        Ok(())
    }
}

/// A linear layer, of all examples at once.
pub(crate) struct Weigh {
    pub(crate) map: Map,
    pub(crate) input: Size,
    pub(crate) output: Size,
    pub(crate) to: To,
}

/// Examples that are weighed at once.
const TOGETHER: usize = 8;

impl Kernel for Weigh {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        for first in (0..images).step_by(TOGETHER) {
            let n = TOGETHER.min(images - first);
            let positions: [u32; TOGETHER] = std::array::from_fn(|i| place(i * self.input.stride()));
            let (xs, positions) = (image(&xs, 0, self.input, first), &positions[..n]);
            match &self.to {
                To::Codes(to) => {
                    let stride = self.output.stride();
                    self.map.codes(xs, positions, to, (&mut bytes_mut(ys)[first * stride..], stride));
                }
                To::Floats(scales) => self.map.floats(xs, positions, scales, &mut ys[first * self.output.c..]),
            }
        }
        Ok(())
    }
}

/// The largest code of each window.
pub(crate) struct Largest {
    pub(crate) layer: MaxPool2d,
    pub(crate) input: Size,
    pub(crate) output: Size,
}

/// The rows or columns from `start` on that a window of `size` sees, `before` of which come before the image.
fn seen(start: usize, size: usize, before: usize, n: usize) -> std::ops::Range<usize> {
    start.saturating_sub(before)..start.saturating_add(size).saturating_sub(before).min(n)
}

impl Largest {
    /// The windows of a row of codes, the channels of each place side by side.
    #[inline(always)]
    fn across(&self, c: usize, line: &[u8], to: &mut [u8]) {
        let MaxPool2d { size, stride, padding, .. } = self.layer;
        let stride = stride.unwrap_or(size).w;
        to.fill(0);
        for (x, to) in to.chunks_exact_mut(c).enumerate() {
            for column in seen(x * stride, size.w, padding.left, self.input.w) {
                let from = &line[column * c..][..c];
                to.iter_mut().zip(from).for_each(|(to, x)| *to = (*to).max(*x));
            }
        }
    }
}

impl Kernel for Largest {
    fn scratch(&self) -> usize {
        (self.input.w * self.input.c).div_ceil(4)
    }

    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], scratch: &mut [f32]) -> Result<()> {
        let MaxPool2d { size, stride, padding, .. } = self.layer;
        let (stride, Size { c, h, w }) = (stride.unwrap_or(size), self.input);
        let (ys, line) = (bytes_mut(ys), &mut bytes_mut(scratch)[..w * c]);
        for i in 0..images {
            let (xs, ys) = (image(&xs, 0, self.input, i), &mut ys[i * self.output.stride()..][..self.output.len()]);
            for (y, to) in ys.chunks_exact_mut(self.output.w * c).enumerate() {
                line.fill(0);
                for row in seen(y * stride.h, size.h, padding.top, h) {
                    line.iter_mut().zip(&xs[row * w * c..]).for_each(|(to, x)| *to = (*to).max(*x));
                }
                match c {
                    8 => self.across(8, line, to), // known to the compiler, a vector
                    16 => self.across(16, line, to),
                    32 => self.across(32, line, to),
                    _ => self.across(c, line, to),
                }
            }
        }
        Ok(())
    }
}

/// Codes that are picked.
pub(crate) struct Gather {
    pub(crate) input: Size,
    pub(crate) output: Size,
    pub(crate) from: Vec<u32>,
}

impl Kernel for Gather {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let ys = bytes_mut(ys);
        for i in 0..images {
            let (xs, ys) = (image(&xs, 0, self.input, i), &mut ys[i * self.output.stride()..]);
            ys.iter_mut().zip(&self.from).for_each(|(y, &from)| *y = xs[from as usize]);
        }
        Ok(())
    }
}

/// The codes of two inputs, each times its factor, and a constant.
pub(crate) struct Sum {
    pub(crate) size: Size,
    pub(crate) factors: [f32; 2],
    pub(crate) constant: f32,
    pub(crate) to: Range,
}

impl Kernel for Sum {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let n = images * self.size.stride();
        let ([p, q], constant, to) = (self.factors, self.constant, self.to);
        let (a, b) = (&bytes(xs.all(0))[..n], &bytes(xs.all(1))[..n]);
        for ((y, &a), &b) in bytes_mut(ys)[..n].iter_mut().zip(a).zip(b) {
            *y = to.code(f32::from(a) * p + (f32::from(b) * q + constant));
        }
        Ok(())
    }
}

/// Codes times a factor, and a constant, for each channel.
pub(crate) struct Affine {
    pub(crate) size: Size,
    /// Of each place in a row.
    pub(crate) factors: Vec<f32>,
    pub(crate) constants: Vec<f32>,
    pub(crate) to: Range,
}

impl Kernel for Affine {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let ys = bytes_mut(ys);
        for i in 0..images {
            let (xs, ys) = (image(&xs, 0, self.size, i), &mut ys[i * self.size.stride()..][..self.size.len()]);
            let rows = ys.chunks_exact_mut(self.factors.len()).zip(xs.chunks_exact(self.factors.len()));
            for (ys, xs) in rows {
                let both = self.factors.iter().zip(&self.constants);
                for ((y, &x), (factor, constant)) in ys.iter_mut().zip(xs).zip(both) {
                    *y = self.to.code(f32::from(x) * factor + constant);
                }
            }
        }
        Ok(())
    }
}

/// The mean of each channel, as a number.
pub(crate) struct Mean {
    pub(crate) size: Size,
    pub(crate) grid: Grid,
    pub(crate) output: Layout,
}

/// Channels that are summed at once.
const BESIDE: usize = 64;
/// Positions whose codes are summed in 32 bits, which hold 2^24 of them.
const POSITIONS: usize = 1 << 16;

impl Mean {
    /// The sums of the codes of up to [`BESIDE`] channels of an image, from `first` on: whole numbers, since those that
    /// a float holds end at 2^24.
    fn sums(&self, codes: &[u8], first: usize) -> [u64; BESIDE] {
        let (c, mut sums) = (self.size.c, [0u64; BESIDE]);
        let channels = first..c.min(first + BESIDE);
        for codes in codes.chunks(POSITIONS * c) {
            let mut part = [0u32; BESIDE];
            for codes in codes.chunks_exact(c) {
                part.iter_mut().zip(&codes[channels.clone()]).for_each(|(sum, &code)| *sum += u32::from(code));
            }
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += u64::from(part));
        }
        sums
    }
}

impl Kernel for Mean {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        let Size { c, h, w } = self.size;
        let zero = f32::from(kept(self.grid, self.grid.zero));
        for i in 0..images {
            let codes = &image(&xs, 0, self.size, i)[..self.size.len()];
            for first in (0..c).step_by(BESIDE) {
                for (channel, sum) in (first..c).zip(self.sums(codes, first)) {
                    let mean = (sum as f32 / (h * w) as f32 - zero) * self.grid.scale;
                    ys[i * self.output.len() + self.output.at(channel, 0)] = mean;
                }
            }
        }
        Ok(())
    }
}
