//! What a learned gate is worth at test time: three estimators, which make three networks of one gated network.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Result, Tensor, bail};
use candle_nn::ops::sigmoid;
use serde::{Deserialize, Serialize};

use crate::hard_concrete::scalar_sigmoid;
use crate::{Error, HardConcrete};

/// How a deterministic gate is made of `log_alpha`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// Eq. 13 of the paper: `min(1, max(0, sigmoid(log_alpha) (zeta - gamma) + gamma))`. Closed at
    /// `log_alpha <= -2.3979`, where P(z != 0) is still 0.31. Not the mean of z, in spite of the paper's name for it:
    /// that is [`HardConcrete::mean_at`].
    #[default]
    Mean,
    /// The gate of noise 1/2: `min(1, max(0, sigmoid(log_alpha / beta) (zeta - gamma) + gamma))`. Closed at
    /// `log_alpha <= -1.5986`, where P(z != 0) is 1/2 (Gallego-Posada et al. 2022).
    Median,
    /// The k most probable gates, k = round(sum of P(z != 0)), so that the number kept is the number expected; of
    /// equals the first. A kept gate is worth the larger of eq. 13 and E\[z\]: eq. 13 for `log_alpha >= 0`, below that
    /// the mean, which never reaches 0. So a kept gate that eq. 13 would close is worth E\[z\], and values still grow
    /// with `log_alpha`. Each call ranks the gates it is given: those of one layer, not of the network.
    TopK,
}

impl Estimator {
    /// Every estimator, in the order of their names in [`FromStr`]'s error.
    pub const ALL: [Self; 3] = [Self::Mean, Self::Median, Self::TopK];

    /// Gate values of `log_alpha`, in its shape, detached: to evaluate with, not to learn through.
    ///
    /// # Errors
    /// If [`Estimator::TopK`] meets a NaN, which has no rank; the others hand it on.
    pub fn values(self, distribution: &HardConcrete, log_alpha: &Tensor) -> Result<Tensor> {
        let log_alpha = log_alpha.detach();
        let temperature = match self {
            Self::Mean => 1.0,
            Self::Median => distribution.beta(),
            Self::TopK => return top_k(distribution, &log_alpha),
        };
        let (gamma, zeta) = (distribution.gamma(), distribution.zeta());
        sigmoid(&(log_alpha / temperature)?)?.affine(zeta - gamma, gamma)?.clamp(0.0, 1.0)
    }

    /// The value of one gate in `f64`; of a kept one for [`Estimator::TopK`], whose rank one gate alone cannot tell.
    pub fn value_at(self, distribution: &HardConcrete, log_alpha: f64) -> f64 {
        match self {
            Self::Mean => distribution.gate_at(scalar_sigmoid(log_alpha)),
            Self::Median => distribution.gate_at(scalar_sigmoid(log_alpha / distribution.beta())),
            Self::TopK => Self::Mean.value_at(distribution, log_alpha).max(distribution.mean_at(log_alpha)),
        }
    }
}

fn top_k(distribution: &HardConcrete, log_alpha: &Tensor) -> Result<Tensor> {
    let values: Vec<f64> = log_alpha.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?;
    if let Some(unit) = values.iter().position(|v| v.is_nan()) {
        bail!("cannot rank gates: log_alpha of unit {unit} is NaN")
    }
    let expected: f64 = values.iter().map(|&v| distribution.prob_open_at(v)).sum();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a])); // stable, so equals stay in order
    let mut gates = vec![0f64; values.len()];
    let rule = distribution.mean_rule(); // once for all of them, not gate by gate
    for &unit in &order[..expected.round() as usize] {
        let value = values[unit];
        gates[unit] = Estimator::Mean.value_at(distribution, value).max(HardConcrete::mean_by(&rule, value));
    }
    Tensor::from_vec(gates, log_alpha.shape(), log_alpha.device())?.to_dtype(log_alpha.dtype())
}

impl fmt::Display for Estimator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::TopK => "top-k",
        })
    }
}

impl FromStr for Estimator {
    type Err = Error;

    fn from_str(word: &str) -> crate::Result<Self> {
        let unknown = || Error::Unknown { what: "estimator", found: word.to_string(), expected: "mean, median, top-k" };
        Self::ALL.into_iter().find(|e| e.to_string() == word).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn values(estimator: Estimator, log_alpha: &[f32]) -> Vec<f32> {
        let log_alpha = Tensor::new(log_alpha, &Device::Cpu).unwrap();
        estimator.values(&HardConcrete::default(), &log_alpha).unwrap().to_vec1().unwrap()
    }

    fn check(estimator: Estimator, log_alpha: f32, expected: f32) {
        let found = values(estimator, &[log_alpha])[0];
        assert!((found - expected).abs() < 1e-6, "{estimator} at {log_alpha}: {found}, expected {expected}");
    }

    // import math
    // sg = lambda x: 1/(1+math.exp(-x))
    // for la in (-2.5, -2.0, -1.7, -1.0, 0.0, 1.0, 2.0, 2.5):
    //     print(la, *(round(min(1, max(0, sg(la/t)*1.2-0.1)), 7) for t in (1, 2/3)))
    #[test]
    fn values_of_an_independent_program() {
        for (log_alpha, mean, median) in [
            (-2.5, 0.0, 0.0),
            (-2.0, 0.0430435, 0.0),
            (-1.0, 0.2227297, 0.1189111),
            (0.0, 0.5, 0.5),
            (1.0, 0.7772703, 0.8810889),
            (2.0, 0.9569565, 1.0),
            (2.5, 1.0, 1.0),
        ] {
            check(Estimator::Mean, log_alpha, mean);
            check(Estimator::Median, log_alpha, median);
        }
    }

    #[test]
    fn scalar_form_agrees() {
        for log_alpha in [-4.0, -2.3, -0.5, 0.0, 0.3, 2.0, 4.5] {
            for estimator in [Estimator::Mean, Estimator::Median] {
                check(estimator, log_alpha, estimator.value_at(&HardConcrete::default(), log_alpha.into()) as f32);
            }
        }
    }

    #[test]
    fn top_k_keeps_the_expected_number() {
        // P = 0.9902, 0.9902, 0.0474, 0.4013, 0.0474: the sum is 2.477, so two are kept, and 2.5 would keep a third.
        assert_eq!(values(Estimator::TopK, &[3.0181, 3.0181, -4.6, -1.9986, -4.6])[2..], [0.0; 3]);
        let kept = values(Estimator::TopK, &[-2.5; 10]); // each P is 0.289
        let mean = HardConcrete::default().mean_at(-2.5) as f32;
        assert!(kept[..3].iter().all(|&z| (z - mean).abs() < 1e-6) && mean > 0.05, "{kept:?}");
        assert_eq!(kept[3..], [0.0; 7]);
    }

    #[test]
    fn top_k_refuses_a_nan() {
        let log_alpha = Tensor::new(&[0f32, f32::NAN], &Device::Cpu).unwrap();
        let error = Estimator::TopK.values(&HardConcrete::default(), &log_alpha).unwrap_err();
        assert!(error.to_string().contains("log_alpha of unit 1 is NaN"));
        assert!(values(Estimator::Mean, &[f32::NAN])[0].is_nan());
    }

    #[test]
    fn names_come_back() {
        for estimator in Estimator::ALL {
            assert_eq!(estimator.to_string().parse::<Estimator>().unwrap(), estimator);
        }
        let error = "best".parse::<Estimator>().unwrap_err().to_string();
        assert_eq!(error, "unknown estimator \"best\", expected one of mean, median, top-k");
    }
}
