//! Rows that repeat no published one, each beside the best that was published at its size.

use l0_record::{Reference, Run};
use serde_json::Value;

use super::brief::shown;
use super::content::Section;
use super::markdown::note_line;
use super::tables::{number, share};
use crate::collection::caveats;
use crate::measure::Measure;
use crate::{Align, Group, Summary, Table};

/// What heads them.
const HEADING: &str = "Ours beside the best published of about its size";

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
pub(super) fn headed_table(sections: &[Section], references: &[Reference]) -> String {
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
        for group in shown(&section.groups).into_iter().filter(is_own) {
            let Some(cells) = line(&section.network, &group, references) else { continue };
            table.push(cells);
            all.push(group);
        }
    }
    let notes: Vec<String> = caveats(&all).iter().map(|note| note_line(note)).collect();
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

fn line(network: &str, group: &Group, references: &[Reference]) -> Option<[String; 7]> {
    let size = held_to(group)?;
    let kept = group.summary(size.own);
    let rival = best(network, &size, kept.mean, references)?;
    let of_size = |kept: &Summary| format!("{} % of the {}", share(kept), size.name);
    Some([
        network.into(),
        group.marked_label(),
        group.summary(|run| Measure::Error.of_run(run)).rounded(2),
        of_size(&kept),
        format!("{}, {}", rival.label, rival.source),
        number(rival.error_percent, 2),
        of_size(&Summary::of((size.published)(rival))),
    ])
}

/// The published row with the lowest error of those that keep no more than [`SLACK`] times as much; the first of equal
/// ones.
fn best<'a>(network: &str, size: &Size, kept: f64, references: &'a [Reference]) -> Option<&'a Reference> {
    let of_size = |row: &&Reference| (size.published)(row).is_some_and(|published| published <= SLACK * kept);
    let rows = references.iter().filter(|row| row.network == network && row.error_percent.is_some()).filter(of_size);
    rows.min_by(|a, b| a.error_percent.unwrap_or(f64::NAN).total_cmp(&b.error_percent.unwrap_or(f64::NAN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_row_of_about_the_size_stands_beside_ours() {
        let row = |label: &str, error, weights| Reference {
            network: "net".into(),
            label: label.into(),
            error_percent: Some(error),
            weights_kept_percent: Some(weights),
            ..Reference::default()
        };
        let rows = [row("smaller", 1.8, 1.0), row("as large", 1.6, 12.0), row("larger", 1.2, 13.0)];
        let best = |network, kept| best(network, &WEIGHTS, kept, &rows).map(|row| row.label.as_str());
        assert_eq!(best("net", 10.0), Some("as large"));
        assert_eq!((best("net", 9.0), best("net", 0.5), best("other", 10.0)), (Some("smaller"), None, None));
    }
}
