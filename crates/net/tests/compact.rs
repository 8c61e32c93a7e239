//! A compact network computes what the masked one does, and nothing that the plan does not ask for.
#![allow(missing_docs)]

mod common;

use candle_core::{Device, Tensor};
use common::*;
use l0_net::layers::{Bias, Border, Take};
use l0_net::{Builder, ClosedChannels, Layer, Margins, Mask, Masks, Mode, Model, Net, Params, Plan};

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
/// More: values near borders, constants of closed units, scales, fillings; less: folded normalisations. Weights and
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
    let biased = |layer: &Layer| match layer {
        Layer::Linear(linear) => linear.bias,
        Layer::Conv2d(conv) => conv.bias,
        Layer::ConvTranspose2d(conv) => conv.bias,
        _ => false,
    };
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
            Ok((Layer::Bias(_) | Layer::Border(_), id)) => {
                let had = hard.layers.iter().find(|had| had.node == id).unwrap();
                expected = expected - had.params + layer.params; // a bias that became one for each position
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
    let (masks, model) = check_model(net, seed, share, all_spaces);
    check_cost(net, &masks, &model, seed);
    let again = model.net.compact(&model.weights, &Masks::none(&model.net)).unwrap();
    assert_eq!(again.net, model.net, "seed {seed}");
    assert_eq!(values(&again), values(&model), "seed {seed}");
}

/// Whether there is an image that is constant while its factor is not: it is made anew, of zeros.
fn has_image_made_anew(net: &Net, model: &Model) -> bool {
    model.net.nodes().iter().any(|node| node.layer.is_affine() && net.find(&node.name).is_err())
}

/// Compacts a network under random masks.
fn check_model(net: &Net, seed: u64, share: f32, all_spaces: bool) -> (Masks, Model) {
    let params = random_params(net, seed);
    let (masks, _) = random_masks(net, seed, share, all_spaces);
    let model = compacted(net, &params, &masks, seed);
    (masks, model)
}

/// Graphs that no model here has: dropout, masked spaces that other layers than linear maps read, sums of unlike terms.
fn odd_net(seed: u64) -> Net {
    let mut r = stream(seed, "odd");
    let closed = if r.below(2) == 0 { ClosedChannels::Constant } else { ClosedChannels::Zero };
    let c = 2 + r.below(3);
    let mut b = Builder::image("input", c, 6, 6);
    let input = b.tip();
    match r.below(4) {
        0 => b.closed_channels(closed).batch_norm("bn0").relu(),
        1 => b.dropout(0.3),
        2 => b.layer("edges", Border { margins: Margins { top: 1, bottom: 0, left: 2, right: 1 } }),
        _ => b.layer("shift", Bias { per_position: r.below(2) == 0 }),
    };
    b.conv2d_same("conv1", c, 3, 1).dropout(0.2).closed_channels(closed).batch_norm("bn1");
    if r.below(2) == 0 {
        b.add(input);
    }
    if r.below(2) == 0 {
        let units = (0..c + 1).map(|_| r.below(c) as u32).collect();
        b.layer("pick", Take { units });
    }
    let main = b.tip();
    let width = 2 + r.below(3);
    b.relu().conv2d_same("conv2", width, 3, 1).relu().conv2d_same("conv3", width, 3, 1);
    let deep = b.tip();
    b.at(main).conv2d_same("short", width, 1, 1).add(deep).layer("lift", Bias { per_position: r.below(2) == 0 });
    b.max_pool2d(1 + r.below(3)).flatten("features");
    let features = b.tip();
    let n = width * 36;
    match r.below(3) {
        0 => b.closed_channels(closed).batch_norm("bn2"),
        1 if b.build().unwrap().shape(features).units() == n => b.linear("mix", n).add(features),
        _ => b.relu(),
    };
    b.linear("fc", 5).closed_channels(closed).batch_norm("bn3").relu();
    if r.below(3) > 0 {
        b.linear("out", 3);
    }
    b.build().unwrap()
}

#[test]
fn random_graphs_of_all_layers() {
    for seed in 0..cases(150) as u64 {
        let (net, share) = (random_graph(seed), [0.7, 0.4, 1.0, 0.1][seed as usize % 4]);
        let (masks, model) = check_model(&net, seed, share, seed % 3 == 0);
        let plan = Plan::new(&net, &masks, false);
        if !plan.kept(net.output()).is_empty() && !has_image_made_anew(&net, &model) {
            let (hard, compact) = (net.cost_of(&plan), model.net.cost());
            assert_eq!((compact.weights(), compact.macs()), (hard.weights(), hard.macs()), "seed {seed}");
        }
        // Compacting again changes nothing but the order of layers that do not read each other.
        let params = Params::init(&model.net, 0, &Device::Cpu).unwrap();
        params.assign(&model.weights).unwrap();
        let again = compacted(&model.net, &params, &Masks::none(&model.net), seed);
        assert!(again.net.nodes().len() <= model.net.nodes().len(), "seed {seed}");
        assert_eq!(again.net.cost().params(), model.net.cost().params(), "seed {seed}");
    }
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

/// LeNet-5 in small: a feature before fc1 lives only if its own gate and its channel's gate are open, and something
/// reads it.
#[test]
fn features_live_if_their_map_does() {
    let mut b = Builder::image("input", 1, 12, 12);
    b.conv2d("conv1", 4, 5).relu().max_pool2d(2).flatten("features").linear("fc1", 6).relu().linear("fc2", 3);
    let net = b.build().unwrap();
    let params = random_params(&net, 1);
    let mut masks = Masks::none(&net);
    open(&net, &mut masks, "conv1", |channel| if channel < 2 { 0.5 } else { 0.0 });
    open(&net, &mut masks, "features", |feature| if feature >= 10 { 0.7 } else { 0.0 }); // 16 features of each channel
    open(&net, &mut masks, "fc1", |unit| if unit % 2 == 0 { 0.9 } else { 0.0 });
    let model = compacted(&net, &params, &masks, 1);
    check_cost(&net, &masks, &model, 1);
    let kept = |layer: &str| model.kept.iter().find(|kept| kept.layer == layer).unwrap().units.clone();
    assert_eq!(kept("conv1"), Some(vec![0, 1]));
    assert_eq!(kept("features"), Some((10..32).collect()));
    assert_eq!(kept("fc1"), Some(vec![0, 2, 4]));
    assert_eq!(kept("fc2"), None);
    let take = model.net.node(model.net.find("features.kept").unwrap());
    assert_eq!(take.layer, Take { units: (10..32).collect() }.into());
    assert_eq!(model.net.cost().weights(), 2 * 25 + 22 * 3 + 3 * 3);

    // Where the features of whole channels are left, nothing needs to be picked.
    let mut whole = Masks::none(&net);
    open(&net, &mut whole, "features", |feature| if (16..32).contains(&feature) { 1.0 } else { 0.0 });
    let model = compacted(&net, &params, &whole, 1);
    assert_eq!(model.kept[1].units, Some(vec![1]), "a channel whose every reader is closed dies");
    assert!(model.net.find("features.kept").is_err());
}

/// A closed channel before a normalisation leaves a constant, and a padded convolution after it a border.
#[test]
fn closed_channels_leave_a_border() {
    let mut b = Builder::image("input", 1, 4, 4);
    b.conv2d_same("conv1", 2, 1, 1)
        .closed_channels(ClosedChannels::Constant)
        .batch_norm("bn")
        .relu()
        .conv2d_same("conv2", 1, 3, 1);
    let net = b.build().unwrap();
    let one = |values: &[f32], dims: &[usize]| Tensor::from_slice(values, dims, &Device::Cpu).unwrap();
    let weights = vec![
        ("conv1.weight".into(), one(&[1.0, 9.0], &[2, 1, 1, 1])),
        ("bn.weight".into(), one(&[1.0, 2.0], &[2])),
        ("bn.bias".into(), one(&[0.0, 5.0], &[2])),
        ("bn.running_mean".into(), one(&[0.0, 2.0], &[2])),
        ("bn.running_var".into(), one(&[1.0 - 1e-5, 1.0 - 1e-5], &[2])),
        ("conv2.weight".into(), one(&[1.0; 18], &[1, 2, 3, 3])),
    ];
    let weights = l0_net::Weights::new(weights).unwrap();
    let mut masks = Masks::none(&net);
    open(&net, &mut masks, "conv1", |map| if map == 0 { 1.0 } else { 0.0 });
    let model = net.compact(&weights, &masks).unwrap();
    // The closed channel is relu(5 - 2 * 2) = 1 everywhere: 4, 6 or 9 of the window's nine places lie on the image.
    // Rows 1 and 2 are alike, and so are the columns.
    let margins = Margins { top: 1, bottom: 1, left: 1, right: 1 };
    assert_eq!(model.net.node(model.net.find("conv2.border").unwrap()).layer, Border { margins }.into());
    let border: Vec<f32> = values(&model).into_iter().find(|(name, _)| name == "conv2.border.bias").unwrap().1;
    let expected = [4.0, 6.0, 4.0, 6.0, 9.0, 6.0, 4.0, 6.0, 4.0];
    assert!(border.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{border:?}");
    assert!(model.net.find("bn").is_err(), "folded into conv1");
    let xs = random_input(&net, 1, 2);
    let masked = net.forward(&weights, &xs, &masks, Mode::Eval).unwrap().ys;
    assert!(difference(&masked, &model.forward(&xs).unwrap()) < 1e-6);
    let onnx = l0_net::to_onnx(&model.net, &model.weights, &l0_net::OnnxAbout::default()).unwrap();
    let back = l0_net::OnnxReader::new().from_bytes(&onnx).unwrap();
    let layers = |model: &Model| model.net.nodes().iter().map(|node| node.layer.clone()).collect::<Vec<_>>();
    assert_eq!((layers(&back), values(&back)), (layers(&model), values(&model)), "read back, a border is one again");
}

/// Closing the last reader of a chain takes the whole chain with it.
#[test]
fn a_chain_that_nobody_reads_dies() {
    let mut b = Builder::image("input", 1, 6, 6);
    b.conv2d_same("stem", 3, 3, 1).relu();
    let stem = b.tip();
    b.conv2d_same("a", 4, 3, 1)
        .closed_channels(ClosedChannels::Zero)
        .batch_norm("bn")
        .relu()
        .conv2d_same("b", 4, 3, 1)
        .relu();
    b.conv2d_same("c", 3, 3, 1).add(stem).global_avg_pool().linear("out", 2);
    let net = b.build().unwrap();
    let params = random_params(&net, 1);
    let mut masks = Masks::none(&net);
    open(&net, &mut masks, "b", |_| 0.0);
    let model = compacted(&net, &params, &masks, 1);
    let names: Vec<&str> = model.net.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["input", "stem", "relu2", "pool10", "out"]);
}

#[test]
fn nothing_left_is_a_constant_network_that_says_so() {
    let net = random_net(3);
    let params = random_params(&net, 3);
    let mut masks = Masks::none(&net);
    open(&net, &mut masks, "input", |_| 0.0);
    let model = compacted(&net, &params, &masks, 3);
    assert!(model.is_constant().unwrap());
    assert!(model.kept.iter().all(|kept| kept.is_empty()));
    // An image as output is constant too, and keeps its size.
    let mut b = Builder::image("input", 2, 9, 7);
    b.conv2d_same("a", 3, 3, 2).relu().max_pool2d(2).conv2d_same("b", 4, 3, 1);
    let net = b.build().unwrap();
    let params = random_params(&net, 3);
    let mut masks = Masks::none(&net);
    open(&net, &mut masks, "a", |_| 0.0);
    assert!(compacted(&net, &params, &masks, 3).is_constant().unwrap());
}

#[test]
fn a_mask_that_differs_between_examples_is_refused() {
    let net = random_net(3);
    let mut masks = Masks::none(&net);
    let z = Tensor::ones((4, net.spaces()[0].units), candle_core::DType::F32, &Device::Cpu).unwrap();
    masks.set(&net, 0, Mask::PerExample(z)).unwrap();
    let problem = net.compact(&random_params(&net, 3).detached(), &masks).unwrap_err().to_string();
    assert!(problem.contains("differs between examples"), "{problem}");
}

#[test]
fn a_network_without_parameters_is_compacted_like_any_other() {
    let mut b = Builder::features("input", 3);
    b.identity().relu();
    let net = b.build().unwrap();
    let params = Params::init(&net, 1, &Device::Cpu).unwrap();
    for z in [[0f32, 1.0, 0.5], [0.0; 3]] {
        for space in 0..net.spaces().len() {
            let mut masks = Masks::none(&net);
            masks.set(&net, space, Mask::Shared(Tensor::new(&z, &Device::Cpu).unwrap())).unwrap();
            compacted(&net, &params, &masks, 1); // was: node "": there is no parameter
        }
    }
}
