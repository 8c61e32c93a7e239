//! Transposed convolution as convolutions: of a stride of s, the outputs that lie s apart are one.
//!
//! Output row y gets input row i through kernel row u where `s i + d u - p = y`. All rows `y = s q + r` with one
//! remainder r read the same kernel rows, those with `d u = r + p` modulo s, at input rows `q + (r + p - d u) / s`.

use l0_net::layers::ConvTranspose2d;
use l0_net::{Pair, Sides};

use crate::Result;
use crate::after::After;
use crate::conv::{Conv, Parts};
use crate::kernel::{Inputs, Kernel};
use crate::layout::Layout;

/// Further away than any row of an image that can be computed with.
const FAR: i128 = 1 << 40;

/// The kernel rows or columns that the outputs of one remainder read.
struct Phase {
    remainder: usize,
    /// How many rows or columns of the output.
    len: usize,
    /// Kernel row, and which input row it meets, counted from q.
    taps: Vec<(usize, isize)>,
}

/// The phases along one side; those that have no output are left out.
fn phases(kernel: usize, stride: usize, dilation: usize, before: usize, out: usize) -> Vec<Phase> {
    let phase = |remainder: usize| {
        // Numbers from files: wide enough for all, then held to what no image reaches.
        let distance = |u: usize| remainder as i128 + before as i128 - dilation as i128 * u as i128;
        let at = |u| (distance(u) / stride as i128).clamp(-FAR, FAR) as isize;
        let taps = (0..kernel).filter(|&u| distance(u) % stride as i128 == 0).map(|u| (u, at(u))).collect();
        Phase { remainder, len: (out - remainder).div_ceil(stride), taps }
    };
    (0..stride.min(out)).map(phase).collect()
}

fn both(layer: &ConvTranspose2d, h: usize, w: usize) -> [Vec<Phase>; 2] {
    let ConvTranspose2d { kernel, stride, dilation, padding, .. } = layer;
    [phases(kernel.h, stride.h, dilation.h, padding.top, h), phases(kernel.w, stride.w, dilation.w, padding.left, w)]
}

/// The zeros wanted around images of (h, w) which become some of `out`.
pub(crate) fn border(layer: &ConvTranspose2d, (h, w): (usize, usize), out: (usize, usize)) -> Sides {
    let [rows, columns] = both(layer, out.0, out.1);
    let reach = |phases: &[Phase], n: usize| {
        let first = phases.iter().flat_map(|phase| &phase.taps).map(|&(_, at)| -at).max().unwrap_or(0);
        // A phase without a kernel row reads what it then weighs with 0.
        let last = |phase: &Phase| phase.taps.iter().map(|&(_, at)| at).max().unwrap_or(0) + phase.len as isize;
        let last = phases.iter().map(last).max().unwrap_or(0) - n as isize;
        (first.max(0) as usize, last.max(0) as usize)
    };
    let ((top, bottom), (left, right)) = (reach(&rows, h), reach(&columns, w));
    Sides { top, left, bottom, right }
}

/// A packed transposed convolution.
pub(crate) struct Transposed {
    input: Layout,
    output: Layout,
    stride: Pair,
    /// Remainders of rows and columns, what makes these outputs, and how it lays them out.
    phases: Vec<(usize, usize, Conv, Layout)>,
}

impl Transposed {
    /// `weight` is (output, input, kernel, kernel).
    pub(crate) fn new(
        layer: &ConvTranspose2d,
        input: Layout,
        output: Layout,
        weight: &[f32],
        bias: &[f32],
        after: &After,
    ) -> Self {
        let [rows, columns] = both(layer, output.h, output.w);
        let mut phases = Vec::new();
        for (row, column) in rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column))) {
            let made = Layout::bare(output.c, row.len, column.len);
            let pairs = row.taps.iter().flat_map(|&(u, y)| column.taps.iter().map(move |&(v, x)| (u, v, y, x)));
            let mut pairs: Vec<(Option<usize>, (isize, isize))> =
                pairs.map(|(u, v, y, x)| (Some(u * layer.kernel.w + v), (y, x))).collect();
            if pairs.is_empty() {
                pairs.push((None, (0, 0))); // nothing but the bias
            }
            let kernels = weight.chunks_exact(layer.kernel.area());
            let weight = kernels.flat_map(|kernel| pairs.iter().map(|(at, _)| at.map_or(0.0, |at| kernel[at])));
            let parts = Parts {
                weight: weight.collect(),
                taps: pairs.iter().map(|&(_, tap)| tap).collect(),
                stride: Pair::ONE,
                groups: 1,
                bias: bias.to_vec(),
                pool: false,
                after: after.clone(),
            };
            phases.push((row.remainder, column.remainder, Conv::new(parts, input, made), made));
        }
        Self { input, output, stride: layer.stride, phases }
    }
}

impl Kernel for Transposed {
    fn scratch(&self) -> usize {
        self.phases.iter().map(|(.., made)| made.len()).max().unwrap_or(0)
    }

    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], scratch: &mut [f32]) -> Result<()> {
        for image in 0..images {
            let (xs, ys) = (xs.image(0, &self.input, image), &mut ys[image * self.output.len()..]);
            for (y, x, conv, made) in &self.phases {
                conv.image(xs, scratch);
                for (row, from) in made.rows().enumerate() {
                    let to = self.output.at(row / made.h, row % made.h * self.stride.h + y);
                    let to = ys[to..][..self.output.w].iter_mut().skip(*x).step_by(self.stride.w);
                    to.zip(&scratch[from..][..made.w]).for_each(|(to, y)| *to = *y);
                }
            }
        }
        Ok(())
    }
}
