//! The transforms of minimal filtering, F(4x4, 3x3): 36 multiplications for 16 outputs in place of 144.
//!
//! A tile Y of 4x4 outputs sees a tile d of 6x6 inputs. With w the kernel, `*` number by number and `'` transposed,
//! `Y = A' [(G w G') * (B' d B)] A` (Winograd 1980; Lavin and Gray 2015, arXiv 1509.09308). The matrices evaluate
//! polynomials at 0, 1, -1, `PLACE`, `-PLACE` and infinity, multiply them there, and interpolate.

use l0_lanes::Eights;

/// Outputs of a tile along a side.
pub(crate) const OUT: usize = 4;
/// Inputs that it sees.
pub(crate) const IN: usize = 6;
/// Numbers of a transformed tile or kernel.
pub(crate) const POINTS: usize = IN * IN;

/// Where polynomials are evaluated beside 0 and 1: of the values tried the one with the least error.
const PLACE: f32 = 0.65;
const SQUARE: f32 = PLACE * PLACE;

/// `B' d` for one column.
#[inline(always)]
fn input<V: Eights>(d: [V; IN]) -> [V; IN] {
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

/// `A' m` for one column.
#[inline(always)]
fn output<V: Eights>(m: [V; IN]) -> [V; OUT] {
    let (place, square, cube) = (V::splat(PLACE), V::splat(SQUARE), V::splat(SQUARE * PLACE));
    let (even, odd, far, near) = (m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]);
    [m[0] + even + far, near.mul_add(place, odd), far.mul_add(square, even), near.mul_add(cube, odd) + m[5]]
}

/// `G w` for one column.
fn kernel(w: [f64; 3]) -> [f64; IN] {
    let (a, b) = (f64::from(PLACE), f64::from(SQUARE));
    let at = |x: f64, factor: f64| (w[0] + w[1] * x + w[2] * x * x) / factor;
    let (one, place) = (2.0 * (1.0 - b), 2.0 * b * (b - 1.0));
    [at(0.0, b), at(1.0, one), at(-1.0, one), at(a, place), at(-a, place), w[2]]
}

/// `G w G'`.
pub(crate) fn transform_kernel(w: &[f32; 9]) -> [f32; POINTS] {
    let columns: [[f64; IN]; 3] = std::array::from_fn(|x| kernel(std::array::from_fn(|y| f64::from(w[3 * y + x]))));
    let rows: [[f64; IN]; IN] = std::array::from_fn(|y| kernel(columns.map(|column| column[y])));
    std::array::from_fn(|point| rows[point / IN][point % IN] as f32)
}

/// The columns of `B' d B` from the rows of d. Written out, since loops over arrays of vectors go through memory.
#[inline(always)]
pub(crate) fn transform_input<V: Eights>(d: [[V; IN]; IN]) -> [[V; IN]; IN] {
    let [a, b, c, d, e, f] = [input(d[0]), input(d[1]), input(d[2]), input(d[3]), input(d[4]), input(d[5])];
    [
        input([a[0], b[0], c[0], d[0], e[0], f[0]]),
        input([a[1], b[1], c[1], d[1], e[1], f[1]]),
        input([a[2], b[2], c[2], d[2], e[2], f[2]]),
        input([a[3], b[3], c[3], d[3], e[3], f[3]]),
        input([a[4], b[4], c[4], d[4], e[4], f[4]]),
        input([a[5], b[5], c[5], d[5], e[5], f[5]]),
    ]
}

/// The rows of `A' m A` from those of m.
#[inline(always)]
pub(crate) fn transform_output<V: Eights>(m: [[V; IN]; IN]) -> [[V; OUT]; OUT] {
    let [a, b, c, d, e, f] = [output(m[0]), output(m[1]), output(m[2]), output(m[3]), output(m[4]), output(m[5])];
    let [a, b, c, d] = [
        output([a[0], b[0], c[0], d[0], e[0], f[0]]),
        output([a[1], b[1], c[1], d[1], e[1], f[1]]),
        output([a[2], b[2], c[2], d[2], e[2], f[2]]),
        output([a[3], b[3], c[3], d[3], e[3], f[3]]),
    ];
    [[a[0], b[0], c[0], d[0]], [a[1], b[1], c[1], d[1]], [a[2], b[2], c[2], d[2]], [a[3], b[3], c[3], d[3]]]
}
