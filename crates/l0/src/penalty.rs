//! What open gates and large weights cost.
//!
//! With N training points, gated groups g of |g| weights w_g, price lambda / N per weight and weight decay wd, training
//! minimises (Louizos et al. 2018, eq. 9 and section 2.3)
//!
//! ```text
//! mean cross-entropy
//!   + sum over groups g of P(z_g != 0) * ( (lambda / N) |g| + (wd / 2) ||w_g||^2 )
//!   + (wd / 2) ||weights without a gate||^2
//! ```
//!
//! P(z_g != 0) = sigmoid(log_alpha_g + 1.5986). The weights in the norm are those before the gate multiplies them. Here
//! L2 is *attached* to the gates: a group likely to be closed hardly decays. *Detached*, each ||w_g||^2 counts in full
//! and the second factor keeps its first summand alone.
//!
//! lambda comes in two units, see [`Lambda`]. |g| counts every number that the gate can switch off, so a channel
//! with a bias counts one more; the authors' code subtracts there (`docs/differences.md`).

pub(crate) mod op;

use candle_core::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use crate::Gate;
use crate::error::in_range;

/// The strength of the L0 penalty, with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lambda {
    /// The paper's lambda: one open weight adds lambda / N to the loss. What is quoted as "lambda = 0.1 / N" is
    /// `PerWeight(0.1)`.
    PerWeight(f64),
    /// Gallego-Posada's: all gated weights open together add lambda to the loss, so it multiplies a density in \[0,
    /// 1\].
    Density(f64),
}

impl Lambda {
    /// The number without its unit.
    pub fn value(self) -> f64 {
        match self {
            Self::PerWeight(lambda) | Self::Density(lambda) => lambda,
        }
    }
}

/// Whether the weight decay of a group is multiplied by the probability that its gate is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum L2 {
    /// As in the paper: P(z != 0) ||w||^2, which also pulls gates of large weights shut.
    #[default]
    Attached,
    /// Plain weight decay: gates do not feel the size of their weights.
    Detached,
}

/// What open gates and large weights of one layer cost; a layer with another lambda has another one. It is made once
/// for a training.
///
/// ```
/// # use l0::{L2, Penalty};
/// let paper = Penalty::per_weight(0.1, 60_000)?; // an open weight adds 0.1 / 60,000 to the loss
/// let decaying = paper.with_weight_decay(5e-4)?.with_l2(L2::Detached);
/// let share = Penalty::density(0.3)?.among(266_200)?; // all of so many weights open together add 0.3
/// # assert_eq!((decaying.weight_decay(), share.price(1)), (5e-4, 0.3 / 266_200.0));
/// # Ok::<(), l0::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Penalty {
    price: Price,
    weight_decay: f64,
    l2: L2,
}

/// What open weights add to the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Price {
    /// One of them.
    Each(f64),
    /// All together, which are so many, or as many as a layer has gated ones.
    All(f64, Option<usize>),
}

impl Penalty {
    /// One open weight adds `lambda / n_train` to the loss, as in the paper; no weight decay.
    ///
    /// # Errors
    /// If lambda is negative or not finite, or there is no training point.
    pub fn per_weight(lambda: f64, n_train: usize) -> crate::Result<Self> {
        in_range("the number of training points", n_train as f64, "at least 1", n_train > 0)?;
        Ok(Self::new(Price::Each(strength("lambda", lambda)? / n_train as f64)))
    }

    /// All gated weights of a layer open together add `lambda` to the loss; no weight decay. Layers that share the
    /// lambda also share a [count](Penalty::among).
    ///
    /// # Errors
    /// If lambda is negative or not finite.
    pub fn density(lambda: f64) -> crate::Result<Self> {
        Ok(Self::new(Price::All(strength("lambda", lambda)?, None)))
    }

    /// A lambda in its unit, for gates on a model that has `gated_weights` in all.
    ///
    /// # Errors
    /// As for [`Penalty::per_weight`] and [`Penalty::among`].
    pub fn of(lambda: Lambda, n_train: usize, gated_weights: usize) -> crate::Result<Self> {
        match lambda {
            Lambda::PerWeight(lambda) => Self::per_weight(lambda, n_train),
            Lambda::Density(lambda) => Self::density(lambda)?.among(gated_weights),
        }
    }

    fn new(price: Price) -> Self {
        Self { price, weight_decay: 0.0, l2: L2::default() }
    }

    /// The same with a density that is the share of so many gated weights, those of all layers of a model together, in
    /// place of the layer's own. A price for each weight stays what it is.
    ///
    /// # Errors
    /// If the count is 0.
    pub fn among(self, gated_weights: usize) -> crate::Result<Self> {
        in_range("the number of gated weights", gated_weights as f64, "at least 1", gated_weights > 0)?;
        Ok(match self.price {
            Price::All(lambda, _) => Self { price: Price::All(lambda, Some(gated_weights)), ..self },
            Price::Each(_) => self,
        })
    }

    /// The same with this coefficient wd of the L2 term; half of it multiplies the squares.
    ///
    /// # Errors
    /// If it is negative or not finite.
    pub fn with_weight_decay(self, weight_decay: f64) -> crate::Result<Self> {
        Ok(Self { weight_decay: strength("weight decay", weight_decay)?, ..self })
    }

    /// The same with L2 attached to the gates, as it is without this call, or detached from them.
    #[must_use]
    pub fn with_l2(self, l2: L2) -> Self {
        Self { l2, ..self }
    }

    /// What one open weight adds to the loss, in a layer that has `gated_weights`.
    pub fn price(&self, gated_weights: usize) -> f64 {
        match self.price {
            Price::Each(price) => price,
            Price::All(lambda, among) => lambda / among.unwrap_or(gated_weights) as f64,
        }
    }

    /// The coefficient wd.
    pub fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    /// The penalty of groups of `size` = |g| weights each, a scalar. A member (t, d) of `groups` is a tensor whose
    /// slice j along dimension d belongs to group j; without weight decay members are not looked at.
    ///
    /// # Errors
    /// If a member has not as many slices as there are gates.
    pub fn groups(&self, gate: &Gate, size: usize, groups: &[(&Tensor, usize)]) -> Result<Tensor> {
        if self.weight_decay == 0.0 {
            return self.open_cost(gate, size, None);
        }
        let mut norms: Option<Tensor> = None;
        for &(member, dim) in groups {
            let slices = member.dim(dim)?;
            if slices != gate.units() {
                let shape = member.dims();
                bail!("gate has {} units but dimension {dim} of {shape:?} has {slices} slices", gate.units())
            }
            let more = op::squared_norms(member, dim)?;
            norms = Some(match norms {
                Some(norms) => (norms + more)?,
                None => more,
            });
        }
        self.open_cost(gate, size, norms)
    }

    /// The penalty of a weight with a gate for each of its numbers, a scalar.
    ///
    /// # Errors
    /// If the shapes of `weight` and gates differ.
    pub fn each_weight(&self, gate: &Gate, weight: &Tensor) -> Result<Tensor> {
        if weight.shape() != gate.log_alpha().shape() {
            bail!("gates have shape {:?} but the weight has {:?}", gate.log_alpha().dims(), weight.dims())
        }
        let squares = if self.weight_decay == 0.0 { None } else { Some(weight.sqr()?) };
        self.open_cost(gate, 1, squares)
    }

    /// The L2 term of parameters without a gate, a scalar, or `None` without weight decay or parameters.
    ///
    /// # Errors
    /// If the device cannot hold the result.
    pub fn ungated(&self, parameters: &[&Tensor]) -> Result<Option<Tensor>> {
        if self.weight_decay == 0.0 {
            return Ok(None);
        }
        let mut total: Option<Tensor> = None;
        for parameter in parameters {
            let norm = op::squared_norm(parameter)?;
            total = Some(match total {
                Some(total) => (total + norm)?,
                None => norm,
            });
        }
        total.map(|total| total * (self.weight_decay / 2.0)).transpose()
    }

    /// Sum of P(z_j != 0) times the cost of group j, with the squared norms of the groups where they count.
    fn open_cost(&self, gate: &Gate, size: usize, norms: Option<Tensor>) -> Result<Tensor> {
        let per_gate = self.price(size * gate.units()) * size as f64;
        let Some(norms) = norms else {
            return op::sum_open(gate)? * per_gate;
        };
        let log_alpha = gate.log_alpha();
        let norms = norms.to_device(log_alpha.device())?.to_dtype(log_alpha.dtype())?;
        let decay = norms.affine(self.weight_decay / 2.0, 0.0)?;
        match self.l2 {
            L2::Attached => (gate.prob_open()? * (decay + per_gate)?)?.sum_all(),
            L2::Detached => (op::sum_open(gate)? * per_gate)? + decay.sum_all()?,
        }
    }
}

/// A coefficient that may be 0 but is nothing else than a finite number.
pub(crate) fn strength(name: &'static str, found: f64) -> crate::Result<f64> {
    in_range(name, found, "finite and at least 0", found >= 0.0 && found.is_finite())
}

#[cfg(test)]
mod tests;
