//! A compact network computes what the masked one does, and nothing that the plan does not ask for.
#![allow(missing_docs)]

mod common;

use candle_core::{Device, Tensor};
use common::*;
use l0_net::{Builder, ClosedMaps, Layer, Mask, Masks, Mode, Model, Net, Params, Plan};

/// The masked network and its compact form, which must agree; returns the compact form and the largest difference.
fn compacted(net: &Net, params: &Params, masks: &Masks, seed: u64) -> Model {
    let xs = random_input(net, seed, 4);
    let masked = net.forward(&params.detached(), &xs, masks, Mode::Eval).unwrap().ys;
    let full = reference(net, &params.detached(), &xs, masks, false).unwrap();
    let model = net.compact(&params.detached(), masks).unwrap();
    let compact = model.forward(&xs).unwrap();
    assert!(
        difference(&full, &masked) < 5e-5,
        "seed {seed}: masked differs by {}\n{}{full}{masked}",
        difference(&full, &masked),
        net.summary(&Plan::new(net, masks, false))
    );
    assert!(difference(&masked, &compact) < 1e-5, "seed {seed}: compact differs by {}", difference(&masked, &compact));
    model
}

/// What compaction writes beyond the plan's hard count: (parameters more, parameters less).
///
/// More: maps of borders, constants of closed units, scales, fillings; less: folded normalisations. Weights and
/// multiply-accumulates are those of the plan exactly, unless nothing at all is left.
fn check_cost(net: &Net, masks: &Masks, model: &Model, seed: u64) {
    let plan = Plan::new(net, masks, false);
    let (hard, compact) = (net.cost_of(&plan), model.net.cost());
    if plan.kept(net.output()).is_empty() {
        assert!(model.is_constant().unwrap(), "seed {seed}");
        return;
    }
    assert!(!model.is_constant().unwrap(), "seed {seed}");
    assert_eq!((compact.weights(), compact.macs()), (hard.weights(), hard.macs()), "seed {seed}");
    let mut expected = hard.params();
    let biased = |layer: &Layer| matches!(layer, Layer::Linear { bias: true, .. } | Layer::Conv2d { bias: true, .. });
    for layer in &hard.layers {
        let node = net.node(layer.node);
        if !node.layer.is_affine() && model.net.find(&node.name).is_err() {
            expected -= layer.params; // folded into what it reads
        }
    }
    for layer in &compact.layers {
        let now = &model.net.node(layer.node);
        match net.find(&now.name).map(|id| (&net.node(id).layer, id)) {
            Err(_) => expected += layer.params, // a border, a constant, a scale or a filling
            Ok((then, _)) if then.is_affine() && biased(&now.layer) && !biased(then) => expected += layer.units.1,
            Ok((then, _)) if then.is_affine() && !biased(&now.layer) && biased(then) => expected -= layer.units.1,
            Ok((Layer::Bias { .. }, id)) => {
                let had = hard.layers.iter().find(|had| had.node == id).unwrap();
                expected = expected - had.params + layer.params; // a bias that became a map
            }
            _ => {}
        }
    }
    assert_eq!(
        compact.params(),
        expected,
        "seed {seed}\n{}\n{}",
        net.summary(&plan),
        model.net.summary(&Plan::full(&model.net))
    );
}

fn values(model: &Model) -> Vec<(String, Vec<f32>)> {
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    model.weights.iter().map(|(name, value)| (name.to_string(), flat(value))).collect()
}

fn check(net: &Net, seed: u64, share: f32, all_spaces: bool) {
    let params = random_params(net, seed);
    let (masks, _) = random_masks(net, seed, share, all_spaces);
    let model = compacted(net, &params, &masks, seed);
    check_cost(net, &masks, &model, seed);
    let again = model.net.compact(&model.weights, &Masks::none(&model.net)).unwrap();
    assert_eq!(again.net, model.net, "seed {seed}");
    assert_eq!(values(&again), values(&model), "seed {seed}");
}

/// Graphs that no model here has: dropout, masked spaces that other layers than linear maps read, sums of unlike terms.
fn odd_net(seed: u64) -> Net {
    let mut r = stream(seed, "odd");
    let closed = if r.below(2) == 0 { ClosedMaps::Constant } else { ClosedMaps::Zero };
    let c = 2 + r.below(3);
    let mut b = Builder::image("input", c, 6, 6);
    let input = b.tip();
    match r.below(3) {
        0 => b.batch_norm("bn0", closed).relu(),
        1 => b.dropout(0.3),
        _ => b.layer("shift", Layer::Bias { per_position: r.below(2) == 0 }),
    };
    b.conv2d_same("conv1", c, 3, 1).dropout(0.2).batch_norm("bn1", closed);
    if r.below(2) == 0 {
        b.add(input);
    }
    if r.below(2) == 0 {
        let units = (0..c + 1).map(|_| r.below(c) as u32).collect();
        b.layer("pick", Layer::Take { units });
    }
    let main = b.tip();
    let width = 2 + r.below(3);
    b.relu().conv2d_same("conv2", width, 3, 1).relu().conv2d_same("conv3", width, 3, 1);
    let deep = b.tip();
    b.at(main).conv2d_same("short", width, 1, 1).add(deep).layer("lift", Layer::Bias { per_position: r.below(2) == 0 });
    b.max_pool2d(1 + r.below(3)).flatten("features");
    let features = b.tip();
    let n = width * 36;
    match r.below(3) {
        0 => b.batch_norm("bn2", closed),
        1 if b.build().unwrap().shape(features).units() == n => b.linear("mix", n).add(features),
        _ => b.relu(),
    };
    b.linear("fc", 5).batch_norm("bn3", closed).relu();
    if r.below(3) > 0 {
        b.linear("out", 3);
    }
    b.build().unwrap()
}

#[test]
fn random_networks_with_random_masks() {
    for seed in 0..80 {
        check(&random_net(seed), seed, 0.5, false);
        check(&odd_net(seed), seed, 0.6, false);
        check(&odd_net(seed), seed + 1000, 0.9, true);
    }
}

#[test]
fn all_open_few_open_all_closed() {
    for seed in 200..260 {
        for share in [1.0, 0.1, 0.0] {
            check(&random_net(seed), seed, share, true);
            check(&odd_net(seed), seed, share, seed % 2 == 0);
        }
    }
}

fn open(net: &Net, masks: &mut Masks, layer: &str, f: impl Fn(usize) -> f32) {
    let space = net.space(net.find(layer).unwrap());
    let z: Vec<f32> = (0..net.spaces()[space].units).map(f).collect();
    masks.set(net, space, Mask::Shared(Tensor::new(z, &Device::Cpu).unwrap())).unwrap();
}

#[test]
fn one_unit_open() {
    for seed in 300..340 {
        let net = if seed % 2 == 0 { random_net(seed) } else { odd_net(seed) };
        let params = random_params(&net, seed);
        let mut masks = Masks::none(&net);
        for (id, node) in net.nodes().iter().enumerate() {
            if node.layer.is_affine() && net.spaces()[net.space(id)].name == node.name && id != net.output() {
                open(&net, &mut masks, &node.name, |unit| if unit == 1 { 0.5 } else { 0.0 });
            }
        }
        let model = compacted(&net, &params, &masks, seed);
        check_cost(&net, &masks, &model, seed);
    }
}
