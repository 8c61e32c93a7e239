//! Images made larger or smaller, and units side by side.

use candle_core::{Result, Tensor, Var};
use l0_ops::portable;

use crate::support::{Array, check, message, values};

type Dims = [usize; 4];

/// `f(plane, y, x)` for every number of images of (h, w) made of images of `dims`.
fn planes(
    xs: &[f64],
    dims: Dims,
    (h, w): (usize, usize),
    f: impl Fn(&dyn Fn(usize, usize) -> f64, usize, usize) -> f64,
) -> Vec<f64> {
    let mut ys = Vec::new();
    for plane in xs.chunks(dims[2] * dims[3]) {
        let at = |y: usize, x: usize| plane[y * dims[3] + x];
        ys.extend((0..h * w).map(|i| f(&at, i / w, i % w)));
    }
    ys
}

#[test]
fn pad() {
    for (dims, sides) in [([1, 1, 1, 1], [0, 0, 0, 2]), ([2, 3, 4, 5], [1, 2, 3, 0]), ([40, 9, 7, 6], [2, 1, 0, 3])] {
        let [top, left, bottom, right] = sides;
        let size = (top + dims[2] + bottom, left + dims[3] + right);
        check(
            &format!("pad {dims:?} {sides:?}"),
            &[Array::normal("xs", &dims)],
            &|t| l0_ops::pad(&t[0], sides),
            &|t| portable::pad(&t[0], sides),
            &|xs| {
                planes(&xs[0], dims, size, |at, y, x| {
                    let inside = (top..top + dims[2]).contains(&y) && (left..left + dims[3]).contains(&x);
                    if inside { at(y - top, x - left) } else { 0.0 }
                })
            },
        );
    }
}

#[test]
fn stride() {
    type Pair = (usize, usize);
    let cases: [(Dims, Pair, Pair); 5] = [
        ([1, 1, 1, 1], (0, 0), (1, 3)),
        ([2, 3, 5, 4], (0, 0), (2, 2)),
        ([3, 2, 7, 6], (1, 0), (2, 3)),
        ([2, 2, 4, 9], (3, 2), (5, 1)),
        ([40, 16, 8, 8], (0, 1), (2, 2)),
    ];
    for (dims, start, step) in cases {
        let size = ((dims[2] - start.0).div_ceil(step.0), (dims[3] - start.1).div_ceil(step.1));
        check(
            &format!("stride {dims:?} {start:?} {step:?}"),
            &[Array::normal("xs", &dims)],
            &|t| l0_ops::stride(&t[0], start, step),
            &|t| portable::stride(&t[0], start, step),
            &|xs| planes(&xs[0], dims, size, |at, y, x| at(start.0 + step.0 * y, start.1 + step.1 * x)),
        );
    }
}

const FACTORS: [(Dims, (usize, usize)); 5] = [
    ([1, 1, 1, 1], (2, 3)),
    ([2, 3, 4, 5], (2, 2)),
    ([2, 1, 3, 2], (3, 1)),
    ([1, 2, 1, 4], (4, 5)),
    ([20, 6, 9, 7], (2, 3)),
];

#[test]
fn upsample_nearest() {
    for (dims, factor) in FACTORS {
        let size = (dims[2] * factor.0, dims[3] * factor.1);
        check(
            &format!("upsample_nearest {dims:?} {factor:?}"),
            &[Array::normal("xs", &dims)],
            &|t| l0_ops::upsample_nearest(&t[0], factor),
            &|t| portable::upsample_nearest(&t[0], factor),
            &|xs| planes(&xs[0], dims, size, |at, y, x| at(y / factor.0, x / factor.1)),
        );
    }
}

/// The place in a side of n numbers of number y of a side that is `factor` times as long.
fn place(y: usize, n: usize, factor: usize, align_corners: bool) -> f64 {
    match (align_corners, n * factor) {
        (true, 1) => 0.0,
        (true, long) => y as f64 * (n as f64 - 1.0) / (long as f64 - 1.0),
        (false, _) => ((y as f64 + 0.5) / factor as f64 - 0.5).max(0.0).min(n as f64 - 1.0),
    }
}

#[test]
fn upsample_bilinear() {
    for (dims, factor) in FACTORS {
        for align_corners in [false, true] {
            let size = (dims[2] * factor.0, dims[3] * factor.1);
            // The share of number `i` at a place: 1 there, 0 from a number away on.
            let share = |place: f64, i: usize| (1.0 - (place - i as f64).abs()).max(0.0);
            check(
                &format!("upsample_bilinear {dims:?} {factor:?} {align_corners}"),
                &[Array::normal("xs", &dims)],
                &|t| l0_ops::upsample_bilinear(&t[0], factor, align_corners),
                &|t| portable::upsample_bilinear(&t[0], factor, align_corners),
                &|xs| {
                    planes(&xs[0], dims, size, |at, y, x| {
                        let py = place(y, dims[2], factor.0, align_corners);
                        let px = place(x, dims[3], factor.1, align_corners);
                        let all = (0..dims[2] * dims[3]).map(|i| (i / dims[3], i % dims[3]));
                        all.map(|(i, j)| share(py, i) * share(px, j) * at(i, j)).sum()
                    })
                },
            );
        }
    }
}

/// The units of parts with so many units each, `inner` numbers long.
fn side_by_side(parts: &[Vec<f64>], units: &[usize], examples: usize, inner: usize) -> Vec<f64> {
    let of = |n: usize| parts.iter().zip(units).flat_map(move |(part, u)| part[n * u * inner..][..u * inner].to_vec());
    (0..examples).flat_map(of).collect()
}

#[test]
fn concat() {
    for (b, units, inner) in [
        (1, vec![2], vec![]),
        (3, vec![2, 1], vec![]),
        (2, vec![1, 2, 3, 4, 5, 6, 7], vec![3, 2]),
        (20, vec![4, 1, 9], vec![8, 5]),
    ] {
        let dims = |u: usize| [vec![b, u], inner.clone()].concat();
        let parts: Vec<Array> = units.iter().map(|&u| Array::normal(&format!("xs {u}"), &dims(u))).collect();
        check(
            &format!("concat {b} {units:?} {inner:?}"),
            &parts,
            &|t| l0_ops::concat(&t.iter().collect::<Vec<_>>()),
            &|t| portable::concat(&t.iter().collect::<Vec<_>>()),
            &|xs| side_by_side(xs, &units, b, inner.iter().product()),
        );
    }
}

#[test]
fn one_tensor_may_be_many_parts_and_gradients_add_up() {
    let xs = Var::from_tensor(&Array::normal("xs", &[2, 3]).tensor()).unwrap();
    let five = |t: &Tensor| -> Result<Tensor> {
        let ys = l0_ops::relu(t)?;
        l0_ops::concat(&[t, &ys, t, &ys, &t.detach()])?.sum_all()
    };
    let grads = l0_ops::backward(&five(&xs).unwrap()).unwrap();
    let expected: Vec<f32> = values(&xs).iter().map(|&x| if x > 0.0 { 4.0 } else { 2.0 }).collect();
    assert_eq!(values(&grads.get(&xs).unwrap().unwrap()), expected);
}

#[test]
fn errors_name_what_was_found() {
    let image = |dims: &[usize]| Array::normal("x", dims).tensor();
    let xs = image(&[2, 3, 4, 5]);
    let cases = [
        (l0_ops::pad(&image(&[2, 3]), [1; 4]), "pad: xs has shape [2, 3], expected rank [4]"),
        (l0_ops::pad(&xs, [usize::MAX, 0, 0, 0]), "pad: the result is larger than any memory"),
        (l0_ops::pad(&xs, [0, 1 << 60, 0, 0]), "pad: the result is larger than any memory"),
        (
            l0_ops::stride(&xs, (4, 0), (1, 1)),
            "stride: found start (4, 0) and step (1, 1), expected a start in an image of 4x5",
        ),
        (l0_ops::stride(&xs, (0, 0), (0, 1)), "steps of 1 or more"),
        (l0_ops::upsample_nearest(&xs, (0, 1)), "upsample_nearest: found factors (0, 1), expected 1 or more"),
        (l0_ops::upsample_bilinear(&xs, (1 << 62, 1), true), "upsample_bilinear: the result is larger than any memory"),
        (l0_ops::upsample_bilinear(&image(&[1, 2, 0, 3]), (2, 2), true), "images of at least one pixel"),
        (l0_ops::concat(&[]), "concat: found no tensor"),
        (
            l0_ops::concat(&[&xs, &image(&[2, 3, 5, 5])]),
            "concat: tensor 1 has shape [2, 3, 5, 5], expected [2, 3, 4, 5]",
        ),
        (l0_ops::concat(&[&xs, &image(&[2])]), "concat: tensor 1 has shape [2], expected [2, 3, 4, 5]"),
        (l0_ops::concat(&[&image(&[2])]), "concat: the first tensor has shape [2], expected units"),
    ];
    for (result, expected) in cases {
        let text = message(result);
        assert!(text.contains(expected), "{text}");
    }
}
