//! Multipliers, which bring densities to the targets of a [`Constraint`] (Gallego-Posada et al. 2022).
//!
//! To minimise a loss subject to density <= target, a multiplier m >= 0 is learned beside the parameters:
//!
//! ```text
//! parameters descend   loss + sum over constraints of m (density - target)
//! multipliers ascend   m <- max(0, m + lr (density - target))
//! restart              m <- 0 once density <= target
//! ```
//!
//! A gradual bound comes down towards the target while gates learn, by the same factor at each step: target^(s / n) in
//! a step that s of the n steps come before, so that the last one has target^((n - 1) / n). Gates then close a few at a
//! time, so the remaining weights adapt before the next gates close.
//!
//! Without the restart a multiplier that grew while the constraint was violated goes on pruning long after it holds.
//! The density comes in from outside as a differentiable tensor ([`GatedNet::densities`](crate::GatedNet::densities)):
//! the share of a network's weights or multiply-accumulates, or of a layer's gates, that is left. It depends on gates
//! alone: weights do not feel the constraint.
//!
//! ```
//! # use l0::Multiplier;
//! let mut multiplier = Multiplier::new(0.2, 0.5, true)?;
//! multiplier.update(0.8)?; // violated by 0.6
//! assert!((multiplier.value() - 0.5 * 0.6).abs() < 1e-6);
//! multiplier.update(0.2)?; // met
//! assert_eq!(multiplier.value(), 0.0);
//! # Ok::<(), l0::Error>(())
//! ```

use candle_core::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use crate::error::in_range;
use crate::{Constraint, Error, Fit};

/// The multiplier of a bound on one density, with the bound that it enforces.
///
/// Saved and read with serde it goes on exactly where it was. Its value is kept in `f32`: its few digits come back the
/// same from any JSON reader.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Multiplier {
    target: f64,
    learning_rate: f64,
    value: f32,
    restart: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    gradual: bool,
}

impl Multiplier {
    /// A multiplier of 0 for the bound `target`; see the module for `restart`.
    ///
    /// # Errors
    /// If the target is not in (0, 1] or the rate not positive.
    pub fn new(target: f64, learning_rate: f64, restart: bool) -> crate::Result<Self> {
        in_range("a target density", target, "in (0, 1]", target > 0.0 && target <= 1.0)?;
        let usable = learning_rate > 0.0 && learning_rate.is_finite();
        in_range("the multiplier's learning rate", learning_rate, "finite and above 0", usable)?;
        Ok(Self { target, learning_rate, value: 0.0, restart, gradual: false })
    }

    /// The same with a bound that comes down towards the target gradually, or stands there.
    #[must_use]
    pub fn gradual(self, gradual: bool) -> Self {
        Self { gradual, ..self }
    }

    /// The bound.
    pub fn target(&self) -> f64 {
        self.target
    }

    /// The multiplier now.
    pub fn value(&self) -> f64 {
        f64::from(self.value)
    }

    /// `multiplier (density - target)`, to be added to the loss; `density` is a scalar.
    ///
    /// # Errors
    /// If `density` is not a scalar.
    pub fn term(&self, density: &Tensor) -> Result<Tensor> {
        if density.rank() != 0 {
            bail!("a density has shape {:?}, expected a scalar, []", density.dims())
        }
        density.affine(self.value(), -self.value() * self.target)
    }

    /// One step of dual ascent against the target, due once for each step of the parameters and with the density that
    /// the loss had. Returns the violation `density - target`.
    ///
    /// # Errors
    /// If the density is not finite: the multiplier would be lost for good.
    pub fn update(&mut self, density: f64) -> crate::Result<f64> {
        self.update_at(density, 1.0)
    }

    /// The same where so much of the steps in which gates learn was done before this one, from 0 to 1: a
    /// [gradual](Self::gradual) bound is on its way then.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn update_at(&mut self, density: f64, progress: f64) -> crate::Result<f64> {
        in_range("a density", density, "finite", density.is_finite())?;
        let bound = if self.gradual { self.target.powf(progress.clamp(0.0, 1.0)) } else { self.target };
        let violation = density - bound;
        let ascended = (self.value() + self.learning_rate * violation).max(0.0);
        self.value = if self.restart && violation <= 0.0 { 0.0 } else { ascended as f32 };
        Ok(violation)
    }
}

/// The multipliers of a training: one for the model, or one for each gated layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Multipliers {
    each: Vec<Multiplier>,
}

impl Multipliers {
    /// Multipliers of 0 for a constraint on a network with so many gated `layers`.
    ///
    /// # Errors
    /// As for [`Multiplier::new`], or if there are targets of layers and not one for each, or the fit is none.
    pub fn new(constraint: &Constraint, layers: usize) -> crate::Result<Self> {
        if let Fit::Fill(filling) = constraint.fit {
            filling.check()?;
        }
        let targets = constraint.targets.each();
        if constraint.targets.are_of_layers() && targets.len() != layers {
            return Err(Error::Count { what: "target densities", found: targets.len(), expected: layers.to_string() });
        }
        let made = |&target: &f64| {
            let multiplier = Multiplier::new(target, constraint.learning_rate, constraint.restart)?;
            Ok(multiplier.gradual(constraint.gradual))
        };
        Ok(Self { each: targets.iter().map(made).collect::<crate::Result<_>>()? })
    }

    /// Each multiplier, with its target.
    pub fn each(&self) -> &[Multiplier] {
        &self.each
    }

    /// Takes over the values of multipliers that were saved; targets, rates and all else stay those of `self`.
    ///
    /// # Errors
    /// If there are not as many; then none is changed.
    pub fn go_on_from(&mut self, saved: &Self) -> crate::Result<()> {
        let (found, expected) = (saved.each.len(), self.each.len());
        if found != expected {
            return Err(Error::Count { what: "saved multipliers", found, expected: expected.to_string() });
        }
        self.each.iter_mut().zip(&saved.each).for_each(|(own, saved)| own.value = saved.value);
        Ok(())
    }

    /// The sum of [`Multiplier::term`].
    ///
    /// # Errors
    /// If there is not one density for each multiplier.
    pub fn term(&self, densities: &[Tensor]) -> Result<Tensor> {
        if densities.len() != self.each.len() {
            bail!("found {} densities, expected {}", densities.len(), self.each.len())
        }
        let mut terms = self.each.iter().zip(densities).map(|(multiplier, density)| multiplier.term(density));
        match terms.next() {
            Some(first) => terms.try_fold(first?, |total, term| total + term?),
            None => bail!("there is nothing to constrain"),
        }
    }

    /// [`Multiplier::update_at`] of each; returns the violations.
    ///
    /// # Errors
    /// If there is not one finite density for each multiplier; then none is updated.
    pub fn update(&mut self, densities: &[f64], progress: f64) -> crate::Result<Vec<f64>> {
        if densities.len() != self.each.len() {
            let expected = self.each.len().to_string();
            return Err(Error::Count { what: "densities", found: densities.len(), expected });
        }
        for &density in densities {
            in_range("a density", density, "finite", density.is_finite())?;
        }
        self.each
            .iter_mut()
            .zip(densities)
            .map(|(multiplier, &density)| multiplier.update_at(density, progress))
            .collect()
    }
}

#[cfg(test)]
mod tests;
