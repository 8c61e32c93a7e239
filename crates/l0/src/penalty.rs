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
//! lambda comes in two units, see [`Lambda`]. |g| counts every number that the gate can switch off, so a feature map
//! with a bias counts one more; the authors' code subtracts there (`docs/differences.md`).

mod op;

use candle_core::{DType, Result, Tensor, bail};
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
    /// Gallego-Posada's: all gated weights open together add lambda to the loss, so it multiplies a density in \[0, 1\].
    Density(f64),
}

impl Lambda {
    /// What one open weight adds to the loss, among `gated_weights` in all and with `n_train` training points.
    pub fn price(self, n_train: usize, gated_weights: usize) -> f64 {
        match self {
            Self::PerWeight(lambda) => lambda / n_train as f64,
            Self::Density(lambda) => lambda / gated_weights as f64,
        }
    }

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

/// The coefficients of the objective above for one layer; a layer with another lambda has another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Penalty {
    price: f64,
    weight_decay: f64,
    l2: L2,
}

impl Penalty {
    /// `gated_weights` counts those that `lambda` is shared by, which only [`Lambda::Density`] depends on: the sum of
    /// |g| over the gates of the model, or of a layer with a density of its own.
    ///
    /// # Errors
    /// If lambda or weight decay is negative or not finite, or a count is 0.
    pub fn new(lambda: Lambda, weight_decay: f64, l2: L2, n_train: usize, gated_weights: usize) -> crate::Result<Self> {
        let strength = |x: f64| x >= 0.0 && x.is_finite();
        in_range("lambda", lambda.value(), "finite and at least 0", strength(lambda.value()))?;
        in_range("weight decay", weight_decay, "finite and at least 0", strength(weight_decay))?;
        in_range("the number of training points", n_train as f64, "at least 1", n_train > 0)?;
        in_range("the number of gated weights", gated_weights as f64, "at least 1", gated_weights > 0)?;
        Ok(Self { price: lambda.price(n_train, gated_weights), weight_decay, l2 })
    }

    /// What one open weight adds to the loss.
    pub fn price(&self) -> f64 {
        self.price
    }

    /// The coefficient wd; half of it multiplies the squares.
    pub fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    /// The penalty of groups of `size` = |g| weights each, a scalar. A member (t, d) of `groups` is a tensor whose slice
    /// j along dimension d belongs to group j; without weight decay members are not looked at.
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
        let per_gate = self.price * size as f64;
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

/// The value of a scalar, as for a log.
///
/// # Errors
/// If `xs` is not a scalar of floats.
pub fn scalar(xs: &Tensor) -> Result<f64> {
    xs.detach().to_dtype(DType::F64)?.to_scalar()
}

#[cfg(test)]
mod tests;
