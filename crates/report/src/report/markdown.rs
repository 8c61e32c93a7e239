//! The report as Markdown.

use super::content::{General, Report, Section};
use super::tables::{machines, runs_table, values_table, versus_table};
use crate::Collection;
use crate::plot::Figure;
use crate::table::inline;

pub(super) fn document(report: &Report, collection: &Collection, sections: &[Section], general: &[General]) -> String {
    let mut parts = vec![format!("# {}", inline(&report.title)), report.introduction.clone()];
    parts.extend(collection.warnings().iter().map(|warning| format!("**Note:** {}", inline(warning))));
    parts.extend(sections.iter().map(|section| self::section(report, section)));
    parts.extend(general.iter().flat_map(|part| [format!("## {}", part.heading), figure(&part.figure)]));
    parts.push("## Runs".into());
    parts.push(runs_table(collection).markdown());
    let machines = machines(collection);
    let machine =
        |(index, machine): (usize, &l0_record::Machine)| format!("{}. {}", index + 1, inline(&machine.describe()));
    parts.push(machines.iter().enumerate().map(machine).collect::<Vec<_>>().join("\n"));
    joined(parts)
}

/// A network's table under its name, and what must be said about its rows.
fn headed_table(report: &Report, section: &Section) -> String {
    let mut parts = vec![
        format!("## {}", inline(&section.network)),
        versus_table(&section.network, &section.groups, &report.references).markdown(),
    ];
    parts.push(section.notes.iter().map(|note| note_line(note)).collect::<Vec<_>>().join("<br>\n"));
    joined(parts)
}

/// A note below a table, in which a star is no markup.
pub(super) fn note_line(note: &str) -> String {
    inline(note).replace('*', "\\*")
}

fn section(report: &Report, section: &Section) -> String {
    let mut parts = vec![headed_table(report, section)];
    let values = values_table(&section.groups);
    parts.extend((!values.is_empty()).then(|| values.markdown()));
    parts.extend(section.figures.iter().map(figure));
    joined(parts)
}

fn figure(figure: &Figure) -> String {
    let title = inline(&figure.title).replace(['[', ']'], "");
    format!("![{title}](figures/{}.svg)\n\n{}", figure.name, inline(&figure.caption))
}

/// Paragraphs, an empty line between them.
fn joined(parts: Vec<String>) -> String {
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty()).collect();
    parts.join("\n\n") + "\n"
}
