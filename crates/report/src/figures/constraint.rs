//! How a constraint was met.

use l0_record::{EpochRow, Named};

use super::shared::{Curve, epoch, shown, slug};
use crate::plot::{Axis, Chart, Color, Figure};
use crate::{Group, notes};

/// The multipliers of a group's constraints over the epochs, and how far each was from holding.
pub fn constraint(network: &str, group: &Group) -> Figure {
    let chart = |label: &str, values: fn(&EpochRow) -> &Named<f64>| {
        let chart = Chart::new("", Axis::count("epoch"), Axis::linear(label));
        names(group, values).iter().enumerate().fold(chart, |chart, (index, name)| {
            let curve = Curve::of(group, epoch, |row| values(row).get(name).copied());
            let [band, line] = curve.marks();
            chart.with("", Color::Own(index), band).with(name, Color::Own(index), line)
        })
    };
    let multipliers = chart("multiplier", |row| &row.multipliers);
    let violations = chart("expected density less its target", |row| &row.violations);
    Figure {
        name: slug(&["constraint", network, &group.header().recipe, &group.short_settings()]),
        title: format!("{network}, {}: how the target is met", group.label()),
        caption: "Left, the multiplier of each constraint, which grows while the constraint is violated. \
                  Right, the violation: at or below zero the target is met."
            .into(),
        charts: vec![multipliers, violations],
        height: 260.0,
        notes: notes(std::slice::from_ref(group)),
        ..Figure::default()
    }
}

fn names(group: &Group, values: fn(&EpochRow) -> &Named<f64>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in shown(group).iter().flat_map(|run| run.rows.iter()).flat_map(|row| values(row).keys()) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
