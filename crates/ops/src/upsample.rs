//! Images enlarged by whole factors.
//!
//! nearest: `ys[y, x] = xs[y / fh, x / fw]`, rounded down. bilinear: row y of the result is a mean of two rows of xs,
//! `(1 - t) xs[i] + t xs[i + 1]` where `i + t` is the place of y, and so for columns. Places are
//! `(y + 1/2) / fh - 1/2`, held to the image ("half pixel"), or `y (h - 1) / (h fh - 1)` ("align corners").

use candle_core::{Result, Tensor};

use crate::chain::apply_all;
use crate::check;
use crate::cpu::serves;
use crate::planes::{EachPlane, Linear};
use crate::portable;
use crate::upsample_means::{Mean, means};

struct Nearest {
    factor: (usize, usize),
    w: usize,
    output: (usize, usize),
}

impl Linear for Nearest {
    fn output(&self) -> (usize, usize) {
        self.output
    }

    fn forward(&self, plane: &[f32], ys: &mut [f32]) {
        let (fh, fw) = self.factor;
        for (xs, rows) in plane.chunks_exact(self.w).zip(ys.chunks_exact_mut(fh * fw * self.w)) {
            let (first, others) = rows.split_at_mut(fw * self.w);
            first.chunks_exact_mut(fw).zip(xs).for_each(|(to, &x)| to.fill(x));
            others.chunks_exact_mut(fw * self.w).for_each(|row| row.copy_from_slice(first));
        }
    }

    fn backward(&self, g: &[f32], dx: &mut [f32]) {
        let (fh, fw) = self.factor;
        for (dx, rows) in dx.chunks_exact_mut(self.w).zip(g.chunks_exact(fh * fw * self.w)) {
            for row in rows.chunks_exact(fw * self.w) {
                dx.iter_mut().zip(row.chunks_exact(fw)).for_each(|(dx, g)| *dx += g.iter().sum::<f32>());
            }
        }
    }
}

struct Bilinear {
    w: usize,
    rows: Vec<Mean>,
    columns: Vec<Mean>,
}

impl Linear for Bilinear {
    fn output(&self) -> (usize, usize) {
        (self.rows.len(), self.columns.len())
    }

    fn forward(&self, plane: &[f32], ys: &mut [f32]) {
        let mut line = vec![0.0; self.w];
        for (ys, row) in ys.chunks_exact_mut(self.columns.len()).zip(&self.rows) {
            let (above, below) = (&plane[row.at * self.w..][..self.w], &plane[row.next * self.w..][..self.w]);
            for ((to, above), below) in line.iter_mut().zip(above).zip(below) {
                *to = row.t.mul_add(below - above, *above);
            }
            for (y, column) in ys.iter_mut().zip(&self.columns) {
                *y = column.t.mul_add(line[column.next] - line[column.at], line[column.at]);
            }
        }
    }

    fn backward(&self, g: &[f32], dx: &mut [f32]) {
        let mut line = vec![0.0; self.w];
        for (g, row) in g.chunks_exact(self.columns.len()).zip(&self.rows) {
            line.fill(0.0);
            for (g, column) in g.iter().zip(&self.columns) {
                line[column.at] += (1.0 - column.t) * g;
                line[column.next] += column.t * g;
            }
            for (place, share) in [(row.at, 1.0 - row.t), (row.next, row.t)] {
                dx[place * self.w..].iter_mut().zip(&line).for_each(|(dx, g)| *dx += share * g);
            }
        }
    }
}

/// Each number `fh` times below and `fw` times beside itself: (b, c, h, w) -> (b, c, h fh, w fw).
///
/// # Errors
/// If `xs` is not (b, c, h, w), a factor is 0, or the result has more numbers than can be counted.
pub fn upsample_nearest(xs: &Tensor, factor: (usize, usize)) -> Result<Tensor> {
    let output = check::upsample("upsample_nearest", xs, factor)?;
    if !serves(&[xs]) || xs.elem_count() == 0 {
        return portable::upsample_nearest(xs, factor);
    }
    apply_all(vec![xs.contiguous()?], EachPlane(Nearest { factor, w: xs.dim(3)?, output }))
}

/// Means of the four nearest numbers, see the top of the module: (b, c, h, w) -> (b, c, h fh, w fw). Without
/// `align_corners` places are those of pixels' centres.
///
/// # Errors
/// If `xs` is not (b, c, h, w), a factor is 0, or the result has more numbers than can be counted.
pub fn upsample_bilinear(xs: &Tensor, factor: (usize, usize), align_corners: bool) -> Result<Tensor> {
    check::upsample("upsample_bilinear", xs, factor)?;
    let (_, _, h, w) = check::pixels("upsample_bilinear", xs)?;
    if !serves(&[xs]) {
        return portable::upsample_bilinear(xs, factor, align_corners);
    }
    let (rows, columns) = (means(h, factor.0, align_corners), means(w, factor.1, align_corners));
    apply_all(vec![xs.contiguous()?], EachPlane(Bilinear { w, rows, columns }))
}
