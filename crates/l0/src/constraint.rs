//! Sparsity on demand: a target for the expected density instead of a price for it (Gallego-Posada et al. 2022).
//!
//! To minimise a loss subject to density <= target, a multiplier m >= 0 is learned beside the parameters:
//!
//! ```text
//! parameters descend   loss + sum over constraints of m (density - target)
//! multipliers ascend   m <- max(0, m + lr (density - target))
//! restart              m <- 0 once density <= target
//! ```
//!
//! Without the restart a multiplier that grew while the constraint was violated goes on pruning long after it holds.
//! The density comes in from outside as a differentiable tensor
//! ([`Network::densities`](crate::Network::densities)): the share of a network's weights or multiply-accumulates, or of
//! a layer's gates, that is left. Weights feel the constraint through the multiplier alone.
//!
//! ```
//! # use l0::Constraint;
//! let mut constraint = Constraint::new(0.2, 0.5, true)?;
//! constraint.update(0.8)?; // violated by 0.6
//! assert!((constraint.multiplier() - 0.5 * 0.6).abs() < 1e-6);
//! constraint.update(0.2)?; // met
//! assert_eq!(constraint.multiplier(), 0.0);
//! # Ok::<(), l0::Error>(())
//! ```

use std::fmt;
use std::str::FromStr;

use candle_core::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::in_range;

/// What the density of a model is a share of: its linear layers and convolutions together, those without gates too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Their weights; biases and the parameters of normalisations do not count.
    #[default]
    Params,
    /// Their multiply-accumulates for one example.
    Macs,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Params => "params",
            Self::Macs => "macs",
        })
    }
}

impl FromStr for Quantity {
    type Err = Error;

    fn from_str(word: &str) -> crate::Result<Self> {
        match word {
            "params" => Ok(Self::Params),
            "macs" => Ok(Self::Macs),
            _ => Err(Error::Unknown { what: "quantity", found: word.to_string(), expected: "params, macs" }),
        }
    }
}

/// Where densities are bounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// One bound for the expected share of the whole network that is left, in a [`Quantity`]. Layers without gates count
    /// and keep their part, so that no gates can bring the share below it.
    Model(f64),
    /// A bound for each gated layer, in order, on its expected share of open gates, whatever the [`Quantity`].
    Layers(Vec<f64>),
}

/// A bound on one density, with the multiplier that enforces it.
///
/// Saved and read with serde it goes on exactly where it was. The multiplier is kept in `f32`: its few digits come back
/// the same from any JSON reader.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    target: f64,
    lr: f64,
    multiplier: f32,
    restart: bool,
}

impl Constraint {
    /// A bound `target` with a multiplier of 0 that learns at the rate `lr`; see the module for `restart`.
    ///
    /// # Errors
    /// If the target is not in (0, 1] or the rate not positive.
    pub fn new(target: f64, lr: f64, restart: bool) -> crate::Result<Self> {
        in_range("a target density", target, "in (0, 1]", target > 0.0 && target <= 1.0)?;
        in_range("the multiplier's learning rate", lr, "finite and above 0", lr > 0.0 && lr.is_finite())?;
        Ok(Self { target, lr, multiplier: 0.0, restart })
    }

    /// The bound.
    pub fn target(&self) -> f64 {
        self.target
    }

    /// The multiplier now.
    pub fn multiplier(&self) -> f64 {
        f64::from(self.multiplier)
    }

    /// `multiplier (density - target)`, to be added to the loss; `density` is a scalar.
    ///
    /// # Errors
    /// If `density` is not a scalar.
    pub fn term(&self, density: &Tensor) -> Result<Tensor> {
        if density.rank() != 0 {
            bail!("a density has shape {:?}, expected a scalar, []", density.dims())
        }
        density.affine(self.multiplier(), -self.multiplier() * self.target)
    }

    /// One step of dual ascent, due once for each step of the parameters and with the density that the loss had.
    /// Returns the violation `density - target`.
    ///
    /// # Errors
    /// If the density is not finite: the multiplier would be lost for good.
    pub fn update(&mut self, density: f64) -> crate::Result<f64> {
        in_range("a density", density, "finite", density.is_finite())?;
        let violation = density - self.target;
        let ascended = (self.multiplier() + self.lr * violation).max(0.0);
        self.multiplier = if self.restart && violation <= 0.0 { 0.0 } else { ascended as f32 };
        Ok(violation)
    }
}

/// The constraints of a run: one for the model, or one for each gated layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Constraints {
    /// What the density of the model is a share of; densities of layers are shares of their gates.
    pub quantity: Quantity,
    each: Vec<Constraint>,
    per_layer: bool,
}

impl Constraints {
    /// Constraints on `layers` gated layers.
    ///
    /// # Errors
    /// As for [`Constraint::new`], or if there is not one target for each layer.
    pub fn new(targets: &Targets, quantity: Quantity, layers: usize, lr: f64, restart: bool) -> crate::Result<Self> {
        let (targets, per_layer) = match targets {
            Targets::Model(target) => (std::slice::from_ref(target), false),
            Targets::Layers(targets) => (targets.as_slice(), true),
        };
        if per_layer && targets.len() != layers {
            return Err(Error::Count { what: "target densities", found: targets.len(), expected: layers.to_string() });
        }
        let each = targets.iter().map(|&target| Constraint::new(target, lr, restart)).collect::<crate::Result<_>>()?;
        Ok(Self { quantity, each, per_layer })
    }

    /// Whether densities are of single layers rather than of the model.
    pub fn per_layer(&self) -> bool {
        self.per_layer
    }

    /// Each constraint, with its target and multiplier.
    pub fn each(&self) -> &[Constraint] {
        &self.each
    }

    /// The sum of [`Constraint::term`].
    ///
    /// # Errors
    /// If there is not one density for each constraint.
    pub fn term(&self, densities: &[Tensor]) -> Result<Tensor> {
        if densities.len() != self.each.len() {
            bail!("found {} densities, expected {}", densities.len(), self.each.len())
        }
        let mut terms = self.each.iter().zip(densities).map(|(constraint, density)| constraint.term(density));
        match terms.next() {
            Some(first) => terms.try_fold(first?, |total, term| total + term?),
            None => bail!("there is nothing to constrain"),
        }
    }

    /// [`Constraint::update`] of each; returns the violations.
    ///
    /// # Errors
    /// If there is not one finite density for each constraint; then none is updated.
    pub fn update(&mut self, densities: &[f64]) -> crate::Result<Vec<f64>> {
        if densities.len() != self.each.len() {
            return Err(Error::Count {
                what: "densities",
                found: densities.len(),
                expected: self.each.len().to_string(),
            });
        }
        for &density in densities {
            in_range("a density", density, "finite", density.is_finite())?;
        }
        self.each.iter_mut().zip(densities).map(|(constraint, &density)| constraint.update(density)).collect()
    }
}

#[cfg(test)]
mod tests;
