//! Constraints: densities that training holds gates to, in place of a price for open ones.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::in_range;

/// Densities that gates are held to by [multipliers](crate::multiplier).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// One density for the model, or one for each gated layer.
    pub targets: Targets,
    /// What the model's density is a share of; that of a layer is the share of its gates.
    pub quantity: Quantity,
    /// Step size of the multipliers.
    pub learning_rate: f64,
    /// Whether a multiplier starts again from 0 once its density is at its target.
    pub restart: bool,
    /// Whether the bounds come down from 1 towards the targets while gates learn, by the same factor at each step, of
    /// which the last is one short of them, in place of standing there from the first one on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gradual: bool,
    /// How gates are brought within the bounds when they are frozen.
    #[serde(default, skip_serializing_if = "Fit::is_lower")]
    pub fit: Fit,
}

impl Constraint {
    /// Bounds that stand from the first step on, with multipliers that start again from 0 where they are met, and gates
    /// that are lowered when they are frozen.
    ///
    /// ```
    /// use l0::{Constraint, Filling, Fit, Objective, Quantity, Targets};
    /// let half = Constraint::new(Targets::Model(0.5), Quantity::Macs, 1e-3);
    /// let filled = Constraint { fit: Fit::Fill(Filling::default()), ..half };
    /// let objective = Objective::constrained(filled);
    /// ```
    pub fn new(targets: Targets, quantity: Quantity, learning_rate: f64) -> Self {
        Self { targets, quantity, learning_rate, restart: true, gradual: false, fit: Fit::default() }
    }
}

/// How gates are brought within a [`Constraint`] when they are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fit {
    /// From above: every log α is lowered by as little as it takes, so that a network which is within the bounds stays
    /// as it is, however far below them.
    #[default]
    Lower,
    /// From both sides: as many gates as fit stay open, the likeliest first, unless costly ones that do not fit would
    /// leave more than a fiftieth of the bound unused. Under a bound on each layer, no gate is open whose unit comes to
    /// nothing beside the others, as a feature of a closed channel.
    Fill(Filling),
}

/// Which gates [`Fit::Fill`] opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filling {
    /// The gates of a set are opened so many at a time, until all of them are: 8, for channels in the numbers that
    /// runtimes like.
    pub multiple: usize,
    /// How gates of different sets are compared. Without effect under a bound on each layer.
    #[serde(default, skip_serializing_if = "Ranking::is_global")]
    pub ranking: Ranking,
    /// A set that would lose no more than one gate in so many keeps all of them, and other sets lose more: what is left
    /// of whole blocks of channels takes a runtime as long as the blocks. For gates that are ranked globally; 0 for no
    /// such set; without effect under a bound on each layer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub whole_within: usize,
}

impl Default for Filling {
    /// One gate at a time, ranked globally.
    fn default() -> Self {
        Self { multiple: 1, ranking: Ranking::Global, whole_within: 0 }
    }
}

/// How the gates of different sets are compared, when as many as fit a bound on the whole network are to stay open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ranking {
    /// By log α, all gates of the network together: they decide how much of each set is left.
    #[default]
    Global,
    /// All sets keep the same share of their gates, as near as whole multiples come to it, one multiple at least, and
    /// log α decides which. Gates whose steps are scaled set by set, as Novograd scales them, say little about how much
    /// one set is worth beside another.
    Uniform,
}

impl Filling {
    /// Checks every number.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { multiple, ranking, whole_within } = *self;
        in_range("the multiple of gates that stay open", multiple as f64, "1 or more", multiple > 0)?;
        let holds = whole_within == 0 || ranking == Ranking::Global;
        in_range("whole_within", whole_within as f64, "0 where the ranking is not global", holds).map(drop)
    }
}

impl fmt::Display for Ranking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "global",
            Self::Uniform => "uniform",
        })
    }
}

impl Ranking {
    fn is_global(&self) -> bool {
        *self == Self::Global
    }
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Fit {
    /// How many gates of a set are opened together.
    pub(crate) fn multiple(self) -> usize {
        match self {
            Self::Lower => 1,
            Self::Fill(filling) => filling.multiple,
        }
    }

    fn is_lower(&self) -> bool {
        *self == Self::Lower
    }
}

/// What the density of a model is a share of: its linear layers and convolutions together, those without gates too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Their weights; biases and the parameters of normalisations do not count. Earlier versions called it `params`.
    #[default]
    #[serde(alias = "params")]
    Weights,
    /// Their multiply-accumulates for one example.
    Macs,
}

impl Quantity {
    /// As a sentence calls it: "weights", "MACs".
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Macs => "MACs",
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weights => "weights",
            Self::Macs => "macs",
        })
    }
}

/// Where densities are bounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// One bound for the expected share of the whole network that is left, in a [`Quantity`]. Layers without gates
    /// count and keep their part, so that no gates can bring the share below it.
    Model(f64),
    /// A bound for each gated layer, in order, on its expected share of open gates, whatever the [`Quantity`]. A gate
    /// that is closed as far as it goes is still open with probability 0.047: near that, a bound is hardly met while
    /// gates learn, all but a few are closed as far as they go, and those that are to be open once gates are frozen are
    /// told apart by their weights ([`Fit::Fill`]).
    Layers(Vec<f64>),
}

impl Targets {
    /// Every bound.
    pub fn each(&self) -> &[f64] {
        match self {
            Self::Model(target) => std::slice::from_ref(target),
            Self::Layers(targets) => targets,
        }
    }

    /// Whether they bound single layers rather than the model.
    pub fn are_of_layers(&self) -> bool {
        matches!(self, Self::Layers(_))
    }
}
