use crate::support::{Array, check, message, run};
use candle_core::{Device, Tensor};
use l0_ops::{Selection, portable};
use l0_rng::{Purpose, Stream};

#[test]
fn relu() {
    for dims in [vec![1], vec![3, 5], vec![2, 3, 4, 5], vec![40, 1000]] {
        check(
            &format!("relu {dims:?}"),
            &[Array::normal("xs", &dims)],
            &|t| l0_ops::relu(&t[0]),
            &|t| portable::relu(&t[0]),
            &|xs| xs[0].iter().map(|x| x.max(0.0)).collect(),
        );
    }
}

#[test]
fn relu_at_zero_has_no_gradient_and_keeps_not_a_number() {
    let xs = Array { dims: vec![3], data: vec![0.0, -0.0, f32::NAN] };
    let (ys, grads) = run(&[xs], &[true], &|t| l0_ops::relu(&t[0]));
    assert!(ys[2].is_nan());
    assert_eq!(grads[0].as_deref().unwrap()[..2], [0.0, 0.0]);
}

#[test]
fn what_is_left_out_is_zero_even_where_it_is_infinite() {
    let xs = Array { dims: vec![3], data: vec![f32::NEG_INFINITY, f32::NAN, f32::INFINITY] };
    for relu in [l0_ops::relu, portable::relu] {
        let ys = relu(&xs.tensor()).unwrap().to_vec1::<f32>().unwrap();
        assert!(ys[0] == 0.0 && ys[1].is_nan() && ys[2] == f32::INFINITY, "{ys:?}");
    }
    let noise = Tensor::new(&[0.1f32, 0.1, 0.9], &candle_core::Device::Cpu).unwrap();
    for dropout in [l0_ops::dropout, portable::dropout] {
        let ys = dropout(&xs.tensor(), &noise, 0.5).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(ys, [0.0, 0.0, f32::INFINITY]);
    }
}

/// What is refused in `f32` on the CPU is refused elsewhere, in the same words.
#[test]
fn portable_operations_refuse_what_the_kernels_refuse() {
    let one = |dims: &[usize]| Array::normal("xs", dims).tensor();
    let (image, kernel, row) = (one(&[1, 1, 3, 3]), one(&[1, 1, 2, 2]), one(&[3]));
    let all = Selection::all(3);
    let (logits, weight, two) = (one(&[2, 3]), one(&[4, 3]), one(&[2]));
    let labels = |labels: &[u32]| Tensor::new(labels, &Device::Cpu).unwrap();
    let (none, unknown) = (labels(&[]), labels(&[0, u32::MAX]));
    let pairs = [
        (l0_ops::max_pool2d(&image, 0), portable::max_pool2d(&image, 0)),
        (l0_ops::conv2d(&image, &kernel, None, 0, 0), portable::conv2d(&image, &kernel, None, 0, 0)),
        (l0_ops::dropout(&row, &row, 1.5), portable::dropout(&row, &row, 1.5)),
        (
            l0_ops::batch_norm(&row, &row, &row, &row, &row, 1e-5, l0_ops::After::NONE),
            portable::batch_norm(&row, &row, &row, &row, &row, 1e-5, l0_ops::After::NONE),
        ),
        (
            l0_ops::batch_norm_train(&row, &row, &row, 1e-5, l0_ops::After::NONE).map(|normed| normed.ys),
            portable::batch_norm_train(&row, &row, &row, 1e-5, l0_ops::After::NONE).map(|normed| normed.ys),
        ),
        (l0_ops::linear(&logits, &weight, Some(&two)), portable::linear(&logits, &weight, Some(&two))),
        (l0_ops::cross_entropy(&one(&[0, 3]), &none), portable::cross_entropy(&one(&[0, 3]), &none)),
        (l0_ops::cross_entropy(&logits, &unknown), portable::cross_entropy(&logits, &unknown)),
        (l0_ops::select_vector(&two, &all, None), portable::select_vector(&two, &all, None)),
        (l0_ops::select(&row, &all, &all, None, Some(&row)), portable::select(&row, &all, &all, None, Some(&row))),
    ];
    let said = |result| message(result).lines().next().unwrap().to_string(); // a trace of calls may follow
    for (ours, portable) in pairs {
        assert_eq!(said(ours), said(portable));
    }
}

#[test]
fn dropout() {
    let noise = Stream::new(1, Purpose::Dropout, 0, 0, "noise").uniforms(60_000);
    let tensor = Tensor::new(noise.as_slice(), &candle_core::Device::Cpu).unwrap();
    for p in [0.0, 0.3, 0.9] {
        check(
            &format!("dropout {p}"),
            &[Array::normal("xs", &[60_000])],
            &|t| l0_ops::dropout(&t[0], &tensor, p),
            &|t| portable::dropout(&t[0], &tensor, p),
            &|xs| {
                let kept = |&u: &f32| if u >= p { 1.0 / (1.0 - f64::from(p)) } else { 0.0 };
                xs[0].iter().zip(&noise).map(|(x, u)| x * kept(u)).collect()
            },
        );
    }
    let text = message(l0_ops::dropout(&tensor, &tensor, 1.0));
    assert!(text.contains("p is 1, expected 0 <= p < 1"), "{text}");
}

#[test]
fn take() {
    let open = [true, false, true, true, false];
    let selection = Selection::of(&open);
    for (dims, dim) in [(vec![5], 0), (vec![5, 3], 0), (vec![4, 5], 1), (vec![2, 5, 3, 2], 1)] {
        let inner: usize = dims[dim + 1..].iter().product();
        check(
            &format!("take {dims:?} dim {dim}"),
            &[Array::normal("xs", &dims)],
            &|t| l0_ops::take(&t[0], dim, &selection),
            &|t| portable::take(&t[0], dim, &selection),
            &|xs| (0..xs[0].len()).filter(|at| open[at / inner % 5]).map(|at| xs[0][at]).collect(),
        );
    }
    let text = message(l0_ops::take(&Array::normal("x", &[2, 4]).tensor(), 1, &selection));
    assert!(text.contains("[2, 4], expected 5 units in dimension 1"), "{text}");
}

#[test]
fn no_unit_is_taken() {
    let none = Selection::of(&[false; 5]);
    let (ys, grads) = run(&[Array::normal("x", &[2, 5])], &[true], &|t| l0_ops::take(&t[0], 1, &none));
    assert!(ys.is_empty());
    assert_eq!(grads[0].as_deref().unwrap(), [0.0; 10]);
}

#[test]
fn operands_that_are_not_contiguous() {
    let xs = Array::normal("x", &[4, 6]);
    check(
        "linear of transposed operands",
        &[xs, Array::normal("w", &[4, 3])],
        &|t| l0_ops::linear_relu(&t[0].t()?, &t[1].t()?, None)?.t(),
        &|t| portable::linear_relu(&t[0].t()?, &t[1].t()?, None)?.t(),
        &|v| {
            let y = |o: usize, n: usize| (0..4).map(|k| v[0][k * 6 + n] * v[1][k * 3 + o]).sum::<f64>();
            (0..18).map(|at| y(at / 6, at % 6).max(0.0)).collect()
        },
    );
}
