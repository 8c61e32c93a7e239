//! The objective: what is optimised beside the loss on the data, for gates wherever a network has them.

use serde::{Deserialize, Serialize};

use crate::penalty::strength;
use crate::{Constraint, Error, GatedNet, L2, Lambda, Multipliers, Penalty, Result};

/// What is optimised beside the loss: what closes gates, and the weight decay of what they gate.
///
/// ```
/// use l0::{L2, Lambda, Objective};
/// let paper = Objective::priced(&[10.0, 0.5, 0.1, 10.0].map(Lambda::PerWeight)); // one lambda for each set of gates
/// let decaying = Objective { weight_decay: 5e-4, l2: L2::Detached, ..paper };
/// # assert_eq!(decaying.lambdas().len(), 4);
/// ```
///
/// As a file it is a table of `weight_decay`, `l2` and either `lambdas` or a `constraint`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct Objective {
    /// What closes gates.
    pub gates: Pressure,
    /// Coefficient of the L2 term of the weights and biases that are gated; others decay by what their optimiser is
    /// told.
    pub weight_decay: f64,
    /// Whether gates feel it.
    pub l2: L2,
}

/// What closes gates.
#[derive(Debug, Clone, PartialEq)]
pub enum Pressure {
    /// A price for each open weight: one lambda for all sets of gates, or one for each.
    Price(Vec<Lambda>),
    /// Densities that multipliers bring them to.
    Constraint(Constraint),
}

/// An objective in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    weight_decay: f64,
    #[serde(default)]
    l2: L2,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lambdas: Option<Vec<Lambda>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    constraint: Option<Constraint>,
}

impl Default for Objective {
    /// Nothing beside the loss.
    fn default() -> Self {
        Self::priced(&[Lambda::PerWeight(0.0)])
    }
}

impl Objective {
    /// One lambda for all sets of gates, or one for each; no weight decay.
    pub fn priced(lambdas: &[Lambda]) -> Self {
        Self { gates: Pressure::Price(lambdas.to_vec()), weight_decay: 0.0, l2: L2::default() }
    }

    /// Densities in the place of a price; no weight decay.
    pub fn constrained(constraint: Constraint) -> Self {
        Self { gates: Pressure::Constraint(constraint), weight_decay: 0.0, l2: L2::default() }
    }

    /// The lambdas; none where a constraint is in their place.
    pub fn lambdas(&self) -> &[Lambda] {
        match &self.gates {
            Pressure::Price(lambdas) => lambdas,
            Pressure::Constraint(_) => &[],
        }
    }

    /// The constraint, if there is one.
    pub fn constraint(&self) -> Option<&Constraint> {
        match &self.gates {
            Pressure::Price(_) => None,
            Pressure::Constraint(constraint) => Some(constraint),
        }
    }

    /// The objective without the weight decay that gates do not feel, and the coefficient of that decay (0 with
    /// [`L2::Attached`]). An optimiser makes the same step if it adds coefficient times value to the gradient of each
    /// of [`GatedNet::gated_parameters`], once for each time that its name stands there. That costs no pass of its own;
    /// norms cost two, and on a GPU a wait for each set of gates.
    ///
    /// ```
    /// # use l0::{L2, Lambda, Objective};
    /// let decaying = Objective { weight_decay: 5e-4, l2: L2::Detached, ..Objective::priced(&[Lambda::PerWeight(0.1)]) };
    /// let (felt, decay) = decaying.without_detached_decay()?;
    /// assert_eq!((felt.weight_decay, decay), (0.0, 5e-4));
    /// # Ok::<(), l0::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the weight decay is negative or not finite.
    pub fn without_detached_decay(&self) -> Result<(Self, f64)> {
        let weight_decay = strength("weight decay", self.weight_decay)?;
        Ok(match self.l2 {
            L2::Attached => (self.clone(), 0.0),
            L2::Detached => (Self { weight_decay: 0.0, ..self.clone() }, weight_decay),
        })
    }

    /// What each set of gates of a network adds to the loss on `n_train` training points: made once, for
    /// [`GatedNet::penalty`].
    ///
    /// # Errors
    /// If a number is out of range, or there is neither one lambda nor one for each set.
    pub fn penalties(&self, network: &GatedNet, n_train: usize) -> Result<Vec<Penalty>> {
        let lambdas = match &self.gates {
            Pressure::Price(lambdas) => for_each_set("lambdas", lambdas, network.sets())?,
            Pressure::Constraint(_) => vec![Lambda::PerWeight(0.0); network.sets()],
        };
        let gated_weights = network.gated_weights();
        let penalty = |lambda| -> Result<Penalty> {
            let priced = Penalty::of(lambda, n_train, gated_weights)?;
            Ok(priced.with_weight_decay(self.weight_decay)?.with_l2(self.l2))
        };
        lambdas.into_iter().map(penalty).collect()
    }

    /// The multipliers that a training of a network begins with, if there is a constraint.
    ///
    /// # Errors
    /// As for [`Multipliers::new`], or if no network with these gates can meet a target.
    pub fn multipliers(&self, network: &GatedNet) -> Result<Option<Multipliers>> {
        let Some(constraint) = self.constraint() else { return Ok(None) };
        let multipliers = Multipliers::new(constraint, network.sets())?;
        network.check_targets(constraint)?;
        Ok(Some(multipliers))
    }
}

/// `values` for each of so many sets of gates: one for all, or as many as there are.
fn for_each_set<T: Copy>(what: &'static str, values: &[T], sets: usize) -> Result<Vec<T>> {
    match values {
        [one] => Ok(vec![*one; sets]),
        _ if values.len() == sets => Ok(values.to_vec()),
        _ => Err(Error::Count { what, found: values.len(), expected: format!("1 for all layers or {sets}") }),
    }
}

impl TryFrom<Table> for Objective {
    type Error = &'static str;

    fn try_from(Table { weight_decay, l2, lambdas, constraint }: Table) -> std::result::Result<Self, &'static str> {
        let gates = match (lambdas, constraint) {
            (Some(lambdas), None) => Pressure::Price(lambdas),
            (None, Some(constraint)) => Pressure::Constraint(constraint),
            (Some(_), Some(_)) => return Err("an objective has `lambdas` or a `constraint`, not both"),
            (None, None) => return Err("an objective has neither `lambdas` nor a `constraint`; give one of them"),
        };
        Ok(Self { gates, weight_decay, l2 })
    }
}

impl From<Objective> for Table {
    fn from(Objective { gates, weight_decay, l2 }: Objective) -> Self {
        let (lambdas, constraint) = match gates {
            Pressure::Price(lambdas) => (Some(lambdas), None),
            Pressure::Constraint(constraint) => (None, Some(constraint)),
        };
        Self { weight_decay, l2, lambdas, constraint }
    }
}

#[cfg(test)]
mod tests;
