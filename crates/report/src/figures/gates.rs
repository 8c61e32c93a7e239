//! Gates: their distribution, and what became of them.

use l0_record::{EpochRow, Named, Run};

use super::shared::{shown, slug};
use crate::plot::{Axis, Cell, Chart, Color, ColorBar, Figure, Mark, Point, Shape};
use crate::{Group, notes};

/// The curves of Figure 2, computed by whoever knows the distribution.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GateCurves {
    /// The density of a gate between 0 and 1.
    pub density: Vec<(f64, f64)>,
    /// The probability that it is exactly 0, and exactly 1.
    pub masses: (f64, f64),
    /// The parameters of that density, as `log α = 0, β = 0.5`.
    pub parameters: String,
    /// Values of a gate against log alpha, as `expected value`, by name.
    pub values: Named<Vec<(f64, f64)>>,
}

/// Figure 2 of the paper: the density of a hard concrete gate, and its value against log alpha.
pub fn hard_concrete(curves: &GateCurves) -> Figure {
    let top = curves.density.iter().map(|point| point.1).fold(0.0, f64::max);
    let axis = Axis::linear("gate z").from(-0.12).to(1.12);
    let mut density = Chart::new(&curves.parameters, axis, Axis::linear("density").from(0.0)).with(
        "",
        Color::Own(0),
        Mark::Area(curves.density.clone()),
    );
    for (x, mass) in [(0.0, curves.masses.0), (1.0, curves.masses.1)] {
        let point = Point { at: (x, 1.25 * top), label: format!("P(z = {x}) = {mass:.3}"), spread: None };
        density = density.with("", Color::Own(1), Mark::Line(vec![(x, 0.0), (x, 1.25 * top)])).with(
            "",
            Color::Own(1),
            Mark::Points(Shape::Disc, vec![point]),
        );
    }
    let values = Chart::new("", Axis::linear("log α").tight(), Axis::linear("gate").from(0.0).to(1.0));
    let values = curves.values.iter().enumerate().fold(values, |chart, (index, (name, points))| {
        chart.with(name, Color::Own([0, 1, 2, 3][index % 4]), Mark::Line(points.clone()))
    });
    Figure {
        name: "hard-concrete".into(),
        title: "The hard concrete gate".into(),
        caption: "Left, the density of a gate between 0 and 1; what the stretched distribution has beyond is \
                  gathered in a point mass at either end. Right, what a gate does as its parameter grows."
            .into(),
        charts: vec![density, values],
        height: 300.0,
        ..Figure::default()
    }
}

/// The most columns of a picture over time; more would only make the file larger.
const COLUMNS: u64 = 80;

/// Histograms of the gates over the epochs of a group's first run, a chart to a layer.
pub fn gates_over_time(network: &str, group: &Group) -> Figure {
    let run = shown(group)[0];
    let layers: Vec<&String> = run.rows.last().map_or(Vec::new(), |row| row.gates.keys().collect());
    let chart = |layer: &&String| {
        let last = run.rows.last().map_or(1, |row| row.epoch);
        let epochs = Axis::count("epoch").to(last as f64);
        let values = Axis::linear("gate at test time").from(0.0).to(1.0);
        Chart::new(*layer, epochs, values).with("", Color::Muted, Mark::Cells(cells(&run.rows, layer, last)))
    };
    Figure {
        name: slug(&["gates", network, &group.header().recipe, &group.short_settings()]),
        title: format!("{network}, {}: gates over time", group.marked_label()),
        caption: format!(
            "How the gates of each layer spread over their values, epoch by epoch, in the run of seed {}.",
            run.header.seed
        ),
        charts: layers.iter().map(chart).collect(),
        columns: layers.len().clamp(1, 4),
        height: 240.0,
        color_bar: Some(ColorBar {
            label: "share of the layer's gates, shaded by its square root".into(),
            low: "0 %".into(),
            high: "100 %".into(),
        }),
        notes: notes(std::slice::from_ref(group)),
        ..Figure::default()
    }
}

/// Some epochs side by side share a column, and show the last of them.
fn cells(rows: &[EpochRow], layer: &str, last: u64) -> Vec<Cell> {
    let per_column = last.div_ceil(COLUMNS).max(1);
    let ends_column = |row: &&EpochRow| row.epoch.is_multiple_of(per_column) || row.epoch == last;
    let mut cells = Vec::new();
    for row in rows.iter().filter(ends_column) {
        let Some(counts) = row.gates.get(layer) else { continue };
        let total: f64 = counts.iter().map(|&n| n as f64).sum();
        let x = (row.epoch.saturating_sub(1) / per_column * per_column) as f64;
        let edge = |bin: usize| bin as f64 / counts.len() as f64;
        let filled = counts.iter().enumerate().filter(|(_, n)| **n > 0);
        cells.extend(filled.map(|(bin, &n)| Cell {
            x: (x, row.epoch as f64),
            y: (edge(bin), edge(bin + 1)),
            level: (n as f64 / total).sqrt(),
        }));
    }
    cells
}

/// The side of an MNIST image.
const SIDE: usize = 28;

/// Which pixels survive: the gates of a layer with one for every pixel of a 28x28 image, for the
/// first run of each group that has closed some; a group that was trained from scratch has those of the row above it.
pub fn input_gates(network: &str, groups: &[Group]) -> Figure {
    let learning = groups.iter().filter(|group| !group.header().is_from_scratch());
    let pictures = learning.filter_map(|group| Some((group.clone(), picture(group, shown(group)[0])?)));
    let (drawn, charts): (Vec<Group>, Vec<Chart>) = pictures.unzip();
    Figure {
        name: slug(&["inputs", network]),
        title: format!("{network}: the pixels that survive"),
        caption: "Test-time gates of the inputs, one for every pixel, in the run of the first seed.".into(),
        charts,
        columns: 4,
        height: 270.0,
        color_bar: Some(ColorBar { label: "gate".into(), low: "0".into(), high: "1".into() }),
        notes: notes(&drawn),
        ..Figure::default()
    }
}

fn picture(group: &Group, run: &Run) -> Option<Chart> {
    let gates = run.gates.values().find(|values| values.len() == SIDE * SIDE)?;
    let open = gates.iter().filter(|&&gate| gate > 0.0).count();
    let levels: Vec<f64> = gates.iter().map(|&gate| f64::from(gate)).collect();
    let star = if group.header().caveat().is_some() { " *" } else { "" };
    let settings = group.short_settings();
    let colon = if settings.is_empty() { "" } else { ": " };
    let note = format!("{settings}{colon}{open} of {} open", gates.len());
    (open < gates.len()).then(|| Chart::picture(format!("{}{star}", group.header().title()), note, SIDE, &levels))
}
