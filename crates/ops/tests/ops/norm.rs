use crate::support::{Array, check, message, values};
use l0_ops::{After, portable};

const EPS: f64 = 1e-5;

/// Mean and variance of a channel from its numbers.
type Statistics<'a> = dyn Fn(usize, &[f64]) -> (f64, f64) + 'a;

/// All channels normalised with `statistics(numbers of a channel)`, then added to the fourth input if there is one.
fn naive(xs: &[Vec<f64>], dims: &[usize], relu: bool, statistics: &Statistics) -> Vec<f64> {
    let (c, plane) = (dims[1], dims[2..].iter().product::<usize>());
    let channel = |at: usize| at / plane % c;
    let mut ys = vec![0.0; xs[0].len()];
    for k in 0..c {
        let numbers: Vec<f64> = (0..ys.len()).filter(|&at| channel(at) == k).map(|at| xs[0][at]).collect();
        let (mean, var) = statistics(k, &numbers);
        for at in (0..ys.len()).filter(|&at| channel(at) == k) {
            let plus = xs.get(3).map_or(0.0, |plus| plus[at]);
            let y = (xs[0][at] - mean) / (var + EPS).sqrt() * xs[1][k] + xs[2][k] + plus;
            ys[at] = if relu { y.max(0.0) } else { y };
        }
    }
    ys
}

fn moments(numbers: &[f64]) -> (f64, f64) {
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    (mean, numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / numbers.len() as f64)
}

fn inputs(dims: &[usize], plus: bool) -> Vec<Array> {
    let vectors = ["scale", "shift"].map(|name| Array::normal(name, &dims[1..2]));
    let added = plus.then(|| Array::normal("plus", dims));
    [Array::normal("xs", dims)].into_iter().chain(vectors).chain(added).collect()
}

fn case(dims: &[usize], plus: bool, relu: bool) {
    check(
        &format!("batch_norm_train {dims:?} plus {plus} relu {relu}"),
        &inputs(dims, plus),
        &|t| Ok(l0_ops::batch_norm_train(&t[0], &t[1], &t[2], EPS, After { plus: t.get(3), relu })?.ys),
        &|t| Ok(portable::batch_norm_train(&t[0], &t[1], &t[2], EPS, After { plus: t.get(3), relu })?.ys),
        &|xs| naive(xs, dims, relu, &|_, numbers| moments(numbers)),
    );
    let mean = Array::normal("mean", &dims[1..2]);
    let var = Array { data: mean.data.iter().map(|m| m * m + 0.1).collect(), ..mean.clone() };
    let (m, v) = (mean.tensor(), var.tensor());
    check(
        &format!("batch_norm {dims:?} plus {plus} relu {relu}"),
        &inputs(dims, plus),
        &|t| l0_ops::batch_norm(&t[0], &t[1], &t[2], &m, &v, EPS, After { plus: t.get(3), relu }),
        &|t| portable::batch_norm(&t[0], &t[1], &t[2], &m, &v, EPS, After { plus: t.get(3), relu }),
        &|xs| naive(xs, dims, relu, &|k, _| (f64::from(mean.data[k]), f64::from(var.data[k]))),
    );
}

#[test]
fn batch_norm() {
    for (plus, relu) in [(false, false), (false, true), (true, false), (true, true)] {
        case(&[5, 3], plus, relu);
        case(&[3, 1, 2, 5], plus, relu);
        case(&[4, 33, 5, 3], plus, relu);
        case(&[7, 16, 9, 8], plus, relu);
        case(&[64, 5, 16, 16], plus, relu);
    }
}

#[test]
fn statistics_are_those_of_the_batch() {
    let dims = [6, 3, 4, 5];
    // Far from zero, where sums of squares would lose the variance.
    let mut far = Array::normal("xs", &dims);
    far.data.iter_mut().for_each(|x| *x += 1000.0);
    let ones = Array { dims: vec![3], data: vec![1.0; 3] }.tensor();
    let normed = l0_ops::batch_norm_train(&far.tensor(), &ones, &ones, EPS, After::NONE).unwrap();
    for k in 0..3 {
        let in_channel = |at: &usize| at / 20 % 3 == k;
        let numbers: Vec<f64> = (0..360).filter(in_channel).map(|at| f64::from(far.data[at])).collect();
        let (mean, var) = moments(&numbers);
        assert!((f64::from(values(&normed.mean)[k]) - mean).abs() < 1e-3);
        assert!((f64::from(values(&normed.var)[k]) / var - 1.0).abs() < 1e-5);
    }
    assert!(!normed.mean.track_op() && !normed.var.track_op());
}

#[test]
fn errors_name_both_shapes() {
    let t = |dims: &[usize]| Array::normal("x", dims).tensor();
    let text = message(l0_ops::batch_norm_train(&t(&[2, 3]), &t(&[4]), &t(&[3]), EPS, After::NONE));
    assert!(text.contains("scale has shape [4], expected [3]"), "{text}");
    let text = message(l0_ops::batch_norm_train(&t(&[2, 3, 4]), &t(&[3]), &t(&[3]), EPS, After::NONE));
    assert!(text.contains("expected rank [2, 4]"), "{text}");
    let text = message(l0_ops::batch_norm_train(&t(&[0, 3]), &t(&[3]), &t(&[3]), EPS, After::NONE));
    assert!(text.contains("at least one number"), "{text}");
    let after = After { plus: Some(&t(&[2, 1])), relu: true };
    let text = message(l0_ops::batch_norm_train(&t(&[2, 3]), &t(&[3]), &t(&[3]), EPS, after));
    assert!(text.contains("plus has shape [2, 1], expected [2, 3]"), "{text}");
}
