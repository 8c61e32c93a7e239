//! Pooling by windows.

use l0_ops::{Window, avg_pool, global_max_pool, max_pool, portable};

use crate::support::{Array, check, message, run, values};

fn window(size: (usize, usize), stride: (usize, usize), padding: [usize; 4], ceil: bool) -> Window {
    Window { size, stride, padding, ceil }
}

fn cases() -> Vec<([usize; 4], Window)> {
    vec![
        ([1, 1, 1, 1], window((1, 1), (1, 1), [0; 4], false)),
        ([2, 3, 7, 6], window((3, 3), (2, 2), [1; 4], false)),
        ([2, 3, 8, 7], window((3, 3), (2, 2), [1; 4], true)),
        ([2, 2, 5, 9], window((3, 2), (1, 2), [1, 0, 2, 1], false)),
        ([3, 2, 6, 5], window((2, 3), (3, 2), [0, 1, 1, 2], true)),
        ([2, 1, 4, 5], window((3, 5), (1, 1), [2, 4, 2, 4], false)),
        ([2, 2, 7, 7], window((7, 7), (1, 1), [0; 4], false)),
        ([2, 2, 3, 8], window((4, 2), (2, 2), [0; 4], true)), // higher than the image
        ([2, 3, 6, 4], window((2, 2), (2, 2), [0; 4], false)),
        ([2, 3, 7, 5], window((2, 2), (2, 2), [0; 4], true)),
        ([40, 12, 15, 16], window((3, 3), (2, 2), [0, 0, 1, 1], false)),
        ([2, 3, 8, 8], window((2, 2), (1 << 20, 1 << 20), [0; 4], false)), // far beyond the image
        ([2, 2, 5, 6], window((3, 4), (1 << 40, 2), [1, 2, 0, 1], true)),
    ]
}

/// `f` of the numbers of each window, with how many it has within image and padding.
fn naive(xs: &[f64], dims: [usize; 4], window: &Window, f: impl Fn(&[f64], usize) -> f64) -> Vec<f64> {
    let ([_, _, h, w], [top, left, bottom, right]) = (dims, window.padding);
    let (oh, ow) = window.output(h, w).unwrap();
    let mut ys = Vec::new();
    for plane in xs.chunks(h * w) {
        for at in 0..oh * ow {
            let (y, x) = (at / ow * window.stride.0, at % ow * window.stride.1);
            let cells = (0..window.size.0 * window.size.1).map(|i| (y + i / window.size.1, x + i % window.size.1));
            let padded = cells.filter(|&(y, x)| y < top + h + bottom && x < left + w + right);
            let inside = |&(y, x): &(usize, usize)| (top..top + h).contains(&y) && (left..left + w).contains(&x);
            let numbers: Vec<f64> =
                padded.clone().filter(inside).map(|(y, x)| plane[(y - top) * w + x - left]).collect();
            ys.push(f(&numbers, padded.count()));
        }
    }
    ys
}

#[test]
fn the_largest_of_windows() {
    for (dims, window) in cases() {
        check(
            &format!("max_pool {dims:?} {window:?}"),
            &[Array::normal("xs", &dims)],
            &|t| max_pool(&t[0], &window),
            &|t| portable::max_pool(&t[0], &window),
            &|xs| naive(&xs[0], dims, &window, |xs, _| xs.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        );
    }
}

#[test]
fn the_mean_of_windows() {
    for (dims, window) in cases() {
        for with_padding in [false, true] {
            check(
                &format!("avg_pool {dims:?} {window:?} {with_padding}"),
                &[Array::normal("xs", &dims)],
                &|t| avg_pool(&t[0], &window, with_padding),
                &|t| portable::avg_pool(&t[0], &window, with_padding),
                &|xs| {
                    naive(&xs[0], dims, &window, |xs, padded| {
                        xs.iter().sum::<f64>() / if with_padding { padded } else { xs.len() } as f64
                    })
                },
            );
        }
    }
}

#[test]
fn the_largest_of_all() {
    for dims in [[1, 1, 1, 1], [3, 2, 5, 4], [20, 33, 8, 9]] {
        check(
            &format!("global_max_pool {dims:?}"),
            &[Array::normal("xs", &dims)],
            &|t| global_max_pool(&t[0]),
            &|t| portable::global_max_pool(&t[0]),
            &|xs| {
                xs[0].chunks(dims[2] * dims[3]).map(|p| p.iter().copied().fold(f64::NEG_INFINITY, f64::max)).collect()
            },
        );
    }
}

#[test]
fn a_gradient_goes_to_the_first_of_equals_and_not_a_number_is_seen() {
    let ones = Array { dims: vec![1, 1, 3, 3], data: vec![1.0; 9] };
    let three = window((3, 3), (2, 2), [1; 4], false);
    let weights = Array::normal("weights", &[1, 1, 2, 2]).data;
    let (_, grads) = run(std::slice::from_ref(&ones), &[true], &|t| max_pool(&t[0], &three));
    let mut expected = [0.0; 9];
    for (at, weight) in [0, 1, 3, 4].into_iter().zip(weights) {
        expected[at] = weight;
    }
    assert_eq!(grads[0].as_deref().unwrap(), expected);
    let (_, grads) = run(std::slice::from_ref(&ones), &[true], &|t| global_max_pool(&t[0]));
    assert!(grads[0].as_deref().unwrap()[1..] == [0.0; 8]);
    let holed = Array { data: [vec![1.0; 8], vec![f32::NAN]].concat(), ..ones }.tensor();
    let nan = |t: candle_core::Result<candle_core::Tensor>| {
        values(&t.unwrap()).iter().map(|x| x.is_nan()).collect::<Vec<_>>()
    };
    assert_eq!(nan(max_pool(&holed, &three)), [false, false, false, true]);
    assert_eq!(nan(global_max_pool(&holed)), [true]);
}

/// What PyTorch's `max_pool2d` gives (2.15), by `(h, size, stride, padding, ceil)`.
#[test]
fn how_many_windows_there_are() {
    let rows = |h: usize, size: usize, stride: usize, padding: usize, ceil: bool| {
        let window = window((size, 1), (stride, 1), [padding, 0, padding, 0], ceil);
        window.output(h, 1).map(|(oh, _)| oh)
    };
    assert_eq!([rows(7, 3, 2, 0, false), rows(7, 3, 2, 0, true), rows(8, 3, 2, 0, true)], [Some(3), Some(3), Some(4)]);
    assert_eq!([rows(5, 2, 2, 1, true), rows(6, 2, 2, 1, true), rows(4, 1, 3, 0, true)], [Some(3), Some(4), Some(2)]);
    assert_eq!([rows(2, 3, 2, 0, true), rows(2, 4, 2, 0, true), rows(2, 3, 2, 0, false)], [Some(1), None, None]);
    assert_eq!([rows(4, 2, 0, 0, true), rows(4, 2, 1, 2, true), rows(0, 1, 1, 0, true)], [None; 3]);
    assert_eq!(window((2, 2), (1, 1), [0, 0, usize::MAX, 0], true).output(4, 4), None);
}

#[test]
fn errors_name_what_was_found() {
    let xs = Array::normal("x", &[1, 1, 4, 5]).tensor();
    let text = message(max_pool(&xs, &Window::side_by_side((5, 2))));
    assert!(text.contains("max_pool: found windows of (5, 2)") && text.contains("image of 4x5"), "{text}");
    let text = message(avg_pool(&xs, &window((2, 2), (1, 1), [2, 0, 0, 0], false), true));
    assert!(text.contains("padding [2, 0, 0, 0]") && text.contains("less padding than a window"), "{text}");
    let text = message(global_max_pool(&Array::normal("x", &[1, 2, 0, 3]).tensor()));
    assert!(text.contains("global_max_pool: xs has shape [1, 2, 0, 3]"), "{text}");
}
