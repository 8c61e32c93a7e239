//! The constants of the distribution, and which are allowed.

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
    pub(super) beta: f64,
    pub(super) gamma: f64,
    pub(super) zeta: f64,
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
    /// Unless beta > 0, zeta > 1 and gamma <= -zeta / 100^(1 / max(1, beta)), all finite. Without the margins a gate is
    /// never exactly 0 or 1; with a gamma nearer to 0, eq. 13 or the median, which closes gates at log alpha <= beta
    /// log(-gamma / zeta), is above 0 at the lower end of [`LOG_ALPHA_RANGE`](crate::gate::LOG_ALPHA_RANGE), and no gate
    /// could close by it.
    pub fn new(beta: f64, gamma: f64, zeta: f64) -> crate::Result<Self> {
        let finite = beta.is_finite() && gamma.is_finite() && zeta.is_finite();
        // 100 is exp of the range's end; the power of 1, for a beta of 1 or less, is exact.
        if finite && beta > 0.0 && zeta > 1.0 && gamma <= -zeta / 100f64.powf(1.0 / beta.max(1.0)) {
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
}
