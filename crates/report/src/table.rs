//! A table, in Markdown and in HTML.

use std::fmt::Write;

use crate::plot::escape;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// At the left, as words.
    Left,
    /// At the right, as numbers.
    Right,
}

/// A table of plain text.
///
/// ```
/// use l0_report::{Align, Table};
///
/// let mut table = Table::new([("row", Align::Left), ("error %", Align::Right)]);
/// table.push(["L0", "1.4"]);
/// assert_eq!(table.markdown(), "| row | error % |\n| --- | ------: |\n| L0  |     1.4 |\n");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    cells: Vec<String>,
    muted: bool,
}

impl Table {
    /// A table without rows.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = (S, Align)>) -> Self {
        let columns = columns.into_iter().map(|(name, align)| (name.into(), align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; what is missing is left empty, what is too much is dropped.
    pub fn push<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.add(cells, false);
    }

    /// Adds a row that a page shows in a fainter colour: one for comparison.
    pub fn push_muted<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.add(cells, true);
    }

    fn add<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>, muted: bool) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(Row { cells, muted });
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As Markdown, padded so that it can be read as it is.
    pub fn markdown(&self) -> String {
        let header: Vec<String> = self.columns.iter().map(|(name, _)| inline(name)).collect();
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.cells.iter().map(|cell| inline(cell)).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([header[column].chars().count(), 3]).max().unwrap_or(3)
        };
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        let rule = self.columns.iter().zip(&widths).map(|((_, align), &width)| rule(*align, width));
        let mut text = format!("{}| {} |\n", self.line(&header, &widths), join(rule));
        rows.iter().for_each(|row| text.push_str(&self.line(row, &widths)));
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let padded = cells.iter().zip(widths).zip(&self.columns).map(|((cell, width), column)| match column.1 {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        format!("| {} |\n", join(padded))
    }

    /// As HTML.
    pub fn html(&self) -> String {
        let mut text = String::from("<div class=\"table\"><table>\n<thead><tr>");
        for (name, align) in &self.columns {
            let _ = write!(text, "<th{}>{}</th>", class(*align), escape(name));
        }
        text.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            text.push_str(if row.muted { "<tr class=\"muted\">" } else { "<tr>" });
            for (cell, (_, align)) in row.cells.iter().zip(&self.columns) {
                let _ = write!(text, "<td{}>{}</td>", class(*align), escape(cell));
            }
            text.push_str("</tr>\n");
        }
        text + "</tbody></table></div>\n"
    }
}

fn join(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(" | ")
}

fn rule(align: Align, width: usize) -> String {
    match align {
        Align::Left => "-".repeat(width),
        Align::Right => format!("{}:", "-".repeat(width - 1)),
    }
}

fn class(align: Align) -> &'static str {
    match align {
        Align::Left => "",
        Align::Right => " class=\"number\"",
    }
}

/// Text that stays within its cell, and is no markup to whoever shows the Markdown.
pub(crate) fn inline(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_break_the_table() {
        let mut table = Table::new([("a", Align::Left)]);
        table.push(["x | y\n<b>"]);
        assert_eq!(table.markdown().lines().count(), 3);
        assert!(table.markdown().contains(r"x \| y &lt;b>"));
        assert!(table.html().contains("x | y &lt;b&gt;"));
    }

    #[test]
    fn rows_have_the_tables_width() {
        let mut table = Table::new([("a", Align::Left), ("b", Align::Right)]);
        table.push(["1"]);
        table.push_muted(["1", "2", "3"]);
        assert!(table.markdown().lines().all(|line| line.matches('|').count() == 3));
        assert!(table.html().contains("<tr class=\"muted\">"));
    }
}
