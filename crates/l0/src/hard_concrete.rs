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
//! The functions come twice: of tensors, `log_alpha` of any shape and the result of the same, and (with the suffix
//! `_at`) of one `f64`, for plots and tests. Noise is always an argument: nothing here is random.
//!
//! ```
//! # use l0::HardConcrete;
//! let d = HardConcrete::default();
//! // log_alpha = 0: the gate is open with probability sigmoid(2/3 ln 11), and z(1/2) = 1/2 by symmetry.
//! assert!((d.prob_open_at(0.0) - 1.0 / (1.0 + 11f64.powf(-2.0 / 3.0))).abs() < 1e-12);
//! assert!((d.sample_at(0.0, 0.5) - 0.5).abs() < 1e-12);
//! ```

pub(crate) mod op;
mod scalar;

pub(crate) use scalar::sigmoid as scalar_sigmoid;

use candle_core::{Result, Tensor, bail};
use candle_nn::ops::sigmoid;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Noise is kept inside (`NOISE_MARGIN`, 1 - `NOISE_MARGIN`), so that its logit stays finite.
pub const NOISE_MARGIN: f64 = 1e-6;

/// The constants of the distribution; the location `log_alpha` is an argument of every function.
///
/// The default is the paper's: beta 2/3, gamma -0.1, zeta 1.1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Constants")]
pub struct HardConcrete {
    beta: f64,
    gamma: f64,
    zeta: f64,
}

#[derive(Deserialize)]
struct Constants {
    beta: f64,
    gamma: f64,
    zeta: f64,
}

impl TryFrom<Constants> for HardConcrete {
    type Error = Error;

    fn try_from(c: Constants) -> crate::Result<Self> {
        Self::new(c.beta, c.gamma, c.zeta)
    }
}

impl Default for HardConcrete {
    fn default() -> Self {
        Self { beta: 2.0 / 3.0, gamma: -0.1, zeta: 1.1 }
    }
}

impl HardConcrete {
    /// The distribution with temperature `beta`, stretched to (`gamma`, `zeta`).
    ///
    /// # Errors
    /// Unless beta > 0 and gamma < 0 < 1 < zeta, all finite: without the margins a gate is never exactly 0 or 1.
    pub fn new(beta: f64, gamma: f64, zeta: f64) -> crate::Result<Self> {
        let finite = beta.is_finite() && gamma.is_finite() && zeta.is_finite();
        if finite && beta > 0.0 && gamma < 0.0 && zeta > 1.0 {
            Ok(Self { beta, gamma, zeta })
        } else {
            Err(Error::Distribution { beta, gamma, zeta })
        }
    }

    /// Temperature: towards 0 the gate becomes a coin.
    pub fn beta(&self) -> f64 {
        self.beta
    }

    /// Lower end of the stretched sample, below 0.
    pub fn gamma(&self) -> f64 {
        self.gamma
    }

    /// Upper end of the stretched sample, above 1.
    pub fn zeta(&self) -> f64 {
        self.zeta
    }

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
        self.stretched(&s)?.clamp(0.0, 1.0)
    }

    /// Numbers of (0, 1) stretched to (gamma, zeta).
    fn stretched(&self, s: &Tensor) -> Result<Tensor> {
        s.affine(self.zeta - self.gamma, self.gamma)
    }

    /// P(sbar <= x), the distribution of the stretched sample. That of z is the same inside (0, 1); z has
    /// P(z <= 0) = `cdf(0)` and P(z <= 1) = 1.
    ///
    /// # Errors
    /// If the device cannot hold the result.
    pub fn cdf(&self, x: f64, log_alpha: &Tensor) -> Result<Tensor> {
        if x <= self.gamma {
            return log_alpha.zeros_like();
        }
        if x >= self.zeta {
            return log_alpha.ones_like();
        }
        sigmoid(&log_alpha.affine(-1.0, self.beta * self.logit(x))?)
    }

    /// The x with P(sbar <= x) = `p`, for `p` in (0, 1), in (gamma, zeta). Held to [0, 1] it is the gate that noise
    /// `p` makes.
    ///
    /// # Errors
    /// If `p` is not in (0, 1).
    pub fn quantile(&self, p: f64, log_alpha: &Tensor) -> Result<Tensor> {
        let p = crate::error::in_range("a quantile's p", p, "in (0, 1)", p > 0.0 && p < 1.0)?;
        let logit = (p / (1.0 - p)).ln();
        self.stretched(&sigmoid(&log_alpha.affine(1.0 / self.beta, logit / self.beta)?)?)
    }

    /// P(z != 0) = sigmoid(log_alpha - beta log(-gamma / zeta)) (eq. 12).
    ///
    /// # Errors
    /// If the device cannot hold the result.
    pub fn prob_open(&self, log_alpha: &Tensor) -> Result<Tensor> {
        sigmoid(&(log_alpha + self.open_shift())?)
    }

    /// P(z = 1).
    pub fn prob_one(&self, log_alpha: &Tensor) -> Result<Tensor> {
        sigmoid(&(log_alpha - self.beta * self.logit(1.0))?)
    }

    /// Density of the stretched sample at `x`: of z for x inside (0, 1), where z has the rest of its mass in the points
    /// 0 and 1. It is 0 outside of (gamma, zeta).
    ///
    /// # Errors
    /// If the device cannot hold the result.
    pub fn density(&self, x: f64, log_alpha: &Tensor) -> Result<Tensor> {
        if x <= self.gamma || x >= self.zeta {
            return log_alpha.zeros_like();
        }
        let cdf = self.cdf(x, log_alpha)?;
        (&cdf * cdf.affine(-1.0, 1.0)?)? * self.logit_slope(x)
    }

    /// E\[z\], differentiable: the integral of P(z > x) over (0, 1) by 16 Gauss-Legendre points in the logit of the
    /// stretched x, where the integrand is smooth; the error is below 1e-12 for the paper's constants.
    ///
    /// No closed form is known to us. This is the true mean, unlike the paper's test-time value
    /// ([`Estimator::Mean`](crate::Estimator::Mean)).
    ///
    /// # Errors
    /// If the device cannot hold the result.
    pub fn mean(&self, log_alpha: &Tensor) -> Result<Tensor> {
        let (shifts, weights): (Vec<f64>, Vec<f64>) = self.mean_rule().into_iter().unzip();
        let column = |v: Vec<f64>| Tensor::new(v, log_alpha.device())?.to_dtype(log_alpha.dtype());
        let above = sigmoid(&log_alpha.unsqueeze(log_alpha.rank())?.broadcast_sub(&column(shifts)?)?)?; // (.., 16)
        above.broadcast_mul(&column(weights)?)?.sum(log_alpha.rank())
    }
}

#[cfg(test)]
mod tests;
