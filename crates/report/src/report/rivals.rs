//! Rows that repeat no published one, each beside the best that was published at its size, of either kind of pruning.

use l0_record::{Reference, Run};
use serde_json::Value;

use super::brief::shown;
use super::content::Section;
use super::markdown::note_line;
use super::tables::{NONE, number, share};
use crate::collection::caveats;
use crate::measure::Measure;
use crate::{Align, Collection, Group, Summary, Table};

/// What heads them.
const HEADING: &str = "Ours beside the best published of those that keep at most a quarter more";

/// What stands below a row of ours: what leaves out single weights is of another kind.
const UNSTRUCTURED: &str = "↳ unstructured";

/// What is compared with what.
const KINDS: &str = "Published rows leave out whole units or channels, as ours do, or parts of channels where they say so. \
                     ↳ unstructured: the best of those that leave out single weights, whose layers stay as wide.";

/// How much more than a row of ours a published one may keep to stand beside it.
const SLACK: f64 = 1.25;

/// What a row is held to, and compared in.
struct Size {
    name: &'static str,
    own: fn(&Run) -> Option<f64>,
    published: fn(&Reference) -> Option<f64>,
}

const WEIGHTS: Size = Size {
    name: "weights",
    own: |run| run.header.outcome.weights_kept_percent(),
    published: |row| row.weights_kept_percent,
};
const MACS: Size =
    Size { name: "MACs", own: |run| run.header.outcome.macs_kept_percent(), published: |row| row.macs_kept_percent };

/// The rows of all networks that are held to a density and repeat no published row, without those for which nothing of
/// their size was published; with a heading, and what must be said about some rows. Empty if there are none.
pub(super) fn headed_table(collection: &Collection, sections: &[Section], references: &[Reference]) -> String {
    use Align::{Left, Right};
    let columns = [
        ("network", Left),
        ("row", Left),
        ("error %", Right),
        ("kept", Right),
        ("published", Left),
        ("error %", Right),
        ("kept", Right),
    ];
    let (mut table, mut all) = (Table::new(columns), Vec::new());
    for section in sections.iter().filter(|section| Measure::of(&section.groups) == Measure::Error) {
        // A letter is of a network, and several stand here.
        let own = shown(collection, &section.groups).into_iter().filter(is_own);
        for group in own.map(|group| Group { letter: None, ..group }) {
            let lines = lines(&section.network, &group, references);
            all.extend((!lines.is_empty()).then_some(group));
            lines.into_iter().for_each(|cells| table.push(cells));
        }
    }
    let notes: Vec<String> =
        std::iter::once(KINDS.into()).chain(caveats(&all)).map(|note: String| note_line(&note)).collect();
    let text = format!("### {HEADING}\n\n{}\n{}", table.markdown(), notes.join("<br>\n"));
    if table.is_empty() { String::new() } else { text.trim_end().to_string() + "\n" }
}

fn is_own(group: &Group) -> bool {
    let header = group.header();
    header.reference.is_none() && !header.is_from_scratch() && group.finished().count() > 0 && held_to(group).is_some()
}

/// What the gates of a group are held to, if they are held at all.
fn held_to(group: &Group) -> Option<Size> {
    let constraint = group.header().config.pointer("/objective/constraint").filter(|held| !held.is_null())?;
    let is_macs = constraint.get("quantity").and_then(Value::as_str) == Some("macs");
    Some(if is_macs { MACS } else { WEIGHTS })
}

/// A row of ours beside the best published one of its kind, and below it the best one that leaves out single weights;
/// nothing if there is neither.
fn lines(network: &str, group: &Group, references: &[Reference]) -> Vec<[String; 7]> {
    let Some(size) = held_to(group) else { return Vec::new() };
    let kept = group.summary(size.own);
    let of_network: Vec<&Reference> = references.iter().filter(|row| row.network == network).collect();
    let [structured, unstructured] = [false, true].map(|kind| best(&of_network, kind, &size, kept.mean));
    if structured.is_none() && unstructured.is_none() {
        return Vec::new();
    }
    let error = group.summary(|run| Measure::Error.of_run(run)).rounded(2);
    let own = [network.into(), group.marked_label(), error, of_size(&size, &kept)];
    let below = [String::new(), UNSTRUCTURED.into(), String::new(), String::new()];
    let below = unstructured.map(|row| joined(below, quoted(&size, Some(row))));
    std::iter::once(joined(own, quoted(&size, structured))).chain(below).collect()
}

fn of_size(size: &Size, kept: &Summary) -> String {
    format!("{} % of the {}", share(kept), size.name)
}

/// A published row with its source, its error and what it keeps; dashes where there is none.
fn quoted(size: &Size, row: Option<&Reference>) -> [String; 3] {
    let Some(row) = row else { return [NONE; 3].map(String::from) };
    let kept = of_size(size, &Summary::of((size.published)(row)));
    [format!("{}, {}", row.label, row.source), number(row.error_percent, 2), kept]
}

fn joined([a, b, c, d]: [String; 4], [e, f, g]: [String; 3]) -> [String; 7] {
    [a, b, c, d, e, f, g]
}

/// Of the rows of a kind the one with the lowest error of those that keep no more than [`SLACK`] times as much; the first
/// of equal ones.
fn best<'a>(rows: &[&'a Reference], unstructured: bool, size: &Size, kept: f64) -> Option<&'a Reference> {
    let of_size = |row: &&Reference| (size.published)(row).is_some_and(|published| published <= SLACK * kept);
    let of_kind = rows.iter().copied().filter(|row| row.unstructured == unstructured && row.error_percent.is_some());
    let error = |row: &Reference| row.error_percent.unwrap_or(f64::NAN);
    of_kind.filter(of_size).min_by(|a, b| error(a).total_cmp(&error(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_row_of_the_kind_and_about_the_size_stands_beside_ours() {
        let row = |label: &str, error, weights, unstructured| Reference {
            label: label.into(),
            error_percent: Some(error),
            weights_kept_percent: Some(weights),
            unstructured,
            ..Reference::default()
        };
        let rows = [
            row("smaller", 1.8, 1.0, false),
            row("as large", 1.6, 12.0, false),
            row("larger", 1.2, 13.0, false),
            row("single weights", 1.1, 3.0, true),
        ];
        let rows: Vec<&Reference> = rows.iter().collect();
        let best = |unstructured, kept| best(&rows, unstructured, &WEIGHTS, kept).map(|row| row.label.as_str());
        assert_eq!([10.0, 9.0, 0.5].map(|kept| best(false, kept)), [Some("as large"), Some("smaller"), None]);
        assert_eq!([10.0, 2.0].map(|kept| best(true, kept)), [Some("single weights"), None]);
    }
}
