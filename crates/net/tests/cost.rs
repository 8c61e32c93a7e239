//! Expected costs against all draws of the gates, one by one.
#![allow(missing_docs)]

mod common;

use candle_core::{Device, Tensor};
use common::stream;
use l0_net::layers::Take;
use l0_net::{Builder, ClosedChannels, Layer, Net, Probabilities};

/// Gated spaces with the probabilities of their units.
type Gated = Vec<(usize, Vec<f32>)>;

/// Which units of each node are open when these are of each space: by definition, unit by unit.
fn open_units(net: &Net, space_open: &dyn Fn(usize, usize) -> bool) -> Vec<Vec<bool>> {
    let mut made: Vec<Vec<bool>> = Vec::new();
    for (id, node) in net.nodes().iter().enumerate() {
        let own = |unit: usize| space_open(net.space(id), unit);
        let input = |i: usize| &made[node.inputs[i]];
        let unit_open = |unit: usize| match &node.layer {
            Layer::Input(_) | Layer::Linear(_) | Layer::Conv2d(_) => own(unit),
            Layer::Flatten(_) => own(unit) && input(0)[unit / net.shape(node.inputs[0]).positions()],
            Layer::Take(take) => own(unit) && input(0)[take.units[unit] as usize],
            Layer::Add(_) => input(0)[unit] || input(1)[unit],
            _ => input(0)[unit],
        };
        made.push((0..net.shape(id).units()).map(unit_open).collect());
    }
    made
}

/// The expected number of weights of every linear layer and convolution, over all draws.
fn enumerated(net: &Net, gated: &Gated) -> Vec<f64> {
    let gates: Vec<(usize, usize, f64)> = gated
        .iter()
        .flat_map(|(space, p)| p.iter().enumerate().map(move |(unit, &p)| (*space, unit, f64::from(p))))
        .collect();
    let mut totals = vec![0.0; net.affine().count()];
    for draw in 0..1usize << gates.len() {
        let drawn = |i: usize| draw >> i & 1 == 1;
        let probability: f64 = gates.iter().enumerate().map(|(i, g)| if drawn(i) { g.2 } else { 1.0 - g.2 }).product();
        let open =
            open_units(net, &|space, unit| gates.iter().position(|g| (g.0, g.1) == (space, unit)).is_none_or(drawn));
        let count = |id: usize| open[id].iter().filter(|&&open| open).count() as f64;
        for (total, id) in totals.iter_mut().zip(net.affine()) {
            let area = if let Layer::Conv2d(conv) = net.node(id).layer { conv.kernel.area() } else { 1 };
            *total += probability * count(id) * count(net.node(id).inputs[0]) * area as f64;
        }
    }
    totals
}

/// Rows and columns of a layer never share a gate here, so the product of expectations is that of the product.
fn check(name: &str, net: &Net, layers: &[&str]) {
    let mut open = Probabilities::ones(net);
    let mut gated = Gated::new();
    for layer in layers {
        let space = net.space(net.find(layer).unwrap());
        let p = stream(1, layer).uniforms(net.spaces()[space].units);
        open.set(net, space, Tensor::new(p.as_slice(), &Device::Cpu).unwrap()).unwrap();
        gated.push((space, p));
    }
    let found = net.expected_cost(&open).unwrap();
    for (found, expected) in found.iter().zip(enumerated(net, &gated)) {
        let layer = &net.node(found.node).name;
        let found = f64::from(found.weights.to_scalar::<f32>().unwrap());
        assert!((found - expected).abs() < 1e-4 * expected.max(1.0), "{name}, {layer}: {found}, expected {expected}");
    }
}

#[test]
fn terms_of_a_sum_with_gates_of_their_own() {
    let mut b = Builder::image("image", 1, 2, 2);
    b.conv2d("conv1", 3, 1).flatten("f1");
    let first = b.tip();
    b.at(0).conv2d("conv2", 3, 1).flatten("f2").add(first).linear("out", 2);
    let net = b.build().unwrap();
    check("own", &net, &["conv1", "conv2"]);
    check("one gated term", &net, &["conv1"]);
    let mut b = Builder::image("image", 1, 1, 2);
    b.conv2d("conv1", 2, 1).flatten("f1");
    let first = b.tip();
    b.at(0).conv2d("conv2", 2, 1).flatten("f2").add(first);
    let sum = b.tip();
    b.at(0).conv2d("conv3", 2, 1).flatten("f3").add(sum).add(first).linear("out", 2);
    let net = b.build().unwrap();
    check("three terms and the sum's gates", &net, &["conv1", "conv2", "conv3", "f1"]);
}

#[test]
fn terms_that_share_gates() {
    let mut b = Builder::image("image", 1, 2, 2);
    b.conv2d("conv", 3, 1).relu();
    let channels = b.tip();
    b.flatten("f1");
    let first = b.tip();
    b.at(channels).closed_channels(ClosedChannels::Constant).batch_norm("bn").flatten("f2").add(first).linear("out", 2);
    let net = b.build().unwrap();
    check("the same channels twice", &net, &["conv"]);
    check("the same channels twice, features gated", &net, &["conv", "f1"]);

    let mut b = Builder::features("xs", 4);
    b.linear("fc", 4).relu();
    let units = b.tip();
    b.layer("mixed", Take { units: vec![0, 2, 1, 1] }).add(units).linear("out", 3);
    let net = b.build().unwrap();
    check("units and some of them in another order", &net, &["fc"]);

    let mut b = Builder::features("xs", 3);
    b.linear("fc", 5);
    let units = b.tip();
    b.layer("a", Take { units: vec![0, 2, 4, 1] });
    let first = b.tip();
    b.at(units).layer("b", Take { units: vec![0, 1, 3, 2] }).add(first).linear("out", 3);
    check("two choices of units", &b.build().unwrap(), &["fc", "a"]);
}

#[test]
fn residual_blocks() {
    let mut b = Builder::image("image", 2, 2, 2);
    b.conv2d_same("stem", 3, 3, 1);
    for i in 0..2 {
        let skip = b.tip();
        b.closed_channels(ClosedChannels::Zero)
            .batch_norm(&format!("bn{i}"))
            .relu()
            .conv2d_same(&format!("a{i}"), 3, 3, 1)
            .relu();
        b.conv2d_same(&format!("b{i}"), 3, 1, 1).add(skip);
    }
    b.flatten("features").linear("out", 2);
    let net = b.build().unwrap();
    check("inside", &net, &["a0", "a1"]);
    check("inside and the sum", &net, &["a0", "stem", "a1"]);
}

#[test]
fn probabilities_that_do_not_fit_are_refused() {
    let chain = |units: usize| {
        let mut b = Builder::features("xs", 3);
        b.linear("fc", units).relu().linear("out", 2);
        b.build().unwrap()
    };
    let net = chain(4);
    let p = |n: usize| Tensor::ones(n, candle_core::DType::F32, &Device::Cpu).unwrap();
    let mut open = Probabilities::ones(&net);
    let message = |result: l0_net::Result<()>| result.unwrap_err().to_string();
    let error = message(open.set(&net, 1, p(5)));
    assert_eq!(error, "\"probabilities of fc\" has shape [5], expected [4]");
    assert_eq!(message(open.set(&net, 9, p(4))), "there is no space \"9\"; there is xs, fc, out");
    open.set(&net, 1, p(4)).unwrap();
    assert!(net.expected_cost(&open).is_ok());
    let error = message(chain(6).expected_cost(&open).map(drop));
    assert_eq!(error, "\"probabilities of fc\" has shape [4], expected [6]");
    let mut other = Builder::features("xs", 3);
    other.linear("fc", 4);
    let error = message(other.build().unwrap().expected_cost(&open).map(drop));
    assert_eq!(error, "found 3 spaces of probabilities, expected 2, those of the network");
}

#[test]
fn a_cost_beyond_what_can_be_counted_is_the_largest_number_and_no_parameter_is_made() {
    let mut b = Builder::image("image", 1 << 20, 1, 1);
    b.layer("conv", l0_net::layers::Conv2d::new(1 << 20, 4097).padding(2048));
    b.layer("next", l0_net::layers::Conv2d::new(1 << 20, 4097).padding(2048));
    let net = b.build().unwrap();
    let cost = net.cost(); // each has 2^40 kernels of more than 2^24 weights
    assert_eq!([cost.weights(), cost.params(), cost.macs(), cost.flops()], [usize::MAX; 4]);
    let error = l0_net::Params::init(&net, 1, &Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("\"conv.weight\"") && error.contains("expected 2147483648 values at most"), "{error}");
}
