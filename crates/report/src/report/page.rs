//! The report as a page that needs nothing but itself.

use std::fmt::Write;

use super::content::{General, Report, Section};
use super::tables::{machines, runs_table, values_table, versus_table};
use crate::Collection;
use crate::plot::{Figure, escape};

const STYLE: &str = include_str!("page.css");

pub(super) fn document(report: &Report, collection: &Collection, sections: &[Section], general: &[General]) -> String {
    let title = escape(&report.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    let _ = writeln!(page, "<p class=\"lead\">{}</p>", escape(&report.introduction));
    page.push_str(&contents(sections));
    for warning in collection.warnings() {
        let _ = writeln!(page, "<p class=\"note\">{}</p>", escape(&warning));
    }
    for (index, part) in sections.iter().enumerate() {
        page.push_str(&section(report, part, index));
    }
    for part in general {
        let _ = writeln!(page, "<h2 id=\"{}\">{}</h2>", part.id, part.heading);
        page.push_str(&figure(&part.figure));
    }
    page.push_str(&runs(collection));
    let _ = writeln!(page, "<footer>Made by <code>{}</code> from files alone.</footer>", escape(&report.command));
    page + "</main>\n</body>\n</html>\n"
}

fn contents(sections: &[Section]) -> String {
    let link =
        |(index, section): (usize, &Section)| format!("<a href=\"#network-{index}\">{}</a>", escape(&section.network));
    let links: Vec<String> = sections.iter().enumerate().map(link).collect();
    format!("<nav>{} <a href=\"#runs\">Runs</a></nav>\n", links.join(" "))
}

fn section(report: &Report, section: &Section, index: usize) -> String {
    let mut html = format!("<h2 id=\"network-{index}\">{}</h2>\n", escape(&section.network));
    html.push_str(&versus_table(&section.network, &section.groups, &report.references).html());
    for note in &section.notes {
        let _ = writeln!(html, "<p class=\"note\">{}</p>", escape(note));
    }
    let values = values_table(&section.groups);
    if !values.is_empty() {
        html.push_str(&values.html());
    }
    section.figures.iter().for_each(|one| html.push_str(&figure(one)));
    html
}

fn figure(figure: &Figure) -> String {
    let caption = escape(&figure.caption);
    format!("<figure>\n{}<figcaption>{caption}</figcaption>\n</figure>\n", figure.svg())
}

fn runs(collection: &Collection) -> String {
    let mut html = format!("<h2 id=\"runs\">Runs</h2>\n{}<ol>\n", runs_table(collection).html());
    for machine in machines(collection) {
        let _ = writeln!(html, "<li>{}</li>", escape(&machine.describe()));
    }
    html + "</ol>\n"
}
