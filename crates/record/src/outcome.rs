//! How far a run has come, and what it came to.

use serde::{Deserialize, Serialize};

use crate::number;

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being trained, or was killed without a word.
    #[default]
    Running,
    /// It reached its end.
    Finished,
    /// It was asked to stop and can go on.
    Interrupted,
    /// It stopped on an error, which the header's `message` tells.
    Failed,
}

impl Status {
    /// The word for it, as in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// What a run came to. Counts are of the network that remains once the pruned parts are gone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Error of the last epoch on the test images, in percent.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub test_error_percent: Option<f64>,
    /// Root of the mean squared error of the last epoch on the test examples, in the unit of the numbers that are
    /// predicted.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub test_rmse: Option<f64>,
    /// The share of the variance of the test examples' numbers that is explained: 1 at best, 0 for their mean.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub test_r2: Option<f64>,
    /// Units left at test time, layer by layer, as the paper lists them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architecture: Vec<usize>,
    /// Parameters of the network before pruning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_total: Option<u64>,
    /// Parameters that remain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_kept: Option<u64>,
    /// Weights of the network before pruning: its parameters without biases and normalisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_total: Option<u64>,
    /// Weights that remain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_kept: Option<u64>,
    /// Multiply-accumulates of the network before pruning for one example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs_total: Option<u64>,
    /// Multiply-accumulates that remain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs_kept: Option<u64>,
    /// Expected share of the gated weights, from 0 to 1: the share whose gates are open, where gates are frozen (files of
    /// earlier versions have the sum of P(z != 0) there, too).
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub expected_density: Option<f64>,
    /// Seconds spent training, evaluation left out.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub train_seconds: Option<f64>,
    /// The most memory the process held, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

impl Outcome {
    /// Weights that remain, in percent of all.
    pub fn weights_kept_percent(&self) -> Option<f64> {
        percent(self.weights_kept, self.weights_total)
    }

    /// Parameters that remain, in percent of all.
    pub fn params_kept_percent(&self) -> Option<f64> {
        percent(self.params_kept, self.params_total)
    }

    /// Multiply-accumulates that remain, in percent of all.
    pub fn macs_kept_percent(&self) -> Option<f64> {
        percent(self.macs_kept, self.macs_total)
    }
}

fn percent(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    match (part?, whole?) {
        (_, 0) => None,
        (part, whole) => Some(100.0 * part as f64 / whole as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_nothing_are_not_numbers() {
        assert_eq!(percent(Some(1), Some(0)), None);
        assert_eq!(percent(Some(1), Some(4)), Some(25.0));
    }
}
