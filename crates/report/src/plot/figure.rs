//! Charts on a card, with a title and one legend.

use super::chart::{Chart, Mark, Series};
use super::draw::{self, LABEL};
use super::label::Room;
use super::palette::shade;
use super::svg::{Anchor, Canvas, Type};
use super::text;

const PADDING: f64 = 20.0;
const GAP: f64 = 28.0;
const LEGEND_ROW: f64 = 20.0;
const TITLE: Type = Type { size: 16.0, bold: true, color: "#1f2933" };

/// What the shades of a figure mean.
#[derive(Debug, Clone, PartialEq)]
pub struct ColorBar {
    /// The quantity.
    pub label: String,
    /// What the lightest shade stands for.
    pub low: String,
    /// What the darkest shade stands for.
    pub high: String,
}

/// One picture: charts on a white card, with a title and a legend for all of them.
///
/// ```
/// use l0_report::plot::{Axis, Chart, Color, Figure, Mark};
///
/// let line = Mark::Line((1..=10).map(|x| (f64::from(x), 1.0 / f64::from(x))).collect());
/// let chart = Chart::new("", Axis::linear("epoch"), Axis::log("loss")).with("training", Color::Own(0), line);
/// let svg = Figure { title: "Loss".into(), charts: vec![chart], ..Figure::default() }.svg();
/// assert!(svg.starts_with("<svg"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The name of its file, without an ending.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// What a reader must know to read it; stands beside the picture, not in it.
    pub caption: String,
    /// What must not be read without, as that the data are not real; stands in the picture.
    pub notes: Vec<String>,
    /// Its charts, row by row.
    pub charts: Vec<Chart>,
    /// Charts in a row.
    pub columns: usize,
    /// Width of the picture, in pixels.
    pub width: f64,
    /// Height of a chart, in pixels.
    pub height: f64,
    /// What the shades mean, if there are any.
    pub color_bar: Option<ColorBar>,
}

impl Default for Figure {
    fn default() -> Self {
        Self {
            name: String::new(),
            title: String::new(),
            caption: String::new(),
            notes: Vec::new(),
            charts: Vec::new(),
            columns: 2,
            width: 960.0,
            height: 320.0,
            color_bar: None,
        }
    }
}

impl Figure {
    /// Whether none of its charts shows anything.
    pub fn is_empty(&self) -> bool {
        self.charts.iter().all(Chart::is_empty)
    }

    /// The picture.
    pub fn svg(&self) -> String {
        let mut canvas = Canvas::default();
        canvas.text((PADDING, PADDING + 12.0), Anchor::Start, TITLE, &self.title);
        let mut top = PADDING + 26.0;
        top = self.legend(&mut canvas, top);
        top = self.bar(&mut canvas, top) + 10.0;
        let columns = self.columns.max(1);
        let width = (self.width - 2.0 * PADDING - GAP * (columns - 1) as f64) / columns as f64;
        // The same for all, so that charts side by side stand level.
        let head = self.charts.iter().map(|chart| draw::head(chart, width)).fold(0.0, f64::max);
        for (index, chart) in self.charts.iter().enumerate() {
            let left = PADDING + (width + GAP) * (index % columns) as f64;
            let top = top + (self.height + GAP) * (index / columns) as f64;
            let room = Room { left, top, right: left + width, bottom: top + self.height };
            draw::chart(&mut canvas, chart, room, head);
        }
        let rows = self.charts.len().div_ceil(columns) as f64;
        let bottom = self.write_notes(&mut canvas, top + rows * (self.height + GAP) - GAP);
        canvas.finish(self.width, bottom.max(top) + PADDING, &self.title)
    }

    /// Writes the notes from `top` and returns where they end.
    fn write_notes(&self, canvas: &mut Canvas, top: f64) -> f64 {
        let room = self.width - 2.0 * PADDING;
        let lines = self.notes.iter().flat_map(|note| text::wrapped(note, LABEL.size, room));
        let below = if self.notes.is_empty() { top } else { top + 8.0 };
        lines.fold(below, |top, line| {
            canvas.text((PADDING, top + 12.0), Anchor::Start, LABEL, &line);
            top + 17.0
        })
    }

    /// Draws the legend from `top` and returns where it ends.
    fn legend(&self, canvas: &mut Canvas, top: f64) -> f64 {
        let mut entries: Vec<&Series> = Vec::new();
        for series in self.charts.iter().flat_map(|chart| &chart.series) {
            if !series.label.is_empty() && entries.iter().all(|entry| entry.label != series.label) {
                entries.push(series);
            }
        }
        let (mut x, mut y) = (PADDING, top);
        for entry in &entries {
            let width = 30.0 + text::width(&entry.label, LABEL.size) + 20.0;
            if x > PADDING && x + width > self.width - PADDING {
                (x, y) = (PADDING, y + LEGEND_ROW);
            }
            sample(canvas, (x, y + 8.0), entry);
            canvas.text((x + 30.0, y + 12.0), Anchor::Start, LABEL, &entry.label);
            x += width;
        }
        if entries.is_empty() { top } else { y + LEGEND_ROW }
    }

    /// Draws what the shades mean from `top` and returns where it ends.
    fn bar(&self, canvas: &mut Canvas, top: f64) -> f64 {
        const STEPS: usize = 32;
        const STEP: f64 = 4.0;
        let Some(ColorBar { label, low, high }) = &self.color_bar else { return top };
        let base = top + 12.0;
        canvas.text((PADDING, base), Anchor::Start, LABEL, &format!("{label}:  {low}"));
        let left = PADDING + text::width(&format!("{label}:  {low}"), LABEL.size) + 8.0;
        for step in 0..STEPS {
            let fill = shade(step as f64 / (STEPS - 1) as f64);
            let x = left + STEP * step as f64;
            canvas.rect((x, top + 2.0, STEP, 12.0), &fill, " shape-rendering=\"crispEdges\"");
        }
        canvas.text((left + STEP * STEPS as f64 + 8.0, base), Anchor::Start, LABEL, high);
        top + LEGEND_ROW
    }
}

/// What a series looks like, small, before its words in the legend.
fn sample(canvas: &mut Canvas, (x, y): (f64, f64), series: &Series) {
    let color = series.color.css();
    match &series.mark {
        Mark::Line(_) => canvas.path(&[(x, y), (x + 22.0, y)], color, 2.5, false),
        Mark::Dashed(_) => canvas.path(&[(x, y), (x + 22.0, y)], color, 1.5, true),
        Mark::Points(shape, _) => draw::marker(canvas, (x + 11.0, y), *shape, color),
        _ => canvas.rect((x + 4.0, y - 6.0, 14.0, 12.0), color, " fill-opacity=\"0.35\" rx=\"2\""),
    }
}
