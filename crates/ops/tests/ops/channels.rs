//! Products, PReLU and softmax.

use l0_ops::portable;

use crate::support::{Array, check, message};

#[test]
fn mul_of_one_shape() {
    for dims in [vec![1], vec![3, 4], vec![2, 3, 4, 5], vec![30, 7, 9, 11]] {
        check(
            &format!("mul {dims:?}"),
            &[Array::normal("a", &dims), Array::normal("b", &dims)],
            &|t| l0_ops::mul(&t[0], &t[1]),
            &|t| portable::mul(&t[0], &t[1]),
            &|xs| xs[0].iter().zip(&xs[1]).map(|(a, b)| a * b).collect(),
        );
    }
}

#[test]
fn mul_by_a_number_for_each_plane() {
    for (dims, gate) in [
        ([1, 1, 1, 2], vec![1, 1]),
        ([2, 3, 4, 5], vec![2, 3]),
        ([2, 3, 5, 4], vec![2, 3, 1, 1]),
        ([30, 7, 9, 11], vec![30, 7, 1, 1]),
    ] {
        check(
            &format!("mul {dims:?} {gate:?}"),
            &[Array::normal("a", &dims), Array::normal("b", &gate)],
            &|t| l0_ops::mul(&t[0], &t[1]),
            &|t| portable::mul(&t[0], &t[1]),
            &|xs| (0..xs[0].len()).map(|at| xs[0][at] * xs[1][at / (dims[2] * dims[3])]).collect(),
        );
    }
}

#[test]
fn prelu() {
    for dims in [vec![1, 1], vec![5, 3], vec![2, 3, 4, 5], vec![30, 7, 9, 11]] {
        let (units, plane) = (dims[1], dims[2..].iter().product::<usize>());
        check(
            &format!("prelu {dims:?}"),
            &[Array::normal("xs", &dims), Array::normal("slope", &[units])],
            &|t| l0_ops::prelu(&t[0], &t[1]),
            &|t| portable::prelu(&t[0], &t[1]),
            &|xs| {
                let slope = |at: usize| xs[1][at / plane % units];
                xs[0].iter().enumerate().map(|(at, &x)| if x > 0.0 { x } else { slope(at) * x }).collect()
            },
        );
    }
}

fn softmax_of(xs: &[f64], units: usize, plane: usize) -> Vec<f64> {
    let first = |at: usize| at / (units * plane) * units * plane + at % plane;
    let sum = |at: usize| (0..units).map(|unit| xs[first(at) + unit * plane].exp()).sum::<f64>();
    xs.iter().enumerate().map(|(at, x)| x.exp() / sum(at)).collect()
}

#[test]
fn softmax() {
    for dims in [vec![1, 1], vec![4, 10], vec![2, 3, 4, 5], vec![30, 7, 9, 11]] {
        check(
            &format!("softmax {dims:?}"),
            &[Array::normal("xs", &dims)],
            &|t| l0_ops::softmax(&t[0]),
            &|t| portable::softmax(&t[0]),
            &|xs| softmax_of(&xs[0], dims[1], dims[2..].iter().product()),
        );
    }
}

#[test]
fn softmax_of_large_numbers_stays_finite() {
    let xs = Array { dims: vec![1, 3], data: vec![1000.0, 999.0, -1000.0] };
    let ys = l0_ops::softmax(&xs.tensor()).unwrap().to_vec2::<f32>().unwrap().remove(0);
    assert!((ys[0] - 0.731_058_6).abs() < 1e-6 && (ys[0] + ys[1] - 1.0).abs() < 1e-6 && ys[2] == 0.0, "{ys:?}");
}

#[test]
fn errors_name_both_shapes() {
    let xs = |dims: &[usize]| Array::normal("x", dims).tensor();
    let cases = [
        (
            l0_ops::mul(&xs(&[2, 3, 4, 5]), &xs(&[2, 4])),
            "mul: b has shape [2, 4], expected [2, 3, 4, 5], [2, 3] or [2, 3, 1, 1]",
        ),
        (l0_ops::mul(&xs(&[2, 3]), &xs(&[2])), "mul: b has shape [2], expected [2, 3]"),
        (l0_ops::prelu(&xs(&[2, 3]), &xs(&[2])), "prelu: slope has shape [2], expected [3]"),
        (l0_ops::softmax(&xs(&[2])), "softmax: xs has shape [2], expected units in dimension 1"),
    ];
    for (result, expected) in cases {
        let text = message(result);
        assert!(text.contains(expected), "{text}");
    }
}
