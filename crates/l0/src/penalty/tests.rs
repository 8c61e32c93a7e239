use candle_core::{DType, Device};

use super::*;
use crate::HardConcrete;
use crate::testing::{close, gradient, message, normal, numeric_gradient, row, scalar, var};

fn gate(log_alpha: &Tensor) -> Gate {
    Gate::new(log_alpha.clone(), HardConcrete::default()).unwrap()
}

fn penalty(lambda: f64, weight_decay: f64, l2: L2) -> Penalty {
    Penalty::per_weight(lambda, 1).unwrap().with_weight_decay(weight_decay).unwrap().with_l2(l2)
}

/// The objective written once more, number by number, in `f64`.
fn by_hand(p: &Penalty, log_alpha: &[f64], size: usize, norms: &[f64]) -> f64 {
    let gates = log_alpha.iter().map(|&a| HardConcrete::default().prob_open_at(a));
    gates
        .zip(norms)
        .map(|(open, norm)| match p.l2 {
            L2::Attached => open * (p.price(1) * size as f64 + p.weight_decay / 2.0 * norm),
            L2::Detached => open * p.price(1) * size as f64 + p.weight_decay / 2.0 * norm,
        })
        .sum()
}

/// Sum of squares of each slice along `dim`, by index arithmetic.
fn norms(xs: &Tensor, dim: usize) -> Vec<f64> {
    let (units, inner) = (xs.dims()[dim], xs.dims()[dim + 1..].iter().product::<usize>());
    let mut norms = vec![0.0; units];
    row(xs).iter().enumerate().for_each(|(i, x)| norms[i / inner % units] += x * x);
    norms
}

fn check(shape: &[usize], dim: usize, weight_decay: f64, l2: L2) {
    let (weight, p) = (normal(shape, "weight"), penalty(0.3, weight_decay, l2));
    let log_alpha = (normal(&[shape[dim]], "log_alpha") * 2.0).unwrap();
    let of = |a: &Tensor, w: &Tensor| p.groups(&gate(a), 7, &[(w, dim)]).unwrap();
    let what = format!("{shape:?} along {dim}, wd {weight_decay}, {l2:?}");
    let expected = by_hand(&p, &row(&log_alpha), 7, &norms(&weight, dim));
    close(&what, &row(&of(&log_alpha, &weight)), &[expected], 1e-6);

    let (wide_a, wide_w) = (log_alpha.to_dtype(DType::F64).unwrap(), weight.to_dtype(DType::F64).unwrap());
    close(&what, &row(&of(&wide_a, &wide_w)), &[expected], 1e-12);
    let by_differences = numeric_gradient(&wide_a, 1e-5, |a| of(a, &wide_w));
    close(&what, &gradient(&log_alpha, |a| of(a, &weight)), &by_differences, 2e-6);
    if weight_decay > 0.0 {
        let by_differences = numeric_gradient(&wide_w, 1e-5, |w| of(&wide_a, w));
        close(&what, &gradient(&weight, |w| of(&log_alpha, w)), &by_differences, 2e-6);
    }
}

#[test]
fn inputs_of_a_linear_layer() {
    check(&[5, 3], 1, 0.2, L2::Attached);
    check(&[5, 3], 1, 0.2, L2::Detached);
    check(&[5, 3], 1, 0.0, L2::Attached);
}

#[test]
fn outputs_of_a_convolution() {
    check(&[4, 2, 3, 3], 0, 0.2, L2::Attached);
    check(&[4, 2, 3, 3], 0, 0.2, L2::Detached);
}

#[test]
fn inputs_of_a_convolution_and_a_bias() {
    check(&[4, 2, 3, 3], 1, 0.2, L2::Attached);
    check(&[6], 0, 0.2, L2::Attached);
}

#[test]
fn a_gate_for_each_weight() {
    let (log_alpha, weight) = (normal(&[4, 3], "log_alpha"), normal(&[4, 3], "weight"));
    let squares: Vec<f64> = row(&weight).iter().map(|w| w * w).collect();
    for (weight_decay, l2) in [(0.4, L2::Attached), (0.4, L2::Detached), (0.0, L2::Attached)] {
        let p = penalty(0.3, weight_decay, l2);
        let found = p.each_weight(&gate(&log_alpha), &weight).unwrap();
        close("penalty", &row(&found), &[by_hand(&p, &row(&log_alpha), 1, &squares)], 1e-6);
        let wide = log_alpha.to_dtype(DType::F64).unwrap();
        let of = |a: &Tensor| p.each_weight(&gate(a), &weight).unwrap();
        close("log_alpha", &gradient(&log_alpha, of), &numeric_gradient(&wide, 1e-5, of), 2e-6);
    }
}

#[test]
fn members_of_a_group_add_up_and_ungated_parameters_are_plain_decay() {
    let (log_alpha, weight, bias) = (normal(&[4], "a"), normal(&[4, 9], "w"), normal(&[4], "b"));
    let p = penalty(0.1, 0.5, L2::Attached);
    let together: Vec<f64> = norms(&weight, 0).iter().zip(norms(&bias, 0)).map(|(w, b)| w + b).collect();
    let found = p.groups(&gate(&log_alpha), 10, &[(&weight, 0), (&bias, 0)]).unwrap();
    close("with bias", &row(&found), &[by_hand(&p, &row(&log_alpha), 10, &together)], 1e-6);

    let plain = |w: &Tensor| p.ungated(&[w, &bias]).unwrap().unwrap();
    let squares: f64 = row(&weight).iter().chain(&row(&bias)).map(|x| x * x).sum();
    close("ungated", &[scalar(&plain(&weight))], &[0.25 * squares], 1e-6);
    close("wd w", &gradient(&weight, plain), &row(&(&weight * 0.5).unwrap()), 1e-6);
}

#[test]
fn without_decay_weights_are_not_touched() {
    let (log_alpha, weight) = (var(&normal(&[4], "a")), var(&normal(&[2, 4], "w")));
    let p = penalty(0.1, 0.0, L2::Attached);
    let grads = p.groups(&gate(&log_alpha), 2, &[(&weight, 1)]).unwrap().backward().unwrap();
    assert!(grads.get(&weight).is_none() && grads.get(&log_alpha).is_some());
    assert!(p.ungated(&[&weight]).unwrap().is_none());
}

#[test]
fn units_of_lambda() {
    // The lambda of a density is that of a weight times the gated weights over N: 4.44 for the MLP, 7.18 for LeNet-5.
    for (gated, factor) in [(266_200, 4.43667), (430_500, 7.175)] {
        let price = |lambda| Penalty::of(lambda, 60_000, gated).unwrap().price(gated);
        let one = price(Lambda::PerWeight(1.0));
        close("density", &[one * gated as f64], &[factor], 1e-5);
        close("price", &[price(Lambda::Density(one * gated as f64))], &[one], 1e-18);
    }
    let log_alpha = normal(&[4], "log_alpha");
    let cost = |p: Penalty| row(&p.groups(&gate(&log_alpha), 5, &[]).unwrap());
    close("of a layer", &cost(Penalty::density(3.0).unwrap()), &cost(penalty(3.0 / 20.0, 0.0, L2::Attached)), 1e-6);
    let shared = Penalty::of(Lambda::Density(3.0), 7, 60).unwrap();
    close("of a model", &cost(shared), &cost(penalty(3.0 / 60.0, 0.0, L2::Attached)), 1e-6);
}

#[test]
fn a_step_against_the_gradient_lowers_the_penalty() {
    let (log_alpha, weight) = (normal(&[4], "a"), normal(&[2, 4], "w"));
    let p = penalty(0.1, 0.3, L2::Attached);
    let of = |a: &Tensor| p.groups(&gate(a), 2, &[(&weight, 1)]).unwrap();
    let step = Tensor::new(gradient(&log_alpha, of), &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
    assert!(scalar(&of(&(&log_alpha - step).unwrap())) < scalar(&of(&log_alpha)));
}

#[test]
fn bad_input_is_refused() {
    assert_eq!(message(Penalty::per_weight(-1.0, 1)), "lambda must be finite and at least 0, found -1");
    assert_eq!(message(Penalty::density(f64::INFINITY)), "lambda must be finite and at least 0, found inf");
    assert_eq!(message(Penalty::per_weight(0.1, 0)), "the number of training points must be at least 1, found 0");
    let p = penalty(0.1, 0.0, L2::Attached);
    assert_eq!(message(p.with_weight_decay(f64::NAN)), "weight decay must be finite and at least 0, found NaN");
    assert_eq!(message(p.among(0)), "the number of gated weights must be at least 1, found 0");
    let error = message(penalty(0.1, 0.2, L2::Attached).groups(
        &gate(&normal(&[20], "a")),
        1,
        &[(&normal(&[50, 20, 5, 5], "w"), 0)],
    ));
    assert!(error.contains("gate has 20 units but dimension 0 of [50, 20, 5, 5] has 50 slices"), "{error}");
    assert!(
        message(penalty(0.1, 0.2, L2::Attached).each_weight(&gate(&normal(&[3], "a")), &normal(&[4], "w")))
            .contains("gates have shape [3] but the weight has [4]")
    );
}
