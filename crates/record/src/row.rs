//! One epoch of a run: a line of `metrics.jsonl`.

use serde::{Deserialize, Serialize};

use crate::{Named, number};

/// The number of bins of a gate histogram.
pub const GATE_BINS: usize = 20;

/// What was measured in one epoch: a line of `metrics.jsonl`.
///
/// Counts are of the network, gated layers and others together. *Expected* counts come from the probability that a gate
/// is open, *hard* ones from the gates that are not zero at test time. Once gates are frozen nothing of them is left to
/// chance: what is expected is what is hard. Files of earlier versions have the probabilities there, too, and so a target
/// that was met as violated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// Epochs done, from 1.
    pub epoch: u64,
    /// Training steps done since the start of the run.
    pub step: u64,
    /// Seconds spent training since the start of the run, evaluation left out.
    #[serde(with = "number")]
    pub seconds: f64,
    /// Learning rate of the weights in the last step.
    #[serde(with = "number")]
    pub learning_rate: f64,
    /// Mean loss over the training batches of this epoch, without the penalty: cross-entropy, or the squared error of
    /// standardised numbers.
    #[serde(with = "number")]
    pub train_loss: f64,
    /// Mean penalty over the training batches of this epoch, without weight decay that gates do not feel (files of
    /// before 2026-11-28 have that in it).
    #[serde(with = "number")]
    pub penalty: f64,
    /// Error on the training batches of this epoch, in percent; none where numbers are predicted.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub train_error_percent: Option<f64>,
    /// Error on the test images, in percent, where it was measured in this epoch.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub test_error_percent: Option<f64>,
    /// Root of the mean squared error on the test examples, in the unit of the numbers that are predicted.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub test_rmse: Option<f64>,
    /// The share of the variance of the test examples' numbers that is explained: 1 at best, 0 for their mean.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub test_r2: Option<f64>,
    /// Mean loss on the test images, where it was measured in this epoch.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<f64>,
    /// Expected number of gated weights that are not zero: the sum over groups of P(z != 0) |g|.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub expected_l0: Option<f64>,
    /// Expected number of parameters, pruned inputs and outputs taken off; normalisations count in full until gates are
    /// frozen.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub expected_params: Option<f64>,
    /// Expected multiply-accumulates for one example, pruned inputs and outputs taken off.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub expected_macs: Option<f64>,
    /// Parameters that remain with the test-time gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_params: Option<u64>,
    /// Multiply-accumulates for one example that remain with the test-time gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_macs: Option<u64>,
    /// Median milliseconds of a training step in this epoch.
    #[serde(with = "number::option", default, skip_serializing_if = "Option::is_none")]
    pub step_ms: Option<f64>,
    /// Gates open at test time, by gated layer.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub open: Named<u64>,
    /// Multipliers of the constraints.
    #[serde(with = "number::named", default, skip_serializing_if = "Named::is_empty")]
    pub multipliers: Named<f64>,
    /// By how much each constraint is violated: expected density less its target.
    #[serde(with = "number::named", default, skip_serializing_if = "Named::is_empty")]
    pub violations: Named<f64>,
    /// Histograms of the test-time gate values by gated layer, as [`gate_histogram`] counts them.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub gates: Named<Vec<u64>>,
}

/// Counts gate values in [`GATE_BINS`] equal bins from 0 to 1, the value 1 in the last.
///
/// What lies outside counts in the nearest bin; what is not a number counts nowhere.
///
/// ```
/// let counts = l0_record::gate_histogram([0.0, 0.01, 0.5, 1.0]);
/// assert_eq!((counts[0], counts[10], counts[19]), (2, 1, 1));
/// ```
pub fn gate_histogram(values: impl IntoIterator<Item = f32>) -> Vec<u64> {
    let mut counts = vec![0; GATE_BINS];
    for value in values.into_iter().filter(|value| !value.is_nan()) {
        // A float becomes an integer by saturation, so no value can point outside.
        let bin = (value * GATE_BINS as f32) as usize;
        counts[bin.min(GATE_BINS - 1)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_as_it_was_written() {
        let row = EpochRow {
            epoch: 3,
            step: 1800,
            seconds: 0.1 + 0.2,
            train_loss: f64::INFINITY,
            test_error_percent: Some(1.7),
            open: [("conv1".into(), 20), ("conv2".into(), 31)].into(),
            multipliers: [("model".into(), f64::NEG_INFINITY)].into(),
            gates: [("conv1".into(), gate_histogram([0.3, 1.0]))].into(),
            ..EpochRow::default()
        };
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(serde_json::from_str::<EpochRow>(&text).unwrap(), row);
    }

    #[test]
    fn what_was_not_measured_is_not_written() {
        let text = serde_json::to_string(&EpochRow::default()).unwrap();
        assert!(!text.contains("test_error") && !text.contains("open"), "{text}");
    }

    #[test]
    fn strange_gate_values_count_at_the_ends() {
        let counts = gate_histogram([f32::NAN, f32::INFINITY, -2.0, 7.0]);
        assert_eq!((counts[0], counts[GATE_BINS - 1]), (1, 2));
        assert_eq!(counts.iter().sum::<u64>(), 3);
    }
}
