//! The short tables of a report, for a README: a line for each recipe, and beside it the published row that it repeats.

use std::collections::BTreeMap;
use std::path::Path;

use l0_record::{Outcome, Reference};

use super::content::{Report, Section};
use super::markdown::note_line;
use super::rivals;
use super::tables::{mean_note, note_sign, number, share, units_left};
use crate::collection::with_from_scratch_below;
use crate::measure::Measure;
use crate::table::inline;
use crate::timing::speed_table;
use crate::{Align, Collection, Group, Result, Summary, Table};

/// What stands at a label whose runs have a remark in the report.
const REMARK: &str = " †";

/// A network's short table below its name, and the notes on the lines that it shows.
pub(super) fn headed_table(collection: &Collection, section: &Section) -> String {
    let groups = shown(collection, &section.groups);
    let sources = sources(&section.network, &groups);
    let table = table(&section.network, &groups, &sources, |group| is_remarked(collection, group));
    let notes = notes(collection, section, &groups, &sources).join("<br>\n");
    format!("### {}\n\n{}\n{}\n", inline(&section.network), table.markdown(), notes).trim_end().to_string() + "\n"
}

impl Report {
    /// Short tables as Markdown, for a README: splice them in with [`splice`](crate::splice). The first has the rows that
    /// repeat no published one, each beside the best published rows of about its size; the others are of a network each.
    /// Of several settings of a recipe they show its own ([`Collection::own_settings`]), else the one with most seeds, of
    /// these the last that was run, whatever came of it; all are in the report.
    pub fn tables(&self, collection: &Collection) -> String {
        let sections = self.sections(collection);
        let rivals =
            Some(rivals::headed_table(collection, &sections, &self.references)).filter(|table| !table.is_empty());
        let of_networks = sections.iter().map(|section| headed_table(collection, section));
        let tables = rivals.into_iter().chain(of_networks).map(|table| format!("\n{table}"));
        std::iter::once(self.generated()).chain(tables).collect()
    }

    /// The latest times beside PyTorch's in the files of a folder, as Markdown, for a README; empty if there are none.
    ///
    /// # Errors
    /// If the folder or a file cannot be read, or a file is not what a benchmark writes.
    pub fn speed(&self, folder: impl AsRef<Path>) -> Result<String> {
        let table = speed_table(folder.as_ref())?;
        Ok(if table.is_empty() { table } else { format!("{}\n{table}", self.generated()) })
    }
}

/// One setting of each recipe: its own as it is now, if a run is known to have it, else the one with most finished runs, of
/// these the last that was run. What tells it from the others is left out where it is the recipe's own, or there are none.
pub(super) fn shown<'a>(collection: &Collection, groups: &[Group<'a>]) -> Vec<Group<'a>> {
    let last_start = |group: &Group| group.finished().map(|run| run.header.start.clone()).max();
    let rank = |group: &Group| (collection.is_own(group), group.finished().count(), last_start(group));
    let mut best: BTreeMap<&str, &Group> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.finished().count() > 0) {
        let known = best.entry(&group.header().recipe).or_insert(group);
        if rank(group) > rank(known) {
            *known = group;
        }
    }
    let is_alone = |group: &Group| {
        let of_recipe = groups.iter().filter(|other| other.header().recipe == group.header().recipe);
        of_recipe.count() == 1
    };
    let called = |group: &Group<'a>| {
        if !(is_alone(group) || collection.is_own(group)) {
            return group.clone();
        }
        let name = &group.header().recipe;
        let settings = group.settings.iter().filter(|setting| *setting == name).cloned().collect();
        Group { settings, letter: None, ..group.clone() }
    };
    with_from_scratch_below(best.into_values().map(called).collect())
}

/// The published row that a group repeats, if it is about the same network: a larger one stands in the report alone.
fn published<'a>(network: &str, group: &Group<'a>) -> Option<&'a Reference> {
    group.header().reference.as_ref().filter(|row| row.network == network)
}

fn sources<'a>(network: &str, groups: &[Group<'a>]) -> Vec<&'a str> {
    let mut sources: Vec<&str> = Vec::new();
    for row in groups.iter().filter_map(|group| published(network, group)) {
        if !sources.contains(&row.source.as_str()) {
            sources.push(&row.source);
        }
    }
    sources
}

fn table(network: &str, groups: &[Group], sources: &[&str], is_remarked: impl Fn(&Group) -> bool) -> Table {
    use Align::{Left, Right};
    let measure = Measure::of(groups);
    let mut columns = vec![("", Left), ("seeds", Right)];
    columns.extend(measure.columns().iter().map(|name| (*name, Right)));
    columns.extend([("weights kept %", Right), ("MACs kept %", Right)]);
    if groups.iter().any(|group| !group.architecture().is_empty()) {
        columns.insert(1, ("architecture", Left));
    }
    if !sources.is_empty() {
        columns.extend([("published: error %", Right), ("weights kept %", Right)]);
    }
    let has_architecture = columns[1].1 == Left;
    let mut table = Table::new(columns);
    for group in groups {
        let sign = if is_remarked(group) { REMARK } else { "" };
        let mut cells = vec![group.marked_label() + sign];
        cells.extend(has_architecture.then(|| units_left(group)));
        cells.extend(measured(measure, group));
        cells.extend(published(network, group).into_iter().flat_map(|row| quoted(row, sources)));
        table.push(cells);
    }
    table
}

/// Seeds, error, weights and MACs kept.
fn measured(measure: Measure, group: &Group) -> Vec<String> {
    let outcome = |value: fn(&Outcome) -> Option<f64>| group.summary(|run| value(&run.header.outcome));
    let mut cells = vec![group.finished().count().to_string()];
    cells.extend(measure.cells(group));
    cells.extend([Outcome::weights_kept_percent, Outcome::macs_kept_percent].map(|kept| share(&outcome(kept))));
    cells
}

/// A published row's error, with the sign of its source, and its weights.
fn quoted(row: &Reference, sources: &[&str]) -> [String; 2] {
    let sign = sources.iter().position(|source| *source == row.source).map_or(String::new(), note_sign);
    [format!("{} {sign}", number(row.error_percent, 2)), share(&Summary::of(row.weights_kept_percent))]
}

fn is_remarked(collection: &Collection, group: &Group) -> bool {
    group.finished().any(|run| collection.remarks.contains_key(&run.path))
}

/// Sources, signs, letters, caveats, remarks, and what was left out.
fn notes(collection: &Collection, section: &Section, shown: &[Group], sources: &[&str]) -> Vec<String> {
    let mut notes: Vec<String> =
        sources.iter().enumerate().map(|(index, source)| format!("{} {source}", note_sign(index))).collect();
    notes.extend(mean_note(shown));
    notes.extend(crate::notes(shown));
    if shown.iter().any(|group| is_remarked(collection, group)) {
        notes.push(format!("{} with a remark in the report", REMARK.trim()));
    }
    let finished = section.groups.iter().filter(|group| group.finished().count() > 0).count();
    if finished > shown.len() {
        notes.push(format!(
            "of several settings of a row, the recipe's own, or else the one with most seeds, of these the last that was \
             run; {} more in the report",
            finished - shown.len()
        ));
    }
    notes.iter().map(|note| note_line(note)).collect()
}
