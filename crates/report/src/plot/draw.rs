//! A chart becomes shapes.

use super::chart::{Axis, Cell, Chart, Mark, Point, Series, Shape};
use super::label::{Placer, Room};
use super::palette::{self, SHADES};
use super::scale::Scale;
use super::svg::{Anchor, Canvas, Type};
use super::text;

/// Marks that are nearer to each other, in pixels, hide one another.
const UPON: f64 = 4.0;
const GRID: &str = "#e8ebef";
const ZERO: &str = "#9aa5b1";
pub(super) const HEADING: Type = Type { size: 13.0, bold: true, color: "#1f2933" };
pub(super) const LABEL: Type = Type { size: 12.0, bold: false, color: "#52606d" };
const TICK: Type = Type { size: 11.0, bold: false, color: "#52606d" };
const NOTE: Type = Type { size: 11.0, bold: false, color: "#323f4b" };

/// Most lines of each of the words above a chart.
const LINES: usize = 2;

/// The height of the words above a chart that is so wide.
pub(super) fn head(chart: &Chart, width: f64) -> f64 {
    words(chart, width).map(|(_, style)| style.size + 5.0).sum()
}

/// The words above a chart, line by line: its name and what the vertical axis shows.
fn words(chart: &Chart, width: f64) -> impl Iterator<Item = (String, Type)> {
    [(&chart.heading, HEADING), (&chart.y.label, LABEL)].into_iter().flat_map(move |(text, style)| {
        // Bold letters are wider, by how much depends on the font.
        let size = if style.bold { 1.2 * style.size } else { style.size };
        text::wrapped_to(text, size, width, LINES).into_iter().map(move |line| (line, style))
    })
}

/// Draws a chart into a room, of which the first `head` pixels are for words.
pub(super) fn chart(canvas: &mut Canvas, chart: &Chart, room: Room, head: f64) {
    let width = room.right - room.left;
    let mut base = room.top + head - self::head(chart, width) - 4.0;
    for (text, style) in words(chart, width) {
        base += style.size + 5.0;
        canvas.text((room.left, base), Anchor::Start, style, &text);
    }
    let room = Room { top: room.top + head + 6.0, ..room };
    if chart.picture {
        return picture(canvas, chart, room);
    }
    let plot = Plot::lay_out(chart, room);
    plot.axes(canvas, chart);
    chart.series.iter().for_each(|series| plot.mark(canvas, series));
    plot.covered(canvas, chart);
    plot.notes(canvas, chart);
}

/// The scales of a chart, and the room between its axes.
struct Plot {
    x: Scale,
    y: Scale,
    room: Room,
}

impl Plot {
    fn lay_out(chart: &Chart, room: Room) -> Self {
        let y = scale(chart, &chart.y, |point| point.1);
        let widest = tick_labels(&y.ticks(5)).iter().map(|label| text::width(label, TICK.size)).fold(0.0, f64::max);
        let below = if chart.x.label.is_empty() { 20.0 } else { 38.0 };
        let room =
            Room { left: room.left + widest + 8.0, right: room.right - 12.0, bottom: room.bottom - below, ..room };
        let x = scale(chart, &chart.x, |point| point.0).at(room.left, room.right);
        Self { x, y: y.at(room.bottom, room.top), room }
    }

    fn axes(&self, canvas: &mut Canvas, chart: &Chart) {
        let Room { left, right, top, bottom } = self.room;
        let ticks = self.y.ticks(5);
        for (tick, label) in ticks.iter().zip(tick_labels(&ticks)) {
            let Some(y) = self.y.pixel(*tick) else { continue };
            canvas.line((left, y), (right, y), if *tick == 0.0 { ZERO } else { GRID }, 1.0);
            canvas.text((left - 6.0, y + 4.0), Anchor::End, TICK, &label);
        }
        canvas.line((left, bottom), (right, bottom), ZERO, 1.0);
        let ticks = self.x.ticks(((right - left) / 70.0) as usize);
        for (tick, label) in ticks.iter().zip(tick_labels(&ticks)) {
            let Some(x) = self.x.pixel(*tick) else { continue };
            canvas.line((x, bottom), (x, bottom + 4.0), ZERO, 1.0);
            canvas.text((x, bottom + 16.0), Anchor::Middle, TICK, &label);
        }
        canvas.text(((left + right) / 2.0, bottom + 33.0), Anchor::Middle, LABEL, &chart.x.label);
        debug_assert!(top <= bottom);
    }

    fn mark(&self, canvas: &mut Canvas, series: &Series) {
        let color = series.color.css();
        match &series.mark {
            Mark::Line(points) => self.lines(points).iter().for_each(|line| canvas.path(line, color, 2.0, false)),
            Mark::Dashed(points) => self.lines(points).iter().for_each(|line| canvas.path(line, color, 1.5, true)),
            Mark::Band(points) => self.band(canvas, points, color),
            Mark::Area(points) => self.area(canvas, points, color),
            Mark::Bars(bars) => self.bars(canvas, bars, color),
            Mark::Points(shape, points) => points.iter().for_each(|point| self.point(canvas, point, *shape, color)),
            Mark::Cells(cells) => self.cells(canvas, cells),
        }
    }

    fn pixel(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        Some((self.x.pixel_within(x)?, self.y.pixel_within(y)?))
    }

    /// The pieces of a line between its gaps.
    fn lines(&self, points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
        pieces(points.iter().map(|&point| self.pixel(point)))
    }

    /// The room between two lines, with a gap where one of them has it.
    fn band(&self, canvas: &mut Canvas, points: &[(f64, f64, f64)], color: &str) {
        let ends = |&(x, low, high): &(f64, f64, f64)| Some((self.pixel((x, low))?, self.pixel((x, high))?));
        for piece in pieces(points.iter().map(ends)) {
            let back = piece.iter().rev().map(|(low, _)| *low);
            let outline: Vec<_> = piece.iter().map(|(_, high)| *high).chain(back).collect();
            if outline.len() > 2 {
                canvas.area(&outline, color, 0.16);
            }
        }
    }

    fn area(&self, canvas: &mut Canvas, points: &[(f64, f64)], color: &str) {
        for line in self.lines(points) {
            let (first, last) = (line[0], line[line.len() - 1]);
            let floor = [(last.0, self.room.bottom), (first.0, self.room.bottom)];
            let outline: Vec<_> = line.iter().copied().chain(floor).collect();
            canvas.area(&outline, color, 0.2);
            canvas.path(&line, color, 2.0, false);
        }
    }

    fn bars(&self, canvas: &mut Canvas, bars: &[(f64, f64, f64)], color: &str) {
        let rect = |&(a, b, y): &(f64, f64, f64)| {
            let ((left, top), (right, _)) = (self.pixel((a, y))?, self.pixel((b, y))?);
            Some((left, top, (right - left - 1.0).max(0.5), self.room.bottom - top))
        };
        let rects: Vec<_> = bars.iter().filter_map(rect).collect();
        canvas.rects(&rects, color);
    }

    fn point(&self, canvas: &mut Canvas, point: &Point, shape: Shape, color: &str) {
        let Some(at) = self.pixel(point.at) else { return };
        if let Some((low, high)) = point.spread
            && let (Some(low), Some(high)) = (self.y.pixel_within(low), self.y.pixel_within(high))
        {
            canvas.line((at.0, low), (at.0, high), color, 1.2);
        }
        marker(canvas, at, shape, color);
    }

    fn cells(&self, canvas: &mut Canvas, cells: &[Cell]) {
        let rects = |cell: &Cell| {
            let (a, b) = (self.pixel((cell.x.0, cell.y.0))?, self.pixel((cell.x.1, cell.y.1))?);
            Some((a.0.min(b.0), a.1.min(b.1), (a.0 - b.0).abs(), (a.1 - b.1).abs()))
        };
        for shade in 0..SHADES {
            let of_shade = cells.iter().filter(|cell| palette::step(cell.level) == shade);
            let rects: Vec<_> = of_shade.filter_map(rects).collect();
            if !rects.is_empty() {
                canvas.rects(&rects, &palette::shade(shade as f64 / (SHADES - 1) as f64));
            }
        }
    }

    /// Circles around marks that others lie upon, in the colours of those below: they would else not be seen.
    fn covered(&self, canvas: &mut Canvas, chart: &Chart) {
        let marks = chart.series.iter().flat_map(|series| {
            let points = points_of(&series.mark).iter().filter(move |_| is_large(&series.mark));
            points.filter_map(move |point| Some((self.pixel(point.at)?, series.color.css())))
        });
        let marks: Vec<((f64, f64), &str)> = marks.collect();
        for (index, &(at, color)) in marks.iter().enumerate() {
            let is_upon = |other: &&((f64, f64), &str)| (other.0.0 - at.0).hypot(other.0.1 - at.1) < UPON;
            let above = marks[index + 1..].iter().filter(is_upon).count().min(3);
            if above > 0 {
                let mut circle = corners(at, 24, 5.0 + 3.0 * above as f64, 0.0);
                circle.push(circle[0]);
                canvas.path(&circle, color, 1.6, false);
            }
        }
    }

    /// The words beside points come last, on top of all marks, and on top of all leaders.
    fn notes(&self, canvas: &mut Canvas, chart: &Chart) {
        let points = || chart.series.iter().flat_map(|series| points_of(&series.mark));
        let mut placer = Placer::new(self.room);
        for at in points().filter_map(|point| self.pixel(point.at)) {
            placer.take(Room::around(at, 6.0));
        }
        let mut place = |point: &'_ Point| {
            let at = self.pixel(point.at)?;
            Some((at, placer.place(at, &point.label, NOTE.size)?))
        };
        let labelled = points().filter(|point| !point.label.is_empty());
        let placed: Vec<_> = labelled.filter_map(|point| Some((point, place(point)?))).collect();
        for (_, (at, placed)) in &placed {
            placed.leader.iter().for_each(|&end| canvas.line(*at, end, ZERO, 0.8));
        }
        for (point, (_, placed)) in &placed {
            canvas.haloed_text(placed.at, placed.anchor, NOTE, &point.label);
        }
    }
}

/// What lies between gaps.
fn pieces<T: Copy>(all: impl Iterator<Item = Option<T>>) -> Vec<Vec<T>> {
    let all: Vec<Option<T>> = all.collect();
    let pieces = all.split(Option::is_none).map(|piece| piece.iter().copied().flatten().collect());
    pieces.filter(|piece: &Vec<T>| !piece.is_empty()).collect()
}

/// Whether a mark is made of points that stand for themselves, not of those that a larger one sums up.
fn is_large(mark: &Mark) -> bool {
    matches!(mark, Mark::Points(shape, _) if !matches!(shape, Shape::Dot | Shape::SmallRing))
}

fn points_of(mark: &Mark) -> &[Point] {
    match mark {
        Mark::Points(_, points) => points,
        _ => &[],
    }
}

fn scale(chart: &Chart, axis: &Axis, pick: fn((f64, f64)) -> f64) -> Scale {
    let numbers = chart.series.iter().flat_map(|series| series.mark.extent()).map(pick);
    Scale::over(numbers, axis)
}

/// Labels with as many digits as it takes to tell the ticks apart.
fn tick_labels(ticks: &[f64]) -> Vec<String> {
    let labels: Vec<String> = ticks.iter().map(|&tick| text::short(tick)).collect();
    let told_apart = labels.windows(2).all(|pair| pair[0] != pair[1]);
    if told_apart { labels } else { ticks.iter().map(f64::to_string).collect() }
}

/// A picture fills as much of its room as keeps its pixels square.
fn picture(canvas: &mut Canvas, chart: &Chart, room: Room) {
    let end = |axis: &Axis| axis.ends.1.unwrap_or(1.0);
    let (columns, rows) = (end(&chart.x), end(&chart.y));
    let pixel = ((room.right - room.left) / columns).min((room.bottom - room.top) / rows);
    let room = Room { right: room.left + pixel * columns, bottom: room.top + pixel * rows, ..room };
    let x = scale(chart, &chart.x, |point| point.0).at(room.left, room.right);
    let y = scale(chart, &chart.y, |point| point.1).at(room.top, room.bottom);
    let plot = Plot { x, y, room };
    chart.series.iter().for_each(|series| plot.mark(canvas, series));
    let frame = (room.left, room.top, room.right - room.left, room.bottom - room.top);
    canvas.rect(frame, "none", " stroke=\"#cbd2d9\"");
}

/// The marker of a shape at a place.
pub(super) fn marker(canvas: &mut Canvas, at: (f64, f64), shape: Shape, color: &str) {
    let (corners, radius, turn) = match shape {
        Shape::Disc | Shape::Ring => (24, 5.0, 0.0),
        Shape::Dot | Shape::SmallRing => (16, 2.6, 0.0),
        Shape::Diamond => (4, 6.0, 0.0),
        Shape::Square => (4, 5.2, 0.125),
    };
    let outline = self::corners(at, corners, radius, turn);
    canvas.marker(&outline, color, matches!(shape, Shape::Ring | Shape::SmallRing | Shape::Square));
}

/// The corners of a polygon around a place.
fn corners((x, y): (f64, f64), count: usize, radius: f64, turn: f64) -> Vec<(f64, f64)> {
    let corner = |i: usize| {
        let angle = std::f64::consts::TAU * (i as f64 / count as f64 + turn);
        (x + radius * angle.cos(), y + radius * angle.sin())
    };
    (0..count).map(corner).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Chart, Color, Figure, Mark, Point, Shape};

    #[test]
    fn a_mark_below_another_has_a_circle_around_both() {
        let at = |y: f64| Mark::Points(Shape::Disc, vec![Point { at: (1.0, y), ..Point::default() }]);
        let drawn = |y: f64| {
            let chart = Chart::new("", Axis::linear("size").to(2.0), Axis::linear("error").from(0.0).to(2.0));
            let chart = chart.with("", Color::Own(0), at(1.0)).with("", Color::Own(1), at(y));
            Figure { charts: vec![chart], ..Figure::default() }.svg()
        };
        let circles = |svg: &str, color: Color| svg.matches(&format!("stroke=\"{}\"", color.css())).count();
        assert_eq!([Color::Own(0), Color::Own(1)].map(|color| circles(&drawn(1.0), color)), [1, 0]);
        assert_eq!(circles(&drawn(0.5), Color::Own(0)), 0);
    }

    #[test]
    fn a_long_heading_takes_two_lines_and_is_whole() {
        let heading = "ours, held to 97-70-30, taught, shifted images *";
        let chart = Chart::picture(heading, "97 of 784 open", 1, &[0.0]);
        let svg = Figure { charts: vec![chart; 4], columns: 4, ..Figure::default() }.svg();
        assert!(!svg.contains('…') && svg.contains("images *<"), "{svg}");
    }

    /// Nothing has no place on a logarithmic axis: what lies on both sides of it is not joined.
    #[test]
    fn a_band_has_the_gaps_of_its_ends() {
        let low = [0.1, 0.2, 0.0, 0.2, 0.1];
        let band = Mark::Band(low.iter().enumerate().map(|(x, &low)| (x as f64, low, 1.0)).collect());
        let chart = Chart::new("", Axis::linear("epoch"), Axis::log("error")).with("", Color::Own(0), band);
        let svg = Figure { charts: vec![chart], ..Figure::default() }.svg();
        assert_eq!(svg.matches("fill-opacity=\"0.16\"").count(), 2, "{svg}");
    }
}
