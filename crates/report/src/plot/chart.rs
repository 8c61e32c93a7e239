//! What a chart shows, before anything is drawn.

use super::palette::Color;

/// One of the two axes of a chart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Axis {
    pub(super) label: String,
    pub(super) log: bool,
    pub(super) ends: (Option<f64>, Option<f64>),
    pub(super) tight: bool,
    pub(super) whole: bool,
}

impl Axis {
    /// An axis on which equal distances are equal differences.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// A linear axis for what is counted from 0, without room around it and with whole ticks only.
    pub fn count(label: impl Into<String>) -> Self {
        Self { tight: true, whole: true, ..Self::linear(label) }.from(0.0)
    }

    /// An axis on which equal distances are equal ratios; what is not above zero has no place.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), log: true, ..Self::default() }
    }

    /// The axis with whole ticks only.
    pub fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// The axis from the lowest to the highest number, without room around them.
    pub fn tight(mut self) -> Self {
        self.tight = true;
        self
    }

    /// The axis from here, whatever the numbers.
    pub fn from(mut self, end: f64) -> Self {
        self.ends.0 = Some(end);
        self
    }

    /// The axis up to here, whatever the numbers.
    pub fn to(mut self, end: f64) -> Self {
        self.ends.1 = Some(end);
        self
    }
}

/// A place with a marker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Point {
    /// Its place.
    pub at: (f64, f64),
    /// What stands beside it, if anything.
    pub label: String,
    /// The lowest and the highest of what it is the mean of.
    pub spread: Option<(f64, f64)>,
}

/// The form of a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A disc.
    Disc,
    /// A hollow disc.
    Ring,
    /// A small disc, for what a larger one sums up.
    Dot,
    /// A small ring, for what a larger one sums up.
    SmallRing,
    /// A square on its corner.
    Diamond,
    /// A hollow square.
    Square,
}

/// A rectangle of a chart, coloured by a level from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Its sides.
    pub x: (f64, f64),
    /// Its top and bottom, in either order.
    pub y: (f64, f64),
    /// Its level, from 0, light, to 1, dark.
    pub level: f64,
}

/// How numbers become visible.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// A line through points; it has a gap where a number cannot be drawn.
    Line(Vec<(f64, f64)>),
    /// The same, dashed.
    Dashed(Vec<(f64, f64)>),
    /// The room between two lines: place, lower and upper.
    Band(Vec<(f64, f64, f64)>),
    /// The room between a line and the chart's floor.
    Area(Vec<(f64, f64)>),
    /// Bars from the floor: left, right and height.
    Bars(Vec<(f64, f64, f64)>),
    /// Markers.
    Points(Shape, Vec<Point>),
    /// Coloured rectangles.
    Cells(Vec<Cell>),
}

impl Mark {
    /// The places that the axes must reach.
    pub(super) fn extent(&self) -> Vec<(f64, f64)> {
        match self {
            Self::Line(points) | Self::Dashed(points) | Self::Area(points) => points.clone(),
            Self::Band(points) => points.iter().flat_map(|&(x, a, b)| [(x, a), (x, b)]).collect(),
            Self::Bars(bars) => bars.iter().flat_map(|&(a, b, y)| [(a, 0.0), (b, y)]).collect(),
            Self::Cells(cells) => cells.iter().flat_map(|cell| [(cell.x.0, cell.y.0), (cell.x.1, cell.y.1)]).collect(),
            Self::Points(_, points) => points.iter().flat_map(Point::extent).collect(),
        }
    }
}

impl Point {
    fn extent(&self) -> impl Iterator<Item = (f64, f64)> {
        let ends = self.spread.map(|(low, high)| [(self.at.0, low), (self.at.0, high)]);
        std::iter::once(self.at).chain(ends.into_iter().flatten())
    }
}

/// A mark with its colour and the words for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What the legend says; without it, the legend is silent.
    pub label: String,
    /// Its colour.
    pub color: Color,
    /// Its form.
    pub mark: Mark,
}

/// Two axes and what is drawn between them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    pub(super) heading: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    pub(super) picture: bool,
}

impl Chart {
    /// An empty chart.
    pub fn new(heading: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { heading: heading.into(), x, y, ..Self::default() }
    }

    /// A picture of square pixels without axes: `width` to a row, levels from 0 to 1.
    pub fn picture(heading: impl Into<String>, note: impl Into<String>, width: usize, levels: &[f64]) -> Self {
        let width = width.max(1);
        let cell = |(index, &level): (usize, &f64)| {
            let (x, y) = ((index % width) as f64, (index / width) as f64);
            Cell { x: (x, x + 1.0), y: (y, y + 1.0), level }
        };
        let cells = Mark::Cells(levels.iter().enumerate().map(cell).collect());
        let rows = levels.len().div_ceil(width).max(1);
        let axis = |label: String, end: usize| Axis::linear(label).from(0.0).to(end as f64);
        let chart = Self::new(heading, axis(String::new(), width), axis(note.into(), rows));
        Self { picture: true, ..chart }.with("", Color::Muted, cells)
    }

    /// The chart with another mark on top.
    pub fn with(mut self, label: impl Into<String>, color: Color, mark: Mark) -> Self {
        self.series.push(Series { label: label.into(), color, mark });
        self
    }

    /// Whether no mark holds anything.
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.mark.extent().is_empty())
    }
}
