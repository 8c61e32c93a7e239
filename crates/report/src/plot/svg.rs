//! Shapes as SVG text.

use std::fmt::Write;

use super::text::trimmed;

/// The text as it may stand between tags and in attributes; what XML cannot hold is left out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// Where a text is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) color: &'static str,
}

/// A drawing in the making. Points are in pixels from the top left.
#[derive(Debug, Default)]
pub(super) struct Canvas(String);

impl Canvas {
    /// A rectangle; `style` holds further attributes.
    pub(super) fn rect(&mut self, (x, y, w, h): (f64, f64, f64, f64), fill: &str, style: &str) {
        let (x, y, w, h) = (trimmed(x), trimmed(y), trimmed(w), trimmed(h));
        let _ = writeln!(self.0, r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{fill}"{style}/>"#);
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str, width: f64) {
        self.path(&[from, to], stroke, width, false);
    }

    /// A line through points.
    pub(super) fn path(&mut self, points: &[(f64, f64)], stroke: &str, width: f64, dashed: bool) {
        let dash = if dashed { r#" stroke-dasharray="5 4""# } else { "" };
        let (d, width) = (outline(points), trimmed(width));
        let _ = writeln!(
            self.0,
            r#"<path d="{d}" fill="none" stroke="{stroke}" stroke-width="{width}" stroke-linejoin="round" stroke-linecap="round"{dash}/>"#
        );
    }

    /// A line through points, rounded where it bends.
    pub(super) fn bent(&mut self, points: &[(f64, f64)], stroke: &str, width: f64) {
        let (d, width) = (rounded(points), trimmed(width));
        let _ = writeln!(self.0, r#"<path d="{d}" fill="none" stroke="{stroke}" stroke-width="{width}"/>"#);
    }

    /// A filled outline.
    pub(super) fn area(&mut self, points: &[(f64, f64)], fill: &str, opacity: f64) {
        let (d, opacity) = (outline(points), trimmed(opacity));
        let _ = writeln!(self.0, r#"<path d="{d}Z" fill="{fill}" fill-opacity="{opacity}"/>"#);
    }

    /// Many rectangles of one colour, which share the words that say so.
    pub(super) fn rects(&mut self, rects: &[(f64, f64, f64, f64)], fill: &str) {
        let _ = write!(self.0, r#"<path fill="{fill}" shape-rendering="crispEdges" d=""#);
        for &(x, y, w, h) in rects {
            let (x, y, w, h) = (trimmed(x), trimmed(y), trimmed(w), trimmed(h));
            let _ = write!(self.0, "M{x} {y}h{w}v{h}h-{w}z");
        }
        self.0.push_str("\"/>\n");
    }

    /// A filled outline with a white rim, which keeps markers apart where they overlap.
    pub(super) fn marker(&mut self, outline_of: &[(f64, f64)], fill: &str, hollow: bool) {
        let d = outline(outline_of);
        let (inside, rim, width) = if hollow { ("#ffffff", fill, 1.6) } else { (fill, "#ffffff", 1.2) };
        let _ = writeln!(self.0, r#"<path d="{d}Z" fill="{inside}" stroke="{rim}" stroke-width="{width}"/>"#);
    }

    /// A text that stays readable on top of lines.
    pub(super) fn haloed_text(&mut self, at: (f64, f64), anchor: Anchor, style: Type, text: &str) {
        self.0.push_str(r##"<g stroke="#ffffff" stroke-width="3" stroke-linejoin="round" paint-order="stroke">"##);
        self.text(at, anchor, style, text);
        self.0.push_str("</g>\n");
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, style: Type, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let weight = if style.bold { r#" font-weight="600""# } else { "" };
        let (x, y, size, color) = (trimmed(x), trimmed(y), trimmed(style.size), style.color);
        let text = escape(text);
        let _ = writeln!(
            self.0,
            r#"<text x="{x}" y="{y}" font-size="{size}" fill="{color}"{anchor}{weight}>{text}</text>"#
        );
    }

    /// The whole picture on a white card.
    pub(super) fn finish(self, width: f64, height: f64, title: &str) -> String {
        let (w, h, title) = (trimmed(width), trimmed(height), escape(title));
        let (inner_w, inner_h) = (trimmed(width - 1.0), trimmed(height - 1.0));
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{title}" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif">
<title>{title}</title>
<rect x="0.5" y="0.5" width="{inner_w}" height="{inner_h}" rx="8" fill="#ffffff" stroke="#dfe3e8"/>
{}</svg>
"##,
            self.0
        )
    }
}

fn outline(points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        let _ = write!(d, "{}{} {}", if index == 0 { "M" } else { "L" }, trimmed(x), trimmed(y));
    }
    d
}

/// An outline with corners cut by curves.
fn rounded(points: &[(f64, f64)]) -> String {
    const RADIUS: f64 = 5.0;
    let toward = |(x, y): (f64, f64), (to_x, to_y): (f64, f64)| {
        let length = (to_x - x).hypot(to_y - y);
        let share = (RADIUS / length.max(f64::MIN_POSITIVE)).min(0.5);
        (x + (to_x - x) * share, y + (to_y - y) * share)
    };
    let mut d = outline(&points[..1]);
    for corner in points.windows(3) {
        let [before, after] =
            [toward(corner[1], corner[0]), toward(corner[1], corner[2])].map(|(x, y)| (trimmed(x), trimmed(y)));
        let (x, y) = (trimmed(corner[1].0), trimmed(corner[1].1));
        let _ = write!(d, "L{} {}Q{x} {y} {} {}", before.0, before.1, after.0, after.1);
    }
    let (x, y) = points[points.len() - 1];
    let _ = write!(d, "L{} {}", trimmed(x), trimmed(y));
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(escape("<a href=\"x\">&\u{0}\u{1b}</a>"), "&lt;a href=&quot;x&quot;&gt;&amp;&lt;/a&gt;");
    }

    #[test]
    fn corners_are_rounded() {
        assert_eq!(rounded(&[(0.0, 0.0), (20.0, 0.0), (20.0, 20.0)]), "M0 0L15 0Q20 0 20 5L20 20");
    }

    #[test]
    fn an_outline_is_short() {
        assert_eq!(outline(&[(1.0, 2.0), (3.456, 4.5)]), "M1 2L3.46 4.5");
    }
}
