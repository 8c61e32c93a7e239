//! Error against what remains: ours, the paper's, and others'.

use std::collections::BTreeMap;

use l0_record::{Reference, Run};

use super::shared::{colors, from_scratch, legend, slug};
use crate::measure::Measure;
use crate::plot::{Axis, Chart, Color, Figure, Mark, Point, Shape};
use crate::{Group, notes};

/// What remains of a network, in percent, for a run and for a published row.
struct Size {
    axis: &'static str,
    own: fn(&Run) -> Option<f64>,
    published: fn(&Reference) -> Option<f64>,
}

const SIZES: [Size; 2] = [
    Size {
        axis: "weights kept, %",
        own: |run| run.header.outcome.weights_kept_percent(),
        published: |reference| reference.weights_kept_percent,
    },
    Size {
        axis: "multiply-accumulates kept, %",
        own: |run| run.header.outcome.macs_kept_percent(),
        published: |reference| reference.macs_kept_percent,
    },
];

/// Error against weights kept and against multiply-accumulates kept, each where a row leaves some of them out.
pub fn pareto(network: &str, groups: &[Group], references: &[Reference]) -> Figure {
    Figure {
        name: slug(&["pareto", network]),
        title: format!("{network}: error against what remains"),
        caption:
            "Lower and further left is better. A disc is the mean over the seeds, with a dot for each of them, and a \
                  ring with small ones that of the same units trained from scratch; a grey line joins rows that \
                  differ in their target or lambda alone, and a circle around a mark is of one that lies below it. \
                  Last epoch, no choosing of seeds."
                .into(),
        charts: charts(network, groups, references),
        columns: 1,
        height: 380.0,
        notes: notes(groups),
        ..Figure::default()
    }
}

fn charts(network: &str, groups: &[Group], references: &[Reference]) -> Vec<Chart> {
    let measure = Measure::of(groups);
    let sparse = |size: &Size| {
        let own = groups.iter().filter_map(|group| mean(size, measure, group)).map(|(kept, _)| kept);
        let of_network = references.iter().filter(|row| row.network == network);
        own.chain(of_network.filter_map(|row| (size.published)(row))).any(|kept| kept < 100.0)
    };
    SIZES.iter().filter(|size| sparse(size)).map(|size| chart(size, network, groups, references)).collect()
}

fn chart(size: &Size, network: &str, groups: &[Group], references: &[Reference]) -> Chart {
    let measure = Measure::of(groups);
    let chart = Chart::new("", Axis::log(size.axis), Axis::linear(measure.axis()));
    let chart = joined(chart, size, measure, groups);
    let published: Vec<&Reference> = references.iter().filter(|row| row.network == network).collect();
    let (repeated, others): (Vec<&Reference>, Vec<&Reference>) =
        published.into_iter().partition(|row| groups.iter().any(|group| group.repeats(row)));
    let points = |rows: Vec<&Reference>| rows.into_iter().filter_map(|row| published_point(size, row)).collect();
    let chart = with_points(chart, "published by others", Color::Muted, Shape::Square, points(others));
    let chart = with_points(chart, "the rows repeated here", Color::Published, Shape::Diamond, points(repeated));
    let colored = groups.iter().zip(colors(groups));
    let chart = colored.fold(chart, |chart, (group, color)| own(chart, size, measure, group, color));
    from_scratch(chart, groups, Mark::Points(Shape::Ring, Vec::new()))
}

/// A line through the groups that differ in their target or lambda alone; not through those that a label tells apart by
/// other settings, too.
fn joined(chart: Chart, size: &Size, measure: Measure, groups: &[Group]) -> Chart {
    let groups = groups.iter().filter(|group| group.short_settings().is_empty());
    let mut curves: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for group in groups {
        curves.entry(group.all_but_its_target()).or_default().extend(mean(size, measure, group));
    }
    curves.into_values().fold(chart, |chart, mut line| {
        line.sort_by(|a, b| a.0.total_cmp(&b.0));
        if line.len() < 2 { chart } else { chart.with("", Color::Muted, Mark::Dashed(line)) }
    })
}

fn mean(size: &Size, measure: Measure, group: &Group) -> Option<(f64, f64)> {
    let kept = group.summary(size.own);
    let error = group.summary(|run| measure.of_run(run));
    (kept.n() > 0 && error.n() > 0).then_some((kept.mean, error.mean))
}

fn own(chart: Chart, size: &Size, measure: Measure, group: &Group, color: Color) -> Chart {
    let Some(at) = mean(size, measure, group) else { return chart };
    let one = |run: &Run| {
        let at = ((size.own)(run)?, measure.of_run(run)?);
        Some(Point { at, ..Point::default() })
    };
    let seeds: Vec<Point> = group.finished().filter_map(one).collect();
    let label = group.short_settings();
    let point = Point { at, label, spread: None };
    let (shape, small) =
        if group.from_scratch_below { (Shape::Ring, Shape::SmallRing) } else { (Shape::Disc, Shape::Dot) };
    let chart = if seeds.len() > 1 { with_points(chart, "", color, small, seeds) } else { chart };
    with_points(chart, &legend(group), color, shape, vec![point])
}

fn published_point(size: &Size, row: &Reference) -> Option<Point> {
    let at = ((size.published)(row)?, row.error_percent?);
    // Who is to be credited stands in the table; here it would take the room of other points.
    let label = row.label.split(" (").next().unwrap_or_default().into();
    Some(Point { at, label, spread: None })
}

fn with_points(chart: Chart, label: &str, color: Color, shape: Shape, points: Vec<Point>) -> Chart {
    if points.is_empty() { chart } else { chart.with(label, color, Mark::Points(shape, points)) }
}
