//! Sums that would take Candle several passes and temporaries: one pass each, on the CPU in `f32`.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::Gate;
use crate::hard_concrete::op::{applies, values};

/// Sum of P(z != 0), a scalar.
pub(super) fn sum_open(gate: &Gate) -> Result<Tensor> {
    if applies(gate.log_alpha()) {
        gate.log_alpha().contiguous()?.apply_op1(SumOpen(gate.distribution().open_shift() as f32))
    } else {
        gate.prob_open()?.sum_all()
    }
}

/// Sum of squares of each slice along dimension `dim`, (slices,).
pub(crate) fn squared_norms(xs: &Tensor, dim: usize) -> Result<Tensor> {
    if applies(xs) {
        let outer = xs.dims()[..dim].iter().product();
        return xs.contiguous()?.apply_op1(SquaredNorms { outer, units: xs.dim(dim)? });
    }
    let others: Vec<usize> = (0..xs.rank()).filter(|&d| d != dim).collect();
    xs.sqr()?.sum(others)
}

/// Sum of squares, a scalar.
pub(super) fn squared_norm(xs: &Tensor) -> Result<Tensor> {
    squared_norms(&xs.flatten_all()?.unsqueeze(0)?, 0)?.squeeze(0)
}

/// log_alpha -> sum of sigmoid(log_alpha + shift).
struct SumOpen(f32);

impl SumOpen {
    fn prob(&self, log_alpha: f32) -> f32 {
        1.0 / (1.0 + (-log_alpha - self.0).exp())
    }
}

impl CustomOp1 for SumOpen {
    fn name(&self) -> &'static str {
        "sum_open"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let sum: f64 = values(s, l)?.iter().map(|&log_alpha| f64::from(self.prob(log_alpha))).sum();
        Ok((CpuStorage::F32(vec![sum as f32]), Shape::from(())))
    }

    fn bwd(&self, log_alpha: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let scale = grad.to_scalar::<f32>()?;
        Ok(Some(log_alpha.apply_op1_no_bwd(&SumOpenGrad { op: Self(self.0), scale })?))
    }
}

/// log_alpha -> scale P (1 - P).
struct SumOpenGrad {
    op: SumOpen,
    scale: f32,
}

impl CustomOp1 for SumOpenGrad {
    fn name(&self) -> &'static str {
        "sum_open_grad"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let slope = |&log_alpha: &f32| {
            let p = self.op.prob(log_alpha);
            self.scale * p * (1.0 - p)
        };
        Ok((CpuStorage::F32(values(s, l)?.iter().map(slope).collect()), l.shape().clone()))
    }
}

/// (outer, units, inner) -> sum of squares of each unit, (units,).
struct SquaredNorms {
    outer: usize,
    units: usize,
}

/// Sum of squares; eight partial sums, as one alone would wait for each addition.
fn sum_squares(xs: &[f32]) -> f32 {
    let (chunks, rest) = xs.as_chunks::<8>();
    let mut sums = [0f32; 8];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x * x);
    }
    sums.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>()
}

impl CustomOp1 for SquaredNorms {
    fn name(&self) -> &'static str {
        "squared_norms"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let xs = values(s, l)?;
        let mut norms = vec![0f32; self.units];
        let inner = xs.len() / (self.outer * self.units).max(1);
        for block in xs.chunks_exact((self.units * inner).max(1)) {
            if inner == 1 {
                norms.iter_mut().zip(block).for_each(|(norm, x)| *norm += x * x);
            } else {
                norms.iter_mut().zip(block.chunks_exact(inner)).for_each(|(norm, xs)| *norm += sum_squares(xs));
            }
        }
        Ok((CpuStorage::F32(norms), Shape::from(self.units)))
    }

    fn bwd(&self, xs: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let inner = xs.elem_count() / (self.outer * self.units).max(1);
        let grad = (grad * 2.0)?.reshape((1, self.units, 1))?;
        let xs3 = xs.reshape((self.outer, self.units, inner))?;
        Ok(Some(xs3.broadcast_mul(&grad)?.reshape(xs.shape())?))
    }
}
