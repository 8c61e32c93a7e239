//! Ink on a small canvas.

use super::glyphs::Point;

/// Width and height of an image.
pub(crate) const SIDE: usize = 28;

/// A square of ink, one value in [0, 1] per pixel.
pub(crate) struct Canvas {
    pub(crate) ink: [f32; SIDE * SIDE],
}

/// What a line is drawn with.
#[derive(Clone, Copy)]
pub(crate) struct Pen {
    /// Half the thickness of a line, in pixels.
    pub(crate) radius: f32,
    /// Pixels from full ink to none at the edge of a line.
    pub(crate) softness: f32,
    /// Ink in the middle of a line, in [0, 1].
    pub(crate) ink: f32,
}

impl Pen {
    fn ink_at(self, distance: f32) -> f32 {
        let inside = (self.radius - distance) / self.softness + 0.5;
        self.ink * inside.clamp(0.0, 1.0)
    }

    fn reach(self) -> f32 {
        self.radius + 0.5 * self.softness
    }
}

impl Canvas {
    pub(crate) fn new() -> Self {
        Self { ink: [0.0; SIDE * SIDE] }
    }

    /// Draws a straight line; where lines overlap the darker ink stays.
    pub(crate) fn line(&mut self, a: Point, b: Point, pen: Pen) {
        self.near(a, b, pen.reach(), |ink, distance| *ink = ink.max(pen.ink_at(distance)));
    }

    /// Removes ink along a straight line.
    pub(crate) fn erase(&mut self, a: Point, b: Point, pen: Pen) {
        self.near(a, b, pen.reach(), |ink, distance| *ink *= 1.0 - pen.ink_at(distance));
    }

    fn near(&mut self, a: Point, b: Point, reach: f32, mut touch: impl FnMut(&mut f32, f32)) {
        let pixels = |from: f32, to: f32| {
            let (low, high) = (from.min(to) - reach, from.max(to) + reach);
            (low.ceil().max(0.0) as usize)..((high.floor() + 1.0).clamp(0.0, SIDE as f32) as usize)
        };
        for y in pixels(a.1, b.1) {
            for x in pixels(a.0, b.0) {
                let distance = distance((x as f32, y as f32), a, b);
                if distance < reach {
                    touch(&mut self.ink[y * SIDE + x], distance);
                }
            }
        }
    }
}

fn distance(p: Point, a: Point, b: Point) -> f32 {
    let (along, to) = ((b.0 - a.0, b.1 - a.1), (p.0 - a.0, p.1 - a.1));
    let length = along.0 * along.0 + along.1 * along.1;
    let t = if length > 0.0 { ((to.0 * along.0 + to.1 * along.1) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (x, y) = (to.0 - t * along.0, to.1 - t * along.1);
    (x * x + y * y).sqrt()
}

/// Points along a smooth curve through `points` (Catmull and Rom's spline), `steps` for each part.
pub(crate) fn spline(points: &[Point], steps: usize) -> Vec<Point> {
    let at = |i: isize| points[i.clamp(0, points.len() as isize - 1) as usize];
    let mut curve = vec![points[0]];
    for i in 0..points.len() as isize - 1 {
        let around = [at(i - 1), at(i), at(i + 1), at(i + 2)];
        curve.extend((1..=steps).map(|step| between(around, step as f32 / steps as f32)));
    }
    curve
}

fn between([a, b, c, d]: [Point; 4], t: f32) -> Point {
    let cubic = |a: f32, b: f32, c: f32, d: f32| {
        0.5 * (2.0 * b + t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a))))
    };
    (cubic(a.0, b.0, c.0, d.0), cubic(a.1, b.1, c.1, d.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEN: Pen = Pen { radius: 1.0, softness: 1.0, ink: 1.0 };

    #[test]
    fn a_line_covers_its_thickness() {
        let mut canvas = Canvas::new();
        canvas.line((5.0, 10.0), (15.0, 10.0), PEN);
        let column: Vec<f32> = (8..13).map(|y| canvas.ink[y * SIDE + 10]).collect();
        assert_eq!(column, [0.0, 0.5, 1.0, 0.5, 0.0]);
        canvas.erase((5.0, 10.0), (15.0, 10.0), PEN);
        assert_eq!((canvas.ink[10 * SIDE + 10], canvas.ink[9 * SIDE + 10]), (0.0, 0.25));
    }

    #[test]
    fn lines_may_leave_the_canvas() {
        let mut canvas = Canvas::new();
        canvas.line((-90.0, -50.0), (99.0, 70.0), PEN);
        canvas.line((-9.0, -5.0), (-9.0, -7.0), PEN);
        assert!(canvas.ink.iter().any(|&ink| ink > 0.5));
    }

    #[test]
    fn a_spline_goes_through_its_points() {
        let points = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)];
        let curve = spline(&points, 4);
        assert_eq!((curve[0], curve[4], curve[8], curve.len()), (points[0], points[1], points[2], 9));
    }
}
