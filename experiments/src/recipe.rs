//! One row of a table: data, network and training, with every setting.

use anyhow::Result;
use l0::{Lambda, Network};
use l0_data::DatasetName;
use l0_record::Reference;
use l0_train::Training;
use serde::{Deserialize, Serialize};

/// How a network is kept from using all of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Gating {
    /// Not at all.
    Dense,
    /// By dropout.
    Dropout,
    /// By L0 gates.
    L0 {
        /// One lambda for all layers, or one for each.
        lambdas: Vec<Lambda>,
    },
}

/// A network and its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename_all = "snake_case", deny_unknown_fields)]
pub enum Model {
    /// A multilayer perceptron.
    Mlp {
        /// Its sizes.
        sizes: l0_mlp::Config,
        /// Its gates.
        gating: Gating,
    },
    /// A LeNet-5.
    Lenet5 {
        /// Its sizes.
        sizes: l0_lenet5::Config,
        /// Its gates.
        gating: Gating,
    },
}

impl Model {
    /// The network.
    ///
    /// # Errors
    /// If a size is 0 or the number of lambdas does not fit.
    pub fn network(&self) -> Result<Network> {
        Ok(match self {
            Self::Mlp { sizes, gating } => match gating {
                Gating::Dense => l0_mlp::dense(sizes)?,
                Gating::Dropout => l0_mlp::dropout(sizes)?,
                Gating::L0 { lambdas } => l0_mlp::l0(sizes, lambdas)?,
            },
            Self::Lenet5 { sizes, gating } => match gating {
                Gating::Dense => l0_lenet5::dense(sizes)?,
                Gating::Dropout => l0_lenet5::dropout(sizes)?,
                Gating::L0 { lambdas } => l0_lenet5::l0(sizes, lambdas)?,
            },
        })
    }

    /// Other lambdas for the gates, in the paper's unit; a network without gates stays as it is.
    pub fn set_lambdas(&mut self, values: &[f64]) {
        let (Self::Mlp { gating, .. } | Self::Lenet5 { gating, .. }) = self;
        if let Gating::L0 { lambdas } = gating {
            *lambdas = values.iter().copied().map(Lambda::PerWeight).collect();
        }
    }

    /// What a table calls it.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Mlp { .. } => "MLP 784-300-100",
            Self::Lenet5 { .. } => "LeNet-5-Caffe",
        }
    }
}

/// A row: what is trained on what, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// As one types it: "lenet5-l0-sep".
    pub name: &'static str,
    /// As a table calls it: "L0, lambda separate".
    pub title: &'static str,
    /// The data.
    pub data: DatasetName,
    /// The network.
    pub model: Model,
    /// The training.
    pub training: Training,
    /// The published row it repeats.
    pub reference: Option<Reference>,
    /// In what a run is smaller than the published one.
    pub scaled_down: Option<String>,
}

impl Recipe {
    /// The same for fewer or more epochs; fewer is said wherever a run is shown.
    #[must_use]
    pub fn with_epochs(mut self, epochs: u64) -> Self {
        if epochs < self.training.epochs {
            self.scaled_down = Some(format!("{epochs} of {} epochs", self.training.epochs));
        }
        self.training.epochs = epochs;
        self
    }

    /// Every setting, for the header of a run.
    pub fn config(&self) -> serde_json::Value {
        serde_json::json!({ "data": self.data.as_str(), "model": self.model, "training": self.training })
    }
}
