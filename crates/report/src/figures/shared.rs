//! What several figures share: curves over the epochs, colours and names of files.

use std::collections::BTreeMap;

use l0_record::{EpochRow, Run};

use crate::Group;
use crate::plot::{Chart, Color, Mark};

/// The runs that a curve is made of: the finished ones, or all as long as there are none.
pub(super) fn shown<'a>(group: &Group<'a>) -> Vec<&'a Run> {
    let finished: Vec<&Run> = group.finished().collect();
    if finished.is_empty() { group.runs.clone() } else { finished }
}

/// A quantity over the epochs: its mean over the runs, and between which values they lie.
pub(super) struct Curve {
    pub(super) mean: Vec<(f64, f64)>,
    band: Vec<(f64, f64, f64)>,
}

impl Curve {
    /// The curve of `y` against `x`, epoch by epoch.
    pub(super) fn of(group: &Group, x: fn(&EpochRow) -> f64, y: impl Fn(&Run, &EpochRow) -> Option<f64>) -> Self {
        let mut epochs: BTreeMap<u64, (f64, Vec<f64>)> = BTreeMap::new();
        for (run, row) in shown(group).into_iter().flat_map(|run| run.rows.iter().map(move |row| (run, row))) {
            if let Some(y) = y(run, row) {
                epochs.entry(row.epoch).or_insert((x(row), Vec::new())).1.push(y);
            }
        }
        let mean = |ys: &[f64]| ys.iter().sum::<f64>() / ys.len() as f64;
        let low = |ys: &[f64]| ys.iter().copied().fold(f64::INFINITY, f64::min);
        let high = |ys: &[f64]| ys.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self {
            mean: epochs.values().map(|(x, ys)| (*x, mean(ys))).collect(),
            band: epochs.values().map(|(x, ys)| (*x, low(ys), high(ys))).collect(),
        }
    }

    pub(super) fn marks(self) -> [Mark; 2] {
        [Mark::Band(self.band), Mark::Line(self.mean)]
    }
}

pub(super) fn epoch(row: &EpochRow) -> f64 {
    row.epoch as f64
}

pub(super) fn step(row: &EpochRow) -> f64 {
    row.step as f64
}

/// The colours of the groups, the same in all figures; one from scratch has that of the group above it.
pub(super) fn colors(groups: &[Group]) -> Vec<Color> {
    let mut own = 0;
    let color = |group: &Group| {
        own += usize::from(!group.from_scratch_below);
        Color::Own(own.saturating_sub(1))
    };
    groups.iter().map(color).collect()
}

/// The words of a group in a legend; those from scratch below others share [`from_scratch`].
pub(super) fn legend(group: &Group) -> String {
    if group.from_scratch_below { String::new() } else { group.marked_label() }
}

/// The chart with words in its legend for all groups from scratch below others, if there are some: what they are marked
/// by.
pub(super) fn from_scratch(chart: Chart, groups: &[Group], mark: Mark) -> Chart {
    let mut below = groups.iter().filter(|group| group.from_scratch_below);
    if below.next().is_some() { chart.with("from scratch *", Color::Muted, mark) } else { chart }
}

/// A name for a file: small letters, digits and single dashes, and not too many of them.
pub(super) fn slug(parts: &[&str]) -> String {
    let text = parts.join("-").to_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use l0_record::{RunHeader, Status};

    fn run(seed: u64, errors: &[f64]) -> Run {
        let header = RunHeader::new("mlp-l0", seed, serde_json::Value::Null);
        let row = |(i, &error): (usize, &f64)| EpochRow {
            epoch: i as u64 + 1,
            test_error_percent: Some(error),
            ..EpochRow::default()
        };
        Run {
            path: "seed".into(),
            header: RunHeader { status: Status::Finished, ..header },
            rows: errors.iter().enumerate().map(row).collect(),
            gates: Default::default(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_curve_is_the_mean_of_the_runs_that_got_there() {
        let runs = [run(1, &[4.0, 2.0]), run(2, &[6.0])];
        let group = Group::new(runs.iter().collect());
        let curve = Curve::of(&group, epoch, |_, row| row.test_error_percent);
        assert_eq!(curve.mean, [(1.0, 5.0), (2.0, 2.0)]);
        assert_eq!(curve.band, [(1.0, 4.0, 6.0), (2.0, 2.0, 2.0)]);
    }

    #[test]
    fn a_slug_is_a_plain_name() {
        assert_eq!(slug(&["Pareto", "LeNet-5 / Caffe (λ = 0.1)"]), "pareto-lenet-5-caffe-0-1");
    }
}
