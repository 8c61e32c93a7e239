//! Sampling in one pass over the gates, on the CPU in `f32`, with its closed-form gradient.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

use super::constants::{HardConcrete, NOISE_MARGIN};

/// Whether this module's passes are made for `xs`.
pub(crate) fn applies(xs: &Tensor) -> bool {
    xs.device().is_cpu() && xs.dtype() == DType::F32
}

/// The values of a contiguous tensor.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a pass over gates needs contiguous values"),
    }
}

/// (log_alpha, noise) -> gates in the shape of the noise.
pub(super) struct Sample(pub(super) HardConcrete);

impl CustomOp2 for Sample {
    fn name(&self) -> &'static str {
        "hard_concrete_sample"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (log_alpha, noise) = (values(s1, l1)?, values(s2, l2)?);
        let HardConcrete { beta, gamma, zeta } = self.0;
        let (scale, gamma, width) = (1.0 / beta as f32, gamma as f32, (zeta - gamma) as f32);
        let margin = NOISE_MARGIN as f32;
        let gate = |(&u, &log_alpha): (&f32, &f32)| {
            let u = u.clamp(margin, 1.0 - margin);
            let s = 1.0 / (1.0 + (-scale * ((u / (1.0 - u)).ln() + log_alpha)).exp());
            // `clamp` hands a NaN on, as a network gone wrong should show it.
            (s * width + gamma).clamp(0.0, 1.0)
        };
        let z: Vec<f32> = noise.iter().zip(log_alpha.iter().cycle()).map(gate).collect();
        Ok((CpuStorage::F32(z), l2.shape().clone()))
    }

    fn bwd(
        &self,
        log_alpha: &Tensor,
        _: &Tensor,
        z: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let slope = SampleGrad { distribution: self.0, shape: log_alpha.shape().clone() };
        Ok((Some(z.apply_op2_no_bwd(&grad.contiguous()?, &slope)?), None))
    }
}

/// (gates, their gradients) -> the gradient of log_alpha, summed over the draws of a batch.
///
/// The slope needs the gate alone: dz / d log_alpha = (zeta - gamma) s (1 - s) / beta with s = (z - gamma) / (zeta -
/// gamma), and 0 where z is 0 or 1.
struct SampleGrad {
    distribution: HardConcrete,
    shape: Shape,
}

impl CustomOp2 for SampleGrad {
    fn name(&self) -> &'static str {
        "hard_concrete_sample_grad"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let HardConcrete { beta, gamma, zeta } = self.distribution;
        let scale = (1.0 / (beta * (zeta - gamma))) as f32;
        let (gamma, zeta) = (gamma as f32, zeta as f32);
        let mut total = vec![0f32; self.shape.elem_count()];
        let units = total.len();
        let (z, grad) = (values(s1, l1)?, values(s2, l2)?);
        for (z, grad) in z.chunks_exact(units).zip(grad.chunks_exact(units)) {
            for ((total, &z), &grad) in total.iter_mut().zip(z).zip(grad) {
                let slope = if z == 0.0 || z == 1.0 { 0.0 } else { (z - gamma) * (zeta - z) * scale };
                *total += grad * slope;
            }
        }
        Ok((CpuStorage::F32(total), self.shape.clone()))
    }
}
