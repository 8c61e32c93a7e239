//! The distribution at one point, in `f64`, and the constants that both forms share.

use super::constants::{HardConcrete, NOISE_MARGIN};

/// `1 / (1 + exp(-x))`.
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Points of a quadrature rule; the error falls with (2.9)^-2n for the paper's constants.
const POINTS: usize = 16;

impl HardConcrete {
    /// The logit of x brought back from (gamma, zeta) to (0, 1).
    pub(super) fn logit(&self, x: f64) -> f64 {
        ((x - self.gamma) / (self.zeta - x)).ln()
    }

    /// beta d logit(x) / dx: what turns F (1 - F) into the density.
    pub(super) fn logit_slope(&self, x: f64) -> f64 {
        self.beta * (1.0 / (x - self.gamma) + 1.0 / (self.zeta - x))
    }

    /// -beta log(-gamma / zeta), 1.598597 with the paper's constants: P(z != 0) = sigmoid(log_alpha + shift).
    pub(crate) fn open_shift(&self) -> f64 {
        -self.beta * (-self.gamma / self.zeta).ln()
    }

    fn stretched_at(&self, s: f64) -> f64 {
        s * (self.zeta - self.gamma) + self.gamma
    }

    /// Numbers of (0, 1) stretched to (gamma, zeta) and held to [0, 1].
    pub(crate) fn gate_at(&self, s: f64) -> f64 {
        self.stretched_at(s).clamp(0.0, 1.0)
    }

    /// One gate from noise `u`, as [`HardConcrete::sample`].
    pub fn sample_at(&self, log_alpha: f64, u: f64) -> f64 {
        let u = u.clamp(NOISE_MARGIN, 1.0 - NOISE_MARGIN);
        self.gate_at(sigmoid(((u / (1.0 - u)).ln() + log_alpha) / self.beta))
    }

    /// P(sbar <= x), the distribution of the stretched sample. That of z is the same inside (0, 1); z has P(z <= 0) =
    /// `cdf_at(0)` and P(z <= 1) = 1.
    pub fn cdf_at(&self, x: f64, log_alpha: f64) -> f64 {
        if x <= self.gamma {
            0.0
        } else if x >= self.zeta {
            1.0
        } else {
            sigmoid(self.beta * self.logit(x) - log_alpha)
        }
    }

    /// P(z != 0), as [`HardConcrete::prob_open`].
    pub fn prob_open_at(&self, log_alpha: f64) -> f64 {
        sigmoid(log_alpha + self.open_shift())
    }

    /// P(z = 1).
    pub fn prob_one_at(&self, log_alpha: f64) -> f64 {
        sigmoid(log_alpha - self.beta * self.logit(1.0))
    }

    /// Density of the stretched sample at `x`, 0 outside of (gamma, zeta). For x inside (0, 1) it is that of z, which
    /// has the rest of its mass in the two points 0 and 1.
    pub fn density_at(&self, x: f64, log_alpha: f64) -> f64 {
        if x <= self.gamma || x >= self.zeta {
            return 0.0;
        }
        let cdf = self.cdf_at(x, log_alpha);
        cdf * (1.0 - cdf) * self.logit_slope(x)
    }

    /// E\[z\]: the integral of P(z > x) over (0, 1) by 16 Gauss-Legendre points in the logit of the stretched x, where
    /// the integrand is smooth; the error is below 1e-12 for the paper's constants.
    ///
    /// No closed form is known to us. This is the true mean, unlike the paper's test-time value
    /// ([`Estimator::Mean`](crate::Estimator::Mean)).
    pub fn mean_at(&self, log_alpha: f64) -> f64 {
        Self::mean_by(&self.mean_rule(), log_alpha)
    }

    /// E\[z\] by a [rule](Self::mean_rule) that is there already.
    pub(crate) fn mean_by(rule: &[(f64, f64)], log_alpha: f64) -> f64 {
        rule.iter().map(|(shift, weight)| weight * sigmoid(log_alpha - shift)).sum()
    }

    /// Pairs (shift, weight) with E\[z\] = sum of weight * sigmoid(log_alpha - shift).
    ///
    /// With y = logit(x), P(sbar > x) = sigmoid(log_alpha - beta y) and dx = (zeta - gamma) s (1 - s) dy, s =
    /// sigmoid(y).
    pub(crate) fn mean_rule(&self) -> Vec<(f64, f64)> {
        let (low, high) = (self.logit(0.0), self.logit(1.0));
        let half = (high - low) / 2.0;
        let point = |(t, weight): (f64, f64)| {
            let y = (low + high) / 2.0 + half * t;
            let s = sigmoid(y);
            (self.beta * y, weight * half * (self.zeta - self.gamma) * s * (1.0 - s))
        };
        gauss_legendre(POINTS).into_iter().map(point).collect()
    }
}

/// Nodes and weights of the `n`-point Gauss-Legendre rule on (-1, 1), by Newton's method on the Legendre polynomial.
pub(crate) fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let node = |i: usize| {
        let mut t = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        // Six steps from this start reach the last bit for every n in use.
        for _ in 0..6 {
            let (p, slope) = legendre(n, t);
            t -= p / slope;
        }
        let slope = legendre(n, t).1;
        (t, 2.0 / ((1.0 - t * t) * slope * slope))
    };
    (0..n).map(node).collect()
}

/// The Legendre polynomial of degree `n` at `t` and its derivative.
fn legendre(n: usize, t: f64) -> (f64, f64) {
    let (mut before, mut p) = (1.0, t);
    for k in 2..=n {
        let k = k as f64;
        (before, p) = (p, ((2.0 * k - 1.0) * t * p - (k - 1.0) * before) / k);
    }
    (p, n as f64 * (t * p - before) / (t * t - 1.0))
}
