//! How the time of a training step grows.

use crate::plot::{Axis, Chart, Color, Figure, Mark, Point, Shape};
use crate::{Growth, GrowthCurve, Quantity};

/// The charts, in their order, and what stands at their axes.
const CHARTS: [(Quantity, &str); 4] = [
    (Quantity::Density, "share of multiply-accumulates kept by open gates"),
    (Quantity::Width, "width, as a multiple of the usual one"),
    (Quantity::Batch, "images in a batch"),
    (Quantity::Threads, "threads"),
];

/// What the legend calls the dashed lines.
const ARITHMETIC: &str = "arithmetic alone, at the speed of the largest step";

/// The time of a step against density, width, batch and threads, a chart each, with the time of the arithmetic alone.
pub fn growth(growth: &Growth) -> Figure {
    let mut networks: Vec<&str> = Vec::new();
    for curve in &growth.curves {
        if !networks.contains(&curve.network.as_str()) {
            networks.push(&curve.network);
        }
    }
    let chart = |(quantity, label): &(Quantity, &str)| {
        let along = match quantity {
            Quantity::Density | Quantity::Width => Axis::log(*label),
            Quantity::Batch | Quantity::Threads => Axis::log(*label).whole(),
        };
        let chart = Chart::new("", along, Axis::log("milliseconds for a training step"));
        let of_quantity = growth.curves.iter().filter(|curve| curve.quantity == *quantity);
        of_quantity.fold(chart, |chart, curve| {
            let index = networks.iter().position(|name| *name == curve.network).unwrap_or_default();
            with_curve(chart, curve, Color::Own(index))
        })
    };
    Figure {
        name: "growth".into(),
        title: "What a training step costs".into(),
        caption: format!(
            "Solid, medians of the time of a training step, with the least and the most of it; dashed, what its \
             multiply-accumulates would take at the speed of the step of the line that has the most of them, a thread. Where \
             solid lies above dashed, something does not shrink with the arithmetic. Density, width and batch on one \
             thread. For density, gates are at both ends of their range, and what is open at test time is counted: in a \
             step a twentieth of the closed ones is open by chance. Elsewhere they are as initialised, with a sixth \
             closed in a step, and all are counted. {}.",
            growth.machine.describe()
        ),
        charts: CHARTS.iter().map(chart).filter(|chart| !chart.is_empty()).collect(),
        height: 300.0,
        ..Figure::default()
    }
}

fn with_curve(chart: Chart, curve: &GrowthCurve, color: Color) -> Chart {
    let medians = curve.points.iter().map(|point| (point.at, point.ms.median)).collect();
    let points = curve.points.iter().map(|point| Point {
        at: (point.at, point.ms.median),
        label: String::new(),
        spread: Some((point.ms.min, point.ms.max)),
    });
    chart
        .with(ARITHMETIC, color, Mark::Dashed(curve.arithmetic()))
        .with(&curve.network, color, Mark::Line(medians))
        .with("", color, Mark::Points(Shape::Dot, points.collect()))
}
