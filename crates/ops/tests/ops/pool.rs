use crate::support::{Array, check, message, run};
use l0_ops::portable;

/// Largest values of windows side by side of one plane of width `w`.
pub(crate) fn max_pool(plane: &[f64], w: usize, size: usize) -> Vec<f64> {
    let (oh, ow) = (plane.len() / w / size, w / size);
    let value = |at: usize, i: usize| plane[(at / ow * size + i / size) * w + at % ow * size + i % size];
    (0..oh * ow).map(|at| (0..size * size).map(|i| value(at, i)).fold(f64::NEG_INFINITY, f64::max)).collect()
}

fn case(dims: [usize; 4], size: usize) {
    let (plane, w) = (dims[2] * dims[3], dims[3]);
    check(
        &format!("max_pool2d {dims:?} by {size}"),
        &[Array::normal("xs", &dims)],
        &|t| l0_ops::max_pool2d(&t[0], size),
        &|t| portable::max_pool2d(&t[0], size),
        &|xs| xs[0].chunks(plane).flat_map(|plane| max_pool(plane, w, size)).collect(),
    );
}

#[test]
fn max_pool2d() {
    case([1, 1, 2, 2], 2);
    case([2, 3, 5, 4], 2);
    case([3, 1, 7, 9], 3);
    case([2, 2, 3, 4], 1);
    case([40, 5, 24, 24], 2);
}

#[test]
fn a_gradient_goes_to_the_first_of_equals() {
    let ones = Array { dims: vec![1, 1, 2, 2], data: vec![1.0; 4] };
    let (_, grads) = run(&[ones], &[true], &|t| l0_ops::max_pool2d(&t[0], 2)?.sqr());
    let grad = grads[0].clone().unwrap();
    assert!(grad[0] != 0.0 && grad[1..] == [0.0; 3], "{grad:?}");
}

#[test]
fn global_avg_pool() {
    for dims in [[1, 1, 1, 1], [3, 2, 5, 4], [7, 33, 8, 8]] {
        let plane = dims[2] * dims[3];
        check(
            &format!("global_avg_pool {dims:?}"),
            &[Array::normal("xs", &dims)],
            &|t| l0_ops::global_avg_pool(&t[0]),
            &|t| portable::global_avg_pool(&t[0]),
            &|xs| xs[0].chunks(plane).map(|p| p.iter().sum::<f64>() / plane as f64).collect(),
        );
    }
}

#[test]
fn errors_name_both_shapes() {
    let text = message(l0_ops::max_pool2d(&Array::normal("x", &[1, 1, 3, 1]).tensor(), 2));
    assert!(text.contains("image of 3x1") && text.contains("side 2"), "{text}");
    let text = message(l0_ops::global_avg_pool(&Array::normal("x", &[3, 1]).tensor()));
    assert!(text.contains("[3, 1], expected rank [4]"), "{text}");
}
