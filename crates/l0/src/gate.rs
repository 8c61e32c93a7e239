//! A set of gates with their learnable location.
//!
//! Gate j of a set multiplies the j-th group of weights of some layer; `log_alpha` (log α of eq. 10) holds one number a
//! gate, and P(z_j != 0) = sigmoid(log_alpha_j + 1.5986) with the default constants.

use candle_core::{DType, Result, Shape, Tensor, bail};
use candle_nn::VarBuilder;
use l0_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::error::in_range;
use crate::{Estimator, HardConcrete, init};

/// Where `log_alpha` is kept: [ln 0.01, ln 100], so that P(z != 0) stays in \[0.047, 0.998\] and no gate is lost for
/// good.
pub const LOG_ALPHA_RANGE: (f64, f64) = (-4.605_170_185_988_091, 4.605_170_185_988_091);

/// Standard deviation of the initial `log_alpha`: enough to tell equal units apart.
const LOG_ALPHA_DEVIATION: f64 = 0.01;

/// How gates begin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GateConfig {
    /// d in (0, 1): `log_alpha` starts as N(ln((1 - d) / d), 0.01). The default 0.5 opens a gate with probability
    /// 0.832.
    pub droprate_init: f64,
    /// The constants of the distribution.
    pub distribution: HardConcrete,
    /// Seed of the initial values and of the noise; numbers also depend on the layer's name, so layers can share it.
    pub seed: u64,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self { droprate_init: 0.5, distribution: HardConcrete::default(), seed: 0 }
    }
}

impl GateConfig {
    /// The mean of the initial `log_alpha`, ln((1 - d) / d), held to [`LOG_ALPHA_RANGE`].
    ///
    /// # Errors
    /// If the drop rate is not in (0, 1).
    pub fn log_alpha_init(&self) -> crate::Result<f64> {
        let d = self.droprate_init;
        in_range("droprate_init", d, "in (0, 1)", d > 0.0 && d < 1.0)?;
        Ok(((1.0 - d) / d).ln().clamp(LOG_ALPHA_RANGE.0, LOG_ALPHA_RANGE.1))
    }

    /// `n` initial values of `log_alpha` for a store of parameters that is not a [`VarBuilder`].
    ///
    /// # Errors
    /// As for [`GateConfig::log_alpha_init`].
    pub fn draw_log_alpha(&self, n: usize, stream: &mut Stream) -> crate::Result<Vec<f32>> {
        let mean = self.log_alpha_init()?;
        Ok((0..n).map(|_| (mean + LOG_ALPHA_DEVIATION * f64::from(stream.normal())) as f32).collect())
    }
}

/// Gates and the distribution that they follow.
#[derive(Debug, Clone)]
pub struct Gate {
    log_alpha: Tensor,
    distribution: HardConcrete,
}

/// New gates in the shape `units`, their location named "log_alpha" in `vb`.
///
/// # Errors
/// If the drop rate is not in (0, 1), there is no unit, or `vb` holds another shape.
pub fn gate<S: Into<Shape>>(units: S, cfg: &GateConfig, vb: VarBuilder) -> Result<Gate> {
    let mean = cfg.log_alpha_init()?;
    let log_alpha = init::normal(&vb, units, "log_alpha", mean, LOG_ALPHA_DEVIATION, cfg.seed)?;
    Gate::new(log_alpha, cfg.distribution)
}

impl Gate {
    /// Gates with these locations: (n,) for units, or the shape of a weight for a gate each.
    ///
    /// # Errors
    /// If there is no gate at all.
    pub fn new(log_alpha: Tensor, distribution: HardConcrete) -> Result<Self> {
        if log_alpha.elem_count() == 0 {
            bail!("a gate needs at least 1 unit, found log_alpha of shape {:?}", log_alpha.dims())
        }
        Ok(Self { log_alpha, distribution })
    }

    /// log α, the parameter.
    pub fn log_alpha(&self) -> &Tensor {
        &self.log_alpha
    }

    /// The distribution that the gates follow.
    pub fn distribution(&self) -> &HardConcrete {
        &self.distribution
    }

    /// How many gates there are.
    pub fn units(&self) -> usize {
        self.log_alpha.elem_count()
    }

    /// Random gates, differentiable: see [`HardConcrete::sample`].
    ///
    /// # Errors
    /// If the noise is not of the shape of `log_alpha` or (b, that shape).
    pub fn sample(&self, noise: &Tensor) -> Result<Tensor> {
        self.distribution.sample(&self.log_alpha, noise)
    }

    /// Uniform noise for [`Gate::sample`]: one draw for all examples, or `examples` of them.
    ///
    /// # Errors
    /// If the device cannot hold it.
    pub fn noise(&self, examples: Option<usize>, stream: &mut Stream) -> Result<Tensor> {
        let mut shape = self.log_alpha.dims().to_vec();
        shape.splice(..0, examples);
        let noise = stream.uniforms(shape.iter().product());
        Tensor::from_vec(noise, shape, self.log_alpha.device())?.to_dtype(self.log_alpha.dtype())
    }

    /// Deterministic gates, detached, in the shape of `log_alpha`.
    ///
    /// # Errors
    /// As for [`Estimator::values`].
    pub fn test_values(&self, estimator: Estimator) -> Result<Tensor> {
        estimator.values(&self.distribution, &self.log_alpha)
    }

    /// P(z != 0) of each gate, differentiable.
    ///
    /// # Errors
    /// If the device cannot hold them.
    pub fn prob_open(&self) -> Result<Tensor> {
        self.distribution.prob_open(&self.log_alpha)
    }

    /// P(z != 0) of each gate, in one row, in `f64`.
    ///
    /// # Errors
    /// If the values cannot be read from the device.
    pub fn prob_open_vec(&self) -> Result<Vec<f64>> {
        let log_alpha: Vec<f64> = self.log_alpha.detach().flatten_all()?.to_dtype(DType::F64)?.to_vec1()?;
        Ok(log_alpha.into_iter().map(|log_alpha| self.distribution.prob_open_at(log_alpha)).collect())
    }

    /// Expected number of open gates, the sum of P(z != 0).
    ///
    /// # Errors
    /// If the values cannot be read from the device.
    pub fn expected_open(&self) -> Result<f64> {
        Ok(self.prob_open_vec()?.iter().sum())
    }

    /// For each gate, in one row, whether it is open at test time.
    ///
    /// # Errors
    /// As for [`Estimator::values`].
    pub fn open(&self, estimator: Estimator) -> Result<Vec<bool>> {
        let values: Vec<f64> = self.test_values(estimator)?.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?;
        Ok(values.into_iter().map(|z| z != 0.0).collect())
    }

    /// Brings `log_alpha` back into [`LOG_ALPHA_RANGE`], in place; due after each step of the optimiser. A NaN stays.
    ///
    /// # Errors
    /// If `log_alpha` is not a variable, so nothing else would see the change.
    pub fn clamp_(&self) -> Result<()> {
        if !self.log_alpha.is_variable() {
            bail!("cannot clamp a log_alpha that is not a variable")
        }
        l0_ops::update::clamp(&self.log_alpha, LOG_ALPHA_RANGE.0, LOG_ALPHA_RANGE.1)
    }
}

#[cfg(test)]
mod tests;
