//! The transforms of minimal filtering: a tile of 2x2 outputs for 16 multiplications in place of 36, or one of 4x4 for
//! 36 in place of 144.
//!
//! A tile Y of outputs sees a tile d of inputs, two more along each side. With w the kernel, `*` number by number and
//! `'` transposed, `Y = A' [(G w G') * (B' d B)] A` (Winograd 1980; Lavin and Gray 2015, arXiv 1509.09308), and so for
//! a gradient g of Y `dw = G' [(A g A') * (B' d B)] G`. The matrices evaluate polynomials at some places, multiply them
//! there, and interpolate. A transformed tile is kept column by column.

use l0_lanes::Eights;

use super::tile::Vector;

/// The transforms for tiles of `OUT` x `OUT` outputs, which see `IN` x `IN` inputs and have `POINTS` numbers when
/// transformed. Loops over arrays of vectors would go through memory, so they are written out.
pub(super) trait Filter<const OUT: usize, const IN: usize, const POINTS: usize> {
    /// `B' d B` from the rows of d.
    fn input<V: Eights>(d: [[V; IN]; IN], to: Apart<&mut [Vector]>);
    /// `A g A'` from the rows of g.
    fn gradient<V: Eights>(g: [[V; OUT]; OUT], to: Apart<&mut [Vector]>);
    /// The rows of `A' m A`.
    fn output<V: Eights>(m: Apart<&[Vector]>) -> [[V; OUT]; OUT];
    /// `G w` for one column.
    fn kernel(w: [f64; 3]) -> [f64; IN];
    /// `G' s` for one column.
    fn sums(s: [f64; IN]) -> [f64; 3];

    /// `G w G'`.
    fn transform_kernel(w: [f32; 9]) -> [f32; POINTS] {
        let rows: [[f64; IN]; 3] =
            std::array::from_fn(|y| Self::kernel(std::array::from_fn(|x| f64::from(w[3 * y + x]))));
        let columns: [[f64; IN]; IN] = std::array::from_fn(|x| Self::kernel(rows.map(|row| row[x])));
        std::array::from_fn(|point| columns[point / IN][point % IN] as f32)
    }

    /// `G' s G`.
    fn transform_sums(s: [f32; POINTS]) -> [f32; 9] {
        let columns: [[f64; 3]; IN] =
            std::array::from_fn(|x| Self::sums(std::array::from_fn(|y| f64::from(s[IN * x + y]))));
        let rows: [[f64; 3]; 3] = std::array::from_fn(|y| Self::sums(columns.map(|column| column[y])));
        std::array::from_fn(|at| rows[at / 3][at % 3] as f32)
    }
}

/// The numbers of a transformed tile, `step` from one to the next.
pub(super) struct Apart<T> {
    pub(super) data: T,
    pub(super) at: usize,
    pub(super) step: usize,
}

impl Apart<&mut [Vector]> {
    /// Sets the numbers of the next column.
    #[inline(always)]
    fn put<V: Eights, const N: usize>(&mut self, column: [V; N]) {
        for number in column {
            number.store(&mut self.data[self.at]);
            self.at += self.step;
        }
    }
}

impl Apart<&[Vector]> {
    /// The numbers of the next column.
    #[inline(always)]
    fn column<V: Eights, const N: usize>(&mut self) -> [V; N] {
        let mut column = [V::zero(); N];
        for number in &mut column {
            *number = V::load(&self.data[self.at]);
            self.at += self.step;
        }
        column
    }
}

/// Tiles of 2x2 outputs: polynomials at 0, 1, -1 and infinity.
pub(super) struct Two;

/// Tiles of 4x4 outputs: polynomials at 0, 1, -1, `PLACE`, `-PLACE` and infinity.
pub(super) struct Four;

/// Of the values tried the one with the least error (docs/decisions/047-inference-of-every-layer.md).
const PLACE: f32 = 0.65;
const SQUARE: f32 = PLACE * PLACE;

#[inline(always)]
fn input2<V: Eights>([a, b, c, d]: [V; 4]) -> [V; 4] {
    [a - c, b + c, c - b, b - d]
}

#[inline(always)]
fn gradient2<V: Eights>([a, b]: [V; 2]) -> [V; 4] {
    [a, a + b, a - b, -b]
}

#[inline(always)]
fn output2<V: Eights>([a, b, c, d]: [V; 4]) -> [V; 2] {
    [a + b + c, b - c - d]
}

impl Filter<2, 4, 16> for Two {
    #[inline(always)]
    fn input<V: Eights>(d: [[V; 4]; 4], mut to: Apart<&mut [Vector]>) {
        let [a, b, c, d] = [input2(d[0]), input2(d[1]), input2(d[2]), input2(d[3])];
        to.put(input2([a[0], b[0], c[0], d[0]]));
        to.put(input2([a[1], b[1], c[1], d[1]]));
        to.put(input2([a[2], b[2], c[2], d[2]]));
        to.put(input2([a[3], b[3], c[3], d[3]]));
    }

    #[inline(always)]
    fn gradient<V: Eights>(g: [[V; 2]; 2], mut to: Apart<&mut [Vector]>) {
        let [a, b] = [gradient2(g[0]), gradient2(g[1])];
        to.put(gradient2([a[0], b[0]]));
        to.put(gradient2([a[1], b[1]]));
        to.put(gradient2([a[2], b[2]]));
        to.put(gradient2([a[3], b[3]]));
    }

    #[inline(always)]
    fn output<V: Eights>(mut m: Apart<&[Vector]>) -> [[V; 2]; 2] {
        let [a, b] = [output2(m.column()), output2(m.column())];
        let [c, d] = [output2(m.column()), output2(m.column())];
        [output2([a[0], b[0], c[0], d[0]]), output2([a[1], b[1], c[1], d[1]])]
    }

    fn kernel([a, b, c]: [f64; 3]) -> [f64; 4] {
        [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
    }

    fn sums([a, b, c, d]: [f64; 4]) -> [f64; 3] {
        [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d]
    }
}

#[inline(always)]
fn input4<V: Eights>(d: [V; 6]) -> [V; 6] {
    let (square, sum, place) = (V::splat(SQUARE), V::splat(-1.0 - SQUARE), V::splat(PLACE));
    let (even, odd) = (d[2].mul_add(-square, d[4]), d[1].mul_add(-square, d[3]));
    let (far, near) = (d[4] - d[2], (d[3] - d[1]) * place);
    [
        d[0].mul_add(square, d[2].mul_add(sum, d[4])),
        even + odd,
        even - odd,
        far + near,
        far - near,
        d[1].mul_add(square, d[3].mul_add(sum, d[5])),
    ]
}

#[inline(always)]
fn gradient4<V: Eights>([a, b, c, d]: [V; 4]) -> [V; 6] {
    let (place, square) = (V::splat(PLACE), V::splat(SQUARE));
    let (even, odd) = (a + c, b + d);
    let (far, near) = (c.mul_add(square, a), d.mul_add(square, b) * place);
    [a, even + odd, even - odd, far + near, far - near, d]
}

#[inline(always)]
fn output4<V: Eights>(m: [V; 6]) -> [V; 4] {
    let (place, square, cube) = (V::splat(PLACE), V::splat(SQUARE), V::splat(SQUARE * PLACE));
    let (even, odd, far, near) = (m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]);
    [m[0] + even + far, near.mul_add(place, odd), far.mul_add(square, even), near.mul_add(cube, odd) + m[5]]
}

/// What the values at the places are divided by: `x (x - y) ..` over the other places y.
fn divisors() -> (f64, f64, f64, f64) {
    let (place, square) = (f64::from(PLACE), f64::from(SQUARE));
    (place, square, 2.0 * (1.0 - square), 2.0 * square * (square - 1.0))
}

impl Filter<4, 6, 36> for Four {
    #[inline(always)]
    fn input<V: Eights>(d: [[V; 6]; 6], mut to: Apart<&mut [Vector]>) {
        let [a, b, c] = [input4(d[0]), input4(d[1]), input4(d[2])];
        let [d, e, f] = [input4(d[3]), input4(d[4]), input4(d[5])];
        to.put(input4([a[0], b[0], c[0], d[0], e[0], f[0]]));
        to.put(input4([a[1], b[1], c[1], d[1], e[1], f[1]]));
        to.put(input4([a[2], b[2], c[2], d[2], e[2], f[2]]));
        to.put(input4([a[3], b[3], c[3], d[3], e[3], f[3]]));
        to.put(input4([a[4], b[4], c[4], d[4], e[4], f[4]]));
        to.put(input4([a[5], b[5], c[5], d[5], e[5], f[5]]));
    }

    #[inline(always)]
    fn gradient<V: Eights>(g: [[V; 4]; 4], mut to: Apart<&mut [Vector]>) {
        let [a, b, c, d] = [gradient4(g[0]), gradient4(g[1]), gradient4(g[2]), gradient4(g[3])];
        to.put(gradient4([a[0], b[0], c[0], d[0]]));
        to.put(gradient4([a[1], b[1], c[1], d[1]]));
        to.put(gradient4([a[2], b[2], c[2], d[2]]));
        to.put(gradient4([a[3], b[3], c[3], d[3]]));
        to.put(gradient4([a[4], b[4], c[4], d[4]]));
        to.put(gradient4([a[5], b[5], c[5], d[5]]));
    }

    #[inline(always)]
    fn output<V: Eights>(mut m: Apart<&[Vector]>) -> [[V; 4]; 4] {
        let [a, b, c] = [output4(m.column()), output4(m.column()), output4(m.column())];
        let [d, e, f] = [output4(m.column()), output4(m.column()), output4(m.column())];
        [
            output4([a[0], b[0], c[0], d[0], e[0], f[0]]),
            output4([a[1], b[1], c[1], d[1], e[1], f[1]]),
            output4([a[2], b[2], c[2], d[2], e[2], f[2]]),
            output4([a[3], b[3], c[3], d[3], e[3], f[3]]),
        ]
    }

    fn kernel(w: [f64; 3]) -> [f64; 6] {
        let (a, square, one, place) = divisors();
        let at = |x: f64, divisor: f64| (w[0] + w[1] * x + w[2] * x * x) / divisor;
        [at(0.0, square), at(1.0, one), at(-1.0, one), at(a, place), at(-a, place), w[2]]
    }

    fn sums(s: [f64; 6]) -> [f64; 3] {
        let (a, square, one, place) = divisors();
        let (even, odd) = ((s[1] + s[2]) / one, (s[1] - s[2]) / one);
        let (far, near) = ((s[3] + s[4]) / place, (s[3] - s[4]) / place);
        [s[0] / square + even + far, odd + a * near, even + square * far + s[5]]
    }
}
