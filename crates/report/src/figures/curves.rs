//! Quantities over the course of training.

use l0_record::EpochRow;

use super::shared::{Curve, colors, epoch, from_scratch, legend, shown, slug, step};
use crate::measure::Measure;
use crate::plot::{Axis, Chart, Figure, Mark};
use crate::{Group, notes};

/// A multiply-accumulate is two floating-point operations: those of biases and normalisations are not in these figures.
const FLOPS_PER_MAC: f64 = 2.0;

/// Figures 3 and 4 of the paper, expected operations against training iterations, and beside it what
/// the paper does not show: the operations of the network that is left, and how long a step took.
pub fn work(network: &str, groups: &[Group]) -> Figure {
    let iterations = || Axis::count("training iterations");
    let expected = Chart::new("", iterations(), Axis::linear("expected FLOPs for one example, 2 a MAC").from(0.0));
    let left = Chart::new("", iterations(), Axis::linear("FLOPs of the network that is left, 2 a MAC").from(0.0));
    let time = Chart::new("", iterations(), time_axis(groups));
    let expected = with_curves(expected, groups, step, |row| row.expected_macs.map(|macs| FLOPS_PER_MAC * macs));
    let left = with_curves(left, groups, step, |row| row.hard_macs.map(|macs| FLOPS_PER_MAC * macs as f64));
    let time = with_curves(time, groups, step, |row| row.step_ms);
    Figure {
        name: slug(&["work", network]),
        title: format!("{network}: expected operations, and the time they take"),
        caption: "First, the expected floating-point operations of a forward pass, as in Figures 3 and 4 of \
                  the paper, two for each multiply-accumulate, with pruned inputs and outputs both taken off. Second, those of the network that \
                  is left at test time, where a gate is open or it is not. Third, the measured time of a \
                  training step, of as many examples as its recipe says; its axis ends above what 19 of 20 epochs of the \
                  slowest row took, and what took longer, where the machine was busy, lies at its edge. Lines are \
                  means over the seeds, bands run from the lowest to the highest."
            .into(),
        charts: vec![expected, left, time],
        columns: 3,
        notes: notes(groups),
        ..Figure::default()
    }
}

/// An axis for the times of steps, which a busy machine makes many times as long: it ends a little above what 19 of 20
/// epochs of every row took.
fn time_axis(groups: &[Group]) -> Axis {
    let usual = |group: &Group| {
        let rows = shown(group).into_iter().flat_map(|run| &run.rows);
        let mut times: Vec<f64> = rows.filter_map(|row| row.step_ms).filter(|ms| ms.is_finite()).collect();
        times.sort_unstable_by(f64::total_cmp);
        times.get((19 * times.len()).div_ceil(20).saturating_sub(1)).copied()
    };
    let longest = groups.iter().filter_map(usual).fold(0.0, f64::max);
    let axis = Axis::linear("milliseconds for a training step").from(0.0);
    if longest > 0.0 { axis.to(1.1 * longest) } else { axis }
}

/// Test and training error over the epochs; of numbers, the test RMSE and the training loss.
pub fn errors(network: &str, groups: &[Group]) -> Figure {
    let epochs = || Axis::count("epoch");
    let measure = Measure::of(groups);
    let of_training = if measure == Measure::Error { "training error, %" } else { "training loss" };
    let test = Chart::new("", epochs(), Axis::log(measure.axis()));
    let train = Chart::new("", epochs(), Axis::log(of_training));
    let test = with_curves(test, groups, epoch, |row| measure.of_row(row));
    let train = with_curves(train, groups, epoch, |row| match measure {
        Measure::Error => row.train_error_percent,
        Measure::Rmse => Some(row.train_loss),
    });
    Figure {
        name: slug(&["errors", network]),
        title: format!("{network}: error over the epochs"),
        caption: "Left, on the test images, with test-time gates and, where the recipe averages, averaged parameters. \
                  Right, on the training batches, with sampled gates. Means over the seeds with their range; dashed, the \
                  same units from scratch. An error of 0 has no place on a logarithmic axis: a line has a gap there, or \
                  ends."
            .into(),
        charts: vec![test, train],
        notes: notes(groups),
        ..Figure::default()
    }
}

/// Open gates over the epochs, a chart to a layer.
pub fn open_units(network: &str, groups: &[Group]) -> Figure {
    let chart = |layer: &String| {
        let chart = Chart::new(layer, Axis::count("epoch"), Axis::linear("open gates").from(0.0));
        with_curves(chart, groups, epoch, |row| row.open.get(layer).map(|&open| open as f64))
    };
    let layers = layers(groups);
    let has_gates = |group: &&Group| shown(group).iter().any(|run| run.rows.iter().any(|row| !row.open.is_empty()));
    let drawn: Vec<Group> = groups.iter().filter(has_gates).cloned().collect();
    Figure {
        name: slug(&["open", network]),
        title: format!("{network}: units that remain"),
        caption: "Gates that are not zero at test time, layer by layer. Means over the seeds with their range.".into(),
        charts: layers.iter().map(chart).collect(),
        columns: layers.len().clamp(1, 4),
        height: 260.0,
        notes: notes(&drawn),
        ..Figure::default()
    }
}

fn with_curves(chart: Chart, groups: &[Group], x: fn(&EpochRow) -> f64, y: impl Fn(&EpochRow) -> Option<f64>) -> Chart {
    let colored = groups.iter().zip(colors(groups));
    let chart = colored.fold(chart, |chart, (group, color)| {
        let curve = Curve::of(group, x, |_, row| y(row));
        match (curve.mean.is_empty(), group.from_scratch_below) {
            (true, _) => chart,
            (false, true) => chart.with("", color, Mark::Dashed(curve.mean)),
            (false, false) => {
                let [band, line]: [Mark; 2] = curve.marks();
                chart.with("", color, band).with(legend(group), color, line)
            }
        }
    });
    from_scratch(chart, groups, Mark::Dashed(Vec::new()))
}

/// The gated layers of all groups, in the order of their first appearance.
fn layers(groups: &[Group]) -> Vec<String> {
    let mut layers: Vec<String> = Vec::new();
    let runs = groups.iter().flat_map(|group| &group.runs);
    for layer in runs.filter_map(|run| run.rows.last()).flat_map(|row| row.open.keys()) {
        if !layers.contains(layer) {
            layers.push(layer.clone());
        }
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use l0_record::{Run, RunHeader};

    #[test]
    fn one_slow_epoch_does_not_set_the_scale_of_times() {
        let row = |epoch: u64| EpochRow {
            epoch,
            step_ms: Some(if epoch == 7 { 900.0 } else { 10.0 }),
            ..EpochRow::default()
        };
        let run = Run {
            path: "seed-1".into(),
            header: RunHeader::new("mlp", 1, serde_json::Value::Null),
            rows: (1..=20).map(row).collect(),
            gates: Default::default(),
            warnings: Vec::new(),
        };
        let groups = [Group::new(vec![&run])];
        assert_eq!(time_axis(&groups), Axis::linear("milliseconds for a training step").from(0.0).to(11.0));
        assert_eq!(time_axis(&[]), Axis::linear("milliseconds for a training step").from(0.0));
    }
}
