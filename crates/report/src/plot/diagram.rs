//! A graph of layers as a picture: one row for each, a bar as wide as it has units, and lines to what reads it.
//!
//! Rows stand below each other in order, so a chain is a column; whoever reads a row further up is reached by a lane to
//! the right of the bars. A lane belongs to one source and forks to all that read it; short lanes run inside long ones.

mod lanes;
mod layout;
mod parts;

use self::lanes::{Lane, lanes};
use self::layout::Layout;
pub use self::parts::{Block, Diagram};
use self::parts::{FACT, NAME, PADDING, ROW};
use super::draw::LABEL;
use super::palette::Color;
use super::svg::{Anchor, Canvas, Type};
use super::text;

const BAR: f64 = 15.0;
/// The width of a bar in the legend.
const SAMPLE: f64 = 14.0;
const LINE: &str = "#9aa5b1";
const TITLE: Type = Type { size: 16.0, bold: true, color: "#1f2933" };

impl Diagram {
    /// The picture.
    pub fn svg(&self) -> String {
        let lanes = lanes(&self.blocks);
        let layout = Layout::of(self, &lanes);
        let mut canvas = Canvas::default();
        canvas.text((PADDING, PADDING + 12.0), Anchor::Start, TITLE, &text::fitted(&self.title, 19.0, layout.room()));
        let top = self.notes(&mut canvas, &layout);
        let top = self.legend(&mut canvas, &layout, top);
        let layout = Layout { top: top + 28.0, ..layout };
        self.heads(&mut canvas, &layout);
        (1..self.blocks.len()).for_each(|row| self.straight(&mut canvas, &layout, row));
        lanes.iter().for_each(|lane| self.lane(&mut canvas, &layout, lane, &lanes));
        (0..self.blocks.len()).for_each(|row| self.block(&mut canvas, &layout, row));
        canvas.finish(layout.width, layout.middle(self.blocks.len()) - ROW / 2.0 + PADDING, &self.title)
    }

    /// Writes the notes and returns where they end.
    fn notes(&self, canvas: &mut Canvas, layout: &Layout) -> f64 {
        let lines = self.notes.iter().flat_map(|note| text::wrapped(note, LABEL.size, layout.room()));
        lines.fold(PADDING + 20.0, |top, line| {
            canvas.text((PADDING, top + 14.0), Anchor::Start, LABEL, &line);
            top + 18.0
        })
    }

    /// Draws what colours mean from `top` and returns where that ends.
    fn legend(&self, canvas: &mut Canvas, layout: &Layout, top: f64) -> f64 {
        let pruned = self.blocks.iter().any(|block| block.kept < block.units);
        let hollow = pruned.then_some((Some(Color::Plain), 0.0, "hollow: pruned"));
        let scale = layout.roots.then_some((None, 0.0, "widths grow as the roots of the units"));
        let solid = self.legend.iter().map(|(color, words)| (Some(*color), SAMPLE, words.as_str()));
        let (mut x, mut y) = (PADDING, top + 8.0);
        for (color, kept, words) in solid.chain(hollow).chain(scale) {
            let sample = color.map_or(0.0, |_| SAMPLE + 6.0);
            let width = sample + text::width(words, FACT.size) + 18.0;
            if x > PADDING && x + width > layout.width - PADDING {
                (x, y) = (PADDING, y + 18.0);
            }
            color.into_iter().for_each(|color| bar(canvas, (x, y, SAMPLE), color, kept));
            canvas.text((x + sample, y + 11.0), Anchor::Start, FACT, words);
            x += width;
        }
        if x == PADDING { top } else { y + 16.0 }
    }

    /// Writes what the columns show.
    fn heads(&self, canvas: &mut Canvas, layout: &Layout) {
        let base = layout.top - 6.0;
        for (head, &right) in self.facts.iter().zip(&layout.facts) {
            canvas.text((right, base), Anchor::End, Type { size: 10.0, ..FACT }, head);
        }
        canvas.line((PADDING, base + 6.0), (layout.width - PADDING, base + 6.0), "#e8ebef", 1.0);
    }

    /// Joins a row with the one above it, if it reads that.
    fn straight(&self, canvas: &mut Canvas, layout: &Layout, row: usize) {
        if self.blocks[row].reads.contains(&(row - 1)) {
            let (from, to) = (layout.middle(row - 1) + BAR / 2.0, layout.middle(row) - BAR / 2.0);
            canvas.line((layout.center, from), (layout.center, to), LINE, 1.5);
        }
    }

    /// Joins a row with those further down that read it. Of several lanes that end at a row, outer ones arrive lower,
    /// so that none crosses another.
    fn lane(&self, canvas: &mut Canvas, layout: &Layout, lane: &Lane, all: &[Lane]) {
        let color = self.blocks[lane.from].color.css();
        let (x, leaves) = (layout.lane(lane.place), layout.middle(lane.from) + BAR / 4.0);
        let start = (layout.right_of(self.blocks[lane.from].units), leaves);
        for &to in &lane.to {
            let arriving = all.iter().filter(|other| other.to.contains(&to));
            let (inner, arriving) =
                arriving.fold((0, 0), |(inner, all), other| (inner + usize::from(other.place < lane.place), all + 1));
            let step = (BAR * 0.6 / arriving as f64).min(4.0);
            let y = layout.middle(to) - BAR / 4.0 + step * (inner as f64 - (arriving - 1) as f64 / 4.0);
            let end = (layout.right_of(self.blocks[to].units) + 1.0, y);
            canvas.bent(&[start, (x, start.1), (x, y), (end.0 + 5.0, y)], color, 1.6);
            canvas.area(&[end, (end.0 + 6.0, y - 3.0), (end.0 + 6.0, y + 3.0)], color, 1.0);
        }
    }

    fn block(&self, canvas: &mut Canvas, layout: &Layout, row: usize) {
        let (block, middle) = (&self.blocks[row], layout.middle(row));
        let base = middle + 4.0;
        canvas.text((PADDING, base), Anchor::Start, NAME, &text::fitted_end(&block.name, NAME.size, layout.names));
        canvas.text((layout.kind, base), Anchor::Start, FACT, &text::fitted(&block.kind, FACT.size, layout.kinds));
        let tag = Type { size: 11.0, bold: true, color: block.color.css() };
        canvas.text((layout.tag, base), Anchor::Middle, tag, &block.tag);
        let width = layout.wide(block.units);
        let kept =
            if block.kept == block.units { width } else { width * block.kept as f64 / block.units.max(1) as f64 };
        bar(canvas, (layout.center - width / 2.0, middle - BAR / 2.0, width), block.color, kept);
        for (fact, &right) in block.facts.iter().zip(&layout.facts) {
            canvas.text((right, base), Anchor::End, FACT, fact);
        }
    }
}

/// A bar from its top left, of which `kept` pixels in the middle are solid.
fn bar(canvas: &mut Canvas, (x, y, width): (f64, f64, f64), color: Color, kept: f64) {
    let color = color.css();
    if kept < width {
        let rim = format!(" stroke=\"{color}\" stroke-width=\"1\"");
        canvas.rect((x + 0.5, y + 0.5, (width - 1.0).max(0.5), BAR - 1.0), "#ffffff", &rim);
    }
    if kept > 0.0 {
        canvas.rect((x + (width - kept) / 2.0, y, kept, BAR), color, if width > 8.0 { " rx=\"2\"" } else { "" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(name: &str, kept: usize, reads: &[usize]) -> Block {
        let (name, kind, tag) = (name.into(), "conv2d".into(), "A".into());
        let (facts, reads) = (vec![format!("{kept} / 8")], reads.into());
        Block { name, kind, tag, facts, units: 8, kept, color: Color::Own(0), reads }
    }

    #[test]
    fn every_row_is_named_and_a_pruned_one_has_a_rim() {
        let blocks = vec![block("<a>", 8, &[]), block("b", 3, &[0]), block("c", 0, &[0, 1])];
        let facts = vec!["units".to_string()];
        let svg = Diagram { title: "T".into(), facts, blocks, ..Diagram::default() }.svg();
        assert!(
            ["&lt;a&gt;", ">b<", ">c<", ">3 / 8<", "hollow: pruned"].iter().all(|text| svg.contains(text)),
            "{svg}"
        );
        assert_eq!(svg.matches("stroke-width=\"1\"/>").count(), 2 + 1, "b, c and the legend's");
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert!(Diagram::default().svg().starts_with("<svg"));
    }
}
