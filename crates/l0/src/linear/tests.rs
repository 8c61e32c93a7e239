use candle_core::{DType, Device};
use candle_nn::{Module, VarMap};

use super::*;
use crate::testing::{close, gradient, message, normal, row, uniform};
use crate::{Estimator, HardConcrete, Penalty, Sampling};

const IN: usize = 6;
const OUT: usize = 4;

fn cfg(granularity: Granularity, sampling: Sampling) -> LayerConfig {
    LayerConfig { granularity, sampling, ..Default::default() }
}

fn gates(granularity: Granularity) -> Vec<usize> {
    match granularity {
        Granularity::Unit => vec![IN],
        Granularity::Weight => vec![OUT, IN],
    }
}

/// A layer with `log_alpha`, or normal ones times 2.
fn layer_of(granularity: Granularity, weight: &Tensor, log_alpha: &Tensor) -> L0Linear {
    let gate = Gate::new(log_alpha.clone(), HardConcrete::default()).unwrap();
    let cfg = cfg(granularity, Sampling::Minibatch);
    L0Linear::new(weight.clone(), Some(normal(&[OUT], "bias")), gate, cfg).unwrap()
}

fn layer(granularity: Granularity) -> L0Linear {
    let log_alpha = (normal(&gates(granularity), "log_alpha") * 2.0).unwrap();
    layer_of(granularity, &normal(&[OUT, IN], "weight"), &log_alpha)
}

/// The formula with Candle's own operations and the gates applied to a full weight.
fn by_formula(layer: &L0Linear, xs: &Tensor, z: &Tensor) -> Tensor {
    let weight = layer.weight().broadcast_mul(z).unwrap();
    let ys = xs.broadcast_matmul(&weight.t().unwrap()).unwrap();
    ys.broadcast_add(layer.bias().unwrap()).unwrap()
}

fn check_batch(granularity: Granularity, noise: &Tensor) {
    let layer = layer(granularity);
    let xs = normal(&[5, IN], "xs");
    let found = layer.forward_with_noise(&xs, noise).unwrap();
    let expected = by_formula(&layer, &xs, &layer.gate().sample(noise).unwrap());
    close("ys", &row(&found), &row(&expected), 2e-6);
}

#[test]
fn closed_units_left_out_change_nothing() {
    for draw in 0..10 {
        check_batch(Granularity::Unit, &uniform(&[IN], &draw.to_string()));
        check_batch(Granularity::Weight, &uniform(&[OUT, IN], &draw.to_string()));
    }
    for noise in [1e-7f32, 1.0] {
        check_batch(Granularity::Unit, &Tensor::full(noise, IN, &Device::Cpu).unwrap());
    }
}

/// With noise 1/2: closed, open in part, and wholly open.
fn gates_of_all_kinds() -> Tensor {
    Tensor::new(&[-3f32, -1.7, -0.3, 0.2, 1.0, 3.0], &Device::Cpu).unwrap()
}

#[test]
fn gradients_are_those_of_the_full_computation() {
    let (weight, log_alpha) = (normal(&[OUT, IN], "weight"), gates_of_all_kinds());
    let (xs, upstream) = (normal(&[5, IN], "xs"), normal(&[5, OUT], "upstream"));
    let noise = Tensor::full(0.5f32, IN, &Device::Cpu).unwrap();
    let loss = |weight: &Tensor, log_alpha: &Tensor, xs: &Tensor, full: bool| {
        let layer = layer_of(Granularity::Unit, weight, log_alpha);
        let ys = match full {
            true => by_formula(&layer, xs, &layer.gate().sample(&noise).unwrap()),
            false => layer.forward_with_noise(xs, &noise).unwrap(),
        };
        (ys * &upstream).unwrap().sum_all().unwrap()
    };
    let both = |at: &Tensor, loss: &dyn Fn(&Tensor, bool) -> Tensor| {
        close("gradient", &gradient(at, |t| loss(t, false)), &gradient(at, |t| loss(t, true)), 2e-6);
    };
    both(&weight, &|t, full| loss(t, &log_alpha, &xs, full));
    both(&log_alpha, &|t, full| loss(&weight, t, &xs, full));
    both(&xs, &|t, full| loss(&weight, &log_alpha, t, full));
}

#[test]
fn one_sample_for_each_example_with_equal_noise_is_one_for_all() {
    for granularity in [Granularity::Unit, Granularity::Weight] {
        let (layer, noise) = (layer(granularity), uniform(&gates(granularity), "noise"));
        for shape in [&[5, IN][..], &[5, 3, IN]] {
            let xs = normal(shape, "xs");
            let each = noise.unsqueeze(0).unwrap().repeat(5).unwrap_or_else(|_| panic!("repeat"));
            let each = each.reshape([&[5], noise.dims()].concat()).unwrap();
            let (all, each) = (layer.forward_with_noise(&xs, &noise), layer.forward_with_noise(&xs, &each));
            assert_eq!(all.as_ref().unwrap().dims()[..shape.len() - 1], shape[..shape.len() - 1]);
            close("ys", &row(&each.unwrap()), &row(&all.unwrap()), 2e-6);
        }
    }
}

#[test]
fn examples_have_samples_of_their_own() {
    for granularity in [Granularity::Unit, Granularity::Weight] {
        let layer = layer(granularity);
        let each = uniform(&[&[5], gates(granularity).as_slice()].concat(), "noise");
        let (xs, together) =
            (normal(&[5, IN], "xs"), layer.forward_with_noise(&normal(&[5, IN], "xs"), &each).unwrap());
        for i in 0..5 {
            let alone = layer.forward_with_noise(&xs.narrow(0, i, 1).unwrap(), &each.get(i).unwrap()).unwrap();
            close("example", &row(&together.get(i).unwrap()), &row(&alone), 2e-6);
        }
    }
}

#[test]
fn evaluation_is_the_plain_layer() {
    for granularity in [Granularity::Unit, Granularity::Weight] {
        for estimator in Estimator::ALL {
            let L0Linear(parts) = layer(granularity);
            let layer = L0Linear(Parts { cfg: LayerConfig { estimator, ..parts.cfg }, ..parts });
            let xs = normal(&[5, IN], "xs");
            let plain = layer.to_plain().unwrap().forward(&xs).unwrap();
            close("ys", &row(&layer.forward_t(&xs, false).unwrap()), &row(&plain), 2e-6);
        }
    }
}

#[test]
fn noise_goes_on_by_steps_and_can_be_put_back() {
    for sampling in [Sampling::Minibatch, Sampling::Example] {
        let L0Linear(parts) = layer(Granularity::Unit);
        let layer = L0Linear(Parts { cfg: LayerConfig { sampling, ..parts.cfg }, ..parts });
        let xs = normal(&[5, IN], "xs");
        let step = || row(&layer.forward_t(&xs, true).unwrap());
        let (first, second) = (step(), step());
        assert_ne!(first, second);
        assert_eq!(layer.noise().step(), 2);
        layer.noise().set_step(0);
        let copy = layer.clone();
        assert_eq!(row(&copy.forward_t(&xs, true).unwrap()), first);
        assert_eq!([step(), step()], [first, second], "a copy counts for itself");
        layer.forward_t(&xs, false).unwrap();
        assert_eq!(layer.noise().step(), 2, "evaluation draws nothing");
    }
}

#[test]
fn layers_of_one_store_draw_apart_and_begin_with_the_true_fan_in() {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let [a, b] = ["a", "b"].map(|name| l0_linear(400, 50, LayerConfig::default(), vb.pp(name)).unwrap());
    let names = ["a.weight", "a.bias", "a.log_alpha", "b.weight", "b.bias", "b.log_alpha"];
    assert!(names.iter().all(|&name| map.data().lock().unwrap().contains_key(name)) && map.all_vars().len() == 6);
    let draw = |layer: &L0Linear| row(&layer.gate().noise(None, &mut layer.noise().advance()).unwrap());
    assert_ne!(draw(&a), draw(&b));
    let deviation = (row(a.weight()).iter().map(|w| w * w).sum::<f64>() / 20_000.0).sqrt();
    close("deviation", &[deviation], &[(2.0f64 / 400.0).sqrt()], 2e-3);
    assert_eq!((a.group_size(), a.gated_weights(), row(a.bias().unwrap())), (50, 20_000, vec![0.0; 50]));
}

#[test]
fn all_gates_closed_leave_the_bias() {
    let weight = normal(&[OUT, IN], "weight");
    let layer = layer_of(Granularity::Unit, &weight, &Tensor::full(-50f32, IN, &Device::Cpu).unwrap());
    let ys = layer.forward_t(&normal(&[2, IN], "xs"), true).unwrap();
    assert_eq!(row(&ys), [row(layer.bias().unwrap()), row(layer.bias().unwrap())].concat());
    assert_eq!(layer.forward_t(&normal(&[0, IN], "none"), true).unwrap().dims(), [0, OUT]);
    let gate = Gate::new(normal(&[OUT, IN], "log_alpha"), HardConcrete::default()).unwrap();
    let layer = L0Linear::new(weight, None, gate, cfg(Granularity::Weight, Sampling::Example)).unwrap();
    assert_eq!(layer.forward_t(&normal(&[0, 3, IN], "none"), true).unwrap().dims(), [0, 3, OUT]);
}

// import math
// sg = lambda x: 1 / (1 + math.exp(-x))
// def objective(w, b, a, x):          # sum of outputs + penalty, gates from noise u
//     z = [min(1, max(0, sg((math.log(t / (1 - t)) + l) * 1.5) * 1.2 - 0.1)) for t, l in zip(u, a)]
//     ys = [sum(x[j] * z[j] * w[o][j] for j in range(3)) + b[o] for o in range(2)]
//     norm = [sum(w[o][j] ** 2 for o in range(2)) for j in range(3)]
//     cost = sum(sg(a[j] + 2 / 3 * math.log(11)) * (2 * 0.1 + 0.2 / 2 * norm[j]) for j in range(3))
//     return sum(ys) + cost + 0.2 / 2 * sum(t * t for t in b)
// u, x = [0.3, 0.6, 0.1], [1.0, -2.0, 0.5]
// w, b, a = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], [0.1, -0.3], [0.4, -0.6, -1.2]
// print(objective(w, b, a, x))
// def d(v, i, h=1e-6):
//     v[i] += h; up = objective(w, b, a, x); v[i] -= 2 * h; down = objective(w, b, a, x); v[i] += h
//     return round((up - down) / (2 * h), 7)
// print([d(row, j) for row in w for j in range(3)], [d(b, i) for i in range(2)], [d(a, j) for j in range(3)])
#[test]
fn objective_and_gradients_of_an_independent_program() {
    let vector = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
    let weight = vector(&[0.5, -1.0, 2.0, 1.5, 0.25, -0.75]).reshape((2, 3)).unwrap();
    let (bias, log_alpha) = (vector(&[0.1, -0.3]), vector(&[0.4, -0.6, -1.2]));
    let (xs, noise) = (vector(&[1.0, -2.0, 0.5]).unsqueeze(0).unwrap(), vector(&[0.3, 0.6, 0.1]));
    let penalty = Penalty::per_weight(0.1, 1).unwrap().with_weight_decay(0.2).unwrap();
    let objective = |weight: &Tensor, bias: &Tensor, log_alpha: &Tensor| {
        let gate = Gate::new(log_alpha.clone(), HardConcrete::default()).unwrap();
        let layer = L0Linear::new(weight.clone(), Some(bias.clone()), gate, LayerConfig::default()).unwrap();
        let ys = layer.forward_with_noise(&xs, &noise).unwrap();
        (ys.sum_all().unwrap() + layer.penalty(&penalty).unwrap()).unwrap()
    };
    close("objective", &row(&objective(&weight, &bias, &log_alpha)), &[2.054258558], 1e-6);
    let of_weight = gradient(&weight, |weight| objective(weight, &bias, &log_alpha));
    close("weight", &of_weight, &[0.3940068, -0.972307, 0.2393402, 0.5701367, -0.7896113, -0.0897526], 1e-6);
    close("bias", &gradient(&bias, |bias| objective(&weight, bias, &log_alpha)), &[1.02, 0.94], 1e-6);
    let of_gates = gradient(&log_alpha, |log_alpha| objective(&weight, &bias, log_alpha));
    close("log_alpha", &of_gates, &[0.8531512, 0.7210841, 0.1577147], 1e-6);
}

#[test]
fn bad_input_is_refused() {
    let build = |units: &[usize], granularity| {
        let gate = Gate::new(normal(units, "a"), HardConcrete::default()).unwrap();
        L0Linear::new(normal(&[OUT, IN], "w"), None, gate, cfg(granularity, Sampling::Minibatch))
    };
    let error = message(build(&[20], Granularity::Unit));
    assert!(error.contains("gate has 20 units but the layer has 6 inputs"), "{error}");
    let error = message(build(&[IN], Granularity::Weight));
    assert!(error.contains("gates have shape [6] but the weight has [4, 6]"), "{error}");
    let layer = layer(Granularity::Unit);
    let refused =
        |xs: &[usize], noise: &[usize]| message(layer.forward_with_noise(&normal(xs, "xs"), &uniform(noise, "u")));
    assert!(refused(&[5, 7], &[IN]).contains("input has 7 features but the layer has 6 inputs"));
    assert!(refused(&[IN], &[IN]).contains("a linear layer takes (b, .., in), found [6]"));
    assert!(refused(&[5, IN], &[4, IN]).contains("found gates for 4 examples but a batch of 5"));
    let new = |inputs, outputs| {
        message(l0_linear(inputs, outputs, LayerConfig::default(), VarBuilder::zeros(DType::F32, &Device::Cpu)))
    };
    assert!(new(0, 3).contains("a gated linear layer has 0 inputs, expected at least 1"));
    assert!(new(3, 0).contains("a gated linear layer has 0 outputs, expected at least 1"));
}
