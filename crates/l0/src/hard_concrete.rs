//! The hard concrete distribution (Louizos, Welling and Kingma 2018, section 2.2), as pure functions of tensors.
//!
//! From uniform noise u a gate z of location `log_alpha` (log α of eq. 10) is made in three steps:
//!
//! ```text
//! s    = sigmoid((log u - log(1 - u) + log_alpha) / beta)    binary concrete, in (0, 1)
//! sbar = s (zeta - gamma) + gamma                            stretched, in (gamma, zeta)
//! z    = min(1, max(0, sbar))                                so that 0 and 1 have mass
//! ```
//!
//! What training needs is a function of tensors, `log_alpha` of any shape and the result of the same; functions with
//! the suffix `_at` are of one `f64`, for estimators, counts and plots. Noise is always an argument: nothing here is
//! random.
//!
//! ```
//! # use l0::HardConcrete;
//! let d = HardConcrete::default();
//! // log_alpha = 0: the gate is open with probability sigmoid(2/3 ln 11), and z(1/2) = 1/2 by symmetry.
//! assert!((d.prob_open_at(0.0) - 1.0 / (1.0 + 11f64.powf(-2.0 / 3.0))).abs() < 1e-12);
//! assert!((d.sample_at(0.0, 0.5) - 0.5).abs() < 1e-12);
//! ```

mod constants;
pub(crate) mod op;
mod scalar;

use candle_core::{Result, Tensor, bail};
use candle_nn::ops::sigmoid;

pub use constants::{HardConcrete, NOISE_MARGIN};
pub(crate) use scalar::sigmoid as scalar_sigmoid;

impl HardConcrete {
    /// A gate for each number of `noise` (eq. 10 and 11), in the shape of `noise`: that of `log_alpha`, or with one
    /// dimension more in front, (b, ..), for a draw per example.
    ///
    /// The gradient with respect to `log_alpha` is exact, and 0 where the gate is 0 or 1; `noise` gets none. Noise
    /// of 0 or 1 is moved inside by [`NOISE_MARGIN`].
    ///
    /// # Errors
    /// If the shapes do not match or there is no gate.
    pub fn sample(&self, log_alpha: &Tensor, noise: &Tensor) -> Result<Tensor> {
        let (units, draws) = (log_alpha.dims(), noise.dims());
        if log_alpha.elem_count() == 0 {
            bail!("log_alpha has shape {units:?}, expected at least 1 gate")
        }
        if draws != units && draws.get(1..) != Some(units) {
            bail!("gates of shape {units:?} need noise of shape {units:?} or (b, {units:?}), found {draws:?}")
        }
        if op::applies(log_alpha) && op::applies(noise) {
            log_alpha.contiguous()?.apply_op2(&noise.detach().contiguous()?, op::Sample(*self))
        } else {
            self.sample_composed(log_alpha, noise)
        }
    }

    /// [`HardConcrete::sample`] written with Candle's operations, for other devices and dtypes.
    fn sample_composed(&self, log_alpha: &Tensor, noise: &Tensor) -> Result<Tensor> {
        let u = noise.detach().to_dtype(log_alpha.dtype())?.clamp(NOISE_MARGIN, 1.0 - NOISE_MARGIN)?;
        let logit = (u.log()? - u.affine(-1.0, 1.0)?.log()?)?;
        let s = sigmoid(&(logit.broadcast_add(log_alpha)? / self.beta)?)?;
        s.affine(self.zeta - self.gamma, self.gamma)?.clamp(0.0, 1.0)
    }

    /// P(z != 0) = sigmoid(log_alpha - beta log(-gamma / zeta)) (eq. 12).
    ///
    /// # Errors
    /// If the device cannot hold the result.
    pub fn prob_open(&self, log_alpha: &Tensor) -> Result<Tensor> {
        sigmoid(&(log_alpha + self.open_shift())?)
    }
}

#[cfg(test)]
mod tests;
