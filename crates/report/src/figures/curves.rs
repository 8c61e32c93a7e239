//! Quantities over the course of training.

use l0_record::EpochRow;

use super::shared::{Curve, colors, epoch, from_scratch, legend, slug, step};
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
    let time = Chart::new("", iterations(), Axis::linear("milliseconds for a training step").from(0.0));
    let expected = with_curves(expected, groups, step, |row| row.expected_macs.map(|macs| FLOPS_PER_MAC * macs));
    let left = with_curves(left, groups, step, |row| row.hard_macs.map(|macs| FLOPS_PER_MAC * macs as f64));
    let time = with_curves(time, groups, step, |row| row.step_ms);
    Figure {
        name: slug(&["work", network]),
        title: format!("{network}: expected work, and the time it takes"),
        caption: "First, the expected floating-point operations of a forward pass, as in Figures 3 and 4 of \
                  the paper, two for each multiply-accumulate, with pruned inputs and outputs both taken off. Second, those of the network that \
                  is left at test time, where a gate is open or it is not. Third, the measured time of a \
                  training step. Lines are means over the seeds, bands run from the lowest to the highest."
            .into(),
        charts: vec![expected, left, time],
        columns: 3,
        notes: notes(groups),
        ..Figure::default()
    }
}

/// Test and training error over the epochs; of numbers, the test RMSE and the training loss.
pub fn errors(network: &str, groups: &[Group]) -> Figure {
    let epochs = || Axis::count("epoch");
    let measure = Measure::of(groups);
    let of_training = if measure == Measure::Error { "training error, %" } else { "training loss" };
    let test = Chart::new("", epochs(), Axis::log(measure.axis()));
    let train = Chart::new("", epochs(), Axis::log(of_training));
    let test = with_curves(test, groups, epoch, |row| measure.of_row(row));
    // An error of exactly nothing has no place on a logarithmic axis and leaves a gap.
    let train = with_curves(train, groups, epoch, |row| match measure {
        Measure::Error => row.train_error_percent,
        Measure::Rmse => Some(row.train_loss),
    });
    Figure {
        name: slug(&["errors", network]),
        title: format!("{network}: error over the epochs"),
        caption: "Left, on the test images, with averaged parameters and test-time gates. Right, on the \
                  training batches, with sampled gates. Means over the seeds with their range; dashed, the same units \
                  from scratch."
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
    Figure {
        name: slug(&["open", network]),
        title: format!("{network}: units that remain"),
        caption: "Gates that are not zero at test time, layer by layer. Means over the seeds with their range.".into(),
        charts: layers.iter().map(chart).collect(),
        columns: layers.len().clamp(1, 4),
        height: 260.0,
        notes: notes(groups),
        ..Figure::default()
    }
}

fn with_curves(chart: Chart, groups: &[Group], x: fn(&EpochRow) -> f64, y: impl Fn(&EpochRow) -> Option<f64>) -> Chart {
    let colored = groups.iter().zip(colors(groups));
    let chart = colored.fold(chart, |chart, (group, color)| {
        let curve = Curve::of(group, x, &y);
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
