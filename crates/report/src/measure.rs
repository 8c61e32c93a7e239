//! By what the networks of a table are judged: the share of wrong classes, or how far off predicted numbers are.

use l0_record::{EpochRow, Outcome, Run};

use crate::{Group, Summary};

/// What is measured on the test examples. All runs of a table are of one data set, so one measure does for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Wrong classes, in percent.
    Error,
    /// Root of the mean squared error in the unit of the numbers that are predicted, and the share of variance
    /// explained.
    Rmse,
}

impl Measure {
    /// That of these runs.
    pub(crate) fn of(groups: &[Group]) -> Self {
        let outcomes = || groups.iter().flat_map(|group| &group.runs).map(|run| &run.header.outcome);
        let is_number = |outcome: &Outcome| outcome.test_rmse.is_some() && outcome.test_error_percent.is_none();
        if outcomes().any(is_number) { Self::Rmse } else { Self::Error }
    }

    /// What heads its columns in a table.
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Error => &["error %"],
            Self::Rmse => &["RMSE", "R²"],
        }
    }

    /// The cells of a group in these columns.
    pub(crate) fn cells(self, group: &Group) -> Vec<String> {
        let own = group.summary(|run| self.of_run(run));
        match self {
            Self::Error => vec![own.rounded(2)],
            Self::Rmse => vec![own.rounded(digits(&own)), group.summary(|run| run.header.outcome.test_r2).rounded(3)],
        }
    }

    /// Every value that the mean of a group is made of.
    pub(crate) fn listed(self, group: &Group) -> String {
        let own = group.summary(|run| self.of_run(run));
        own.listed(if self == Self::Error { 2 } else { digits(&own) })
    }

    /// What stands at an axis.
    pub(crate) fn axis(self) -> &'static str {
        match self {
            Self::Error => "test error, %",
            Self::Rmse => "test RMSE",
        }
    }

    /// Of a finished run.
    pub(crate) fn of_run(self, run: &Run) -> Option<f64> {
        match self {
            Self::Error => run.header.outcome.test_error_percent,
            Self::Rmse => run.header.outcome.test_rmse,
        }
    }

    /// Of an epoch.
    pub(crate) fn of_row(self, row: &EpochRow) -> Option<f64> {
        match self {
            Self::Error => row.test_error_percent,
            Self::Rmse => row.test_rmse,
        }
    }
}

/// Digits after the point, so that four of the mean are shown: its unit may be anything.
pub(crate) fn digits(values: &Summary) -> usize {
    let before = values.mean.abs().log10().floor();
    if before.is_finite() { (3.0 - before).clamp(0.0, 9.0) as usize } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_are_shown_in_any_unit() {
        let shown = |x: f64| Summary::of([x]).rounded(digits(&Summary::of([x])));
        assert_eq!([53.214, 0.001_234_9, 81_234.5, 1.0].map(shown), ["53.21", "0.001235", "81235", "1.000"]);
        assert_eq!([0.0, f64::NAN].map(shown), ["0.00", "NaN"]);
    }
}
