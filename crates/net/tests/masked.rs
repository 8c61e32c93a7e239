//! A masked pass computes the sub-network of open units alone; its outputs and gradients are those of the full network.
#![allow(missing_docs)]

mod common;

use candle_core::{Device, Tensor};
use common::*;
use l0_net::layers::{AvgPool2d, Conv2d, MaxPool2d, Softmax};
use l0_net::{Builder, ClosedChannels, Layer, Mask, Masks, Mode, Net, Pair, Plan, Sides, Unit};

/// Compares loss and every gradient of the masked pass with the full-size reference.
fn check(seed: u64, share: f32, all_spaces: bool, training: bool) {
    check_net(&random_net(seed), seed, share, all_spaces, training, 1.0);
}

/// `magnified` is how much more a network may magnify rounding than a small one does.
fn check_net(net: &Net, seed: u64, share: f32, all_spaces: bool, training: bool, magnified: f32) {
    let params = random_params(net, seed);
    let (masks, mask_vars) = random_masks(net, seed, share, all_spaces);
    let xs = random_input(net, seed, 4);
    let noise = |_: &str| stream(seed, "dropout");
    let mode = if training { Mode::Train(&noise) } else { Mode::Eval };

    let ours = net.forward(&params.weights(), &xs, &masks, mode).unwrap().ys;
    let theirs = reference(net, &params.weights(), &xs, &masks, training).unwrap();
    // Normalising four examples magnifies rounding.
    let tolerance = magnified * if training { 2e-4 } else { 5e-5 };
    assert!(difference(&theirs, &ours) < tolerance, "outputs of seed {seed} differ by {}", difference(&theirs, &ours));

    let upstream = stream(seed, "up").normals(ours.elem_count());
    let upstream = Tensor::from_vec(upstream, ours.dims(), &Device::Cpu).unwrap();
    let grads = |ys: &Tensor| (ys * &upstream).unwrap().sum_all().unwrap().backward().unwrap();
    let (ours, theirs) = (grads(&ours), grads(&theirs));
    let vars = params.iter().map(|p| (p.name.clone(), &p.var));
    // A gate at exactly 0 is flat: what its own gradient would be is nobody's business, but that of open ones is.
    for (name, var) in vars {
        let zeros = var.zeros_like().unwrap();
        let (a, b) = (theirs.get(var).unwrap_or(&zeros), ours.get(var).unwrap_or(&zeros));
        assert!(
            difference(a, b) < magnified * if training { 5e-4 } else { 1e-4 },
            "gradient of {name} differs by {} (seed {seed}, share {share})",
            difference(a, b)
        );
    }
    for (space, var) in mask_vars.iter().enumerate().filter_map(|(i, v)| Some((i, v.as_ref()?))) {
        let open = var.gt(0.0).unwrap().to_dtype(candle_core::DType::F32).unwrap();
        let zeros = var.zeros_like().unwrap();
        let (a, b) = (theirs.get(var).unwrap_or(&zeros), ours.get(var).unwrap_or(&zeros));
        let (a, b) = ((a * &open).unwrap(), (b * &open).unwrap());
        let name = &net.spaces()[space].name;
        assert!(
            difference(&a, &b) < magnified * 1e-4,
            "gradient of mask {name} differs by {} (seed {seed})",
            difference(&a, &b)
        );
    }
}

#[test]
fn a_pool_that_makes_several_positions_of_one_computes_them_all() {
    let windows = |size: usize, padding: usize| (Pair::from(size), Some(Pair::from(1)), Sides::from(padding));
    for (size, padding) in [(2, 1), (3, 2), (3, 1)] {
        for counts in [None, Some(false), Some(true)] {
            let mut b = Builder::image("image", 3, 1, 1);
            b.conv2d("conv", 4, 1);
            let (size, stride, padding) = windows(size, padding);
            match counts {
                None => b.layer("pool", MaxPool2d { size, stride, padding, ceil: false }),
                Some(count_include_pad) => {
                    b.layer("pool", AvgPool2d { size, stride, padding, ceil: false, count_include_pad })
                }
            };
            b.flatten("flat").linear("fc", 5);
            check_net(&b.build().unwrap(), 3, 0.5, true, false, 1.0);
        }
    }
}

#[test]
fn constant_channels_pass_a_depthwise_convolution_and_the_pool_behind_it() {
    let mut b = Builder::image("image", 3, 8, 8);
    b.conv2d("conv", 4, 3)
        .layer("dw", Conv2d::new(4, 3).groups(4))
        .relu()
        .max_pool2d(2)
        .flatten("flat")
        .linear("fc", 2);
    let net = b.build().unwrap();
    for seed in 0..6 {
        [false, true].into_iter().for_each(|training| check_net(&net, seed, 0.5, true, training, 1.0));
    }
}

#[test]
fn a_softmax_that_nothing_reads_is_no_output() {
    let mut b = Builder::features("x", 6);
    let first = b.linear("first", 4).tip();
    let softmax = b.layer("softmax", Softmax).tip();
    b.at(first).concat(&[softmax]).linear("last", 3);
    let net = b.build().unwrap();
    let (params, xs) = (random_params(&net, 1), random_input(&net, 1, 3));
    let mut masks = Masks::none(&net);
    let set = |masks: &mut Masks, id, z: [f32; 4]| {
        masks.set(&net, net.space(id), Mask::Shared(Tensor::new(&z, &Device::Cpu).unwrap())).unwrap();
    };
    set(&mut masks, first, [1.0, 0.0, 1.0, 0.0]);
    set(&mut masks, softmax, [0.0; 4]);
    let ours = net.forward(&params.weights(), &xs, &masks, Mode::Eval).unwrap().ys;
    let theirs = reference(&net, &params.weights(), &xs, &masks, false).unwrap();
    assert!(difference(&theirs, &ours) < 1e-5, "{}", difference(&theirs, &ours));
}

#[test]
fn random_graphs_of_all_layers() {
    for seed in 0..cases(150) as u64 {
        let (net, share) = (random_graph(seed), [0.7, 0.4, 1.0, 0.1][seed as usize % 4]);
        check_net(&net, seed, share, seed % 3 == 0, seed % 2 == 0, 30.0);
    }
}

#[test]
fn random_networks_with_random_masks_in_training() {
    (0..60).for_each(|seed| check(seed, 0.6, false, true));
}

#[test]
fn random_networks_with_random_masks_in_evaluation() {
    (100..160).for_each(|seed| check(seed, 0.5, false, false));
}

#[test]
fn all_open_few_open_all_closed() {
    for seed in 200..230 {
        check(seed, 1.0, true, true);
        check(seed, 0.15, true, seed % 2 == 0);
        check(seed, 0.0, true, seed % 2 == 1);
    }
}

/// Mean and variance (with Bessel's correction) of unit `unit` of `xs`, (b, n) or (b, n, h, w).
fn moments(xs: &Tensor, unit: usize) -> (f32, f32) {
    let xs: Vec<f32> = xs.narrow(1, unit, 1).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let n = xs.len() as f32;
    let mean = xs.iter().sum::<f32>() / n;
    (mean, xs.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / (n - 1.0))
}

/// Compares what running statistics learn with the moments of the full-size reference; returns how many units of
/// normalisations learned, and how many are not read and therefore keep theirs.
fn check_statistics(net: &Net, seed: u64, masks: &Masks) -> (usize, usize) {
    let params = random_params(net, seed);
    let (xs, noise) = (random_input(net, seed, 4), |_: &str| stream(seed, "dropout"));
    let made = reference_nodes(net, &params.detached(), &xs, masks, true).unwrap();
    let values = |name: String| params.get(&name).unwrap().var.to_vec1::<f32>().unwrap();
    let statistics = |node: &str| (values(format!("{node}.running_mean")), values(format!("{node}.running_var")));
    let norms = || net.nodes().iter().enumerate().filter(|(_, node)| matches!(node.layer, Layer::BatchNorm(_)));
    let before: Vec<_> = norms().map(|(_, node)| statistics(&node.name)).collect();
    params.learn(&net.forward(&params.weights(), &xs, masks, Mode::Train(&noise)).unwrap().statistics).unwrap();
    let (plan, mut learned, mut unread) = (Plan::new(net, masks, true), 0, 0);
    for ((id, node), (old_mean, old_var)) in norms().zip(before) {
        let (mean, var) = statistics(&node.name);
        let input = node.inputs[0];
        for unit in 0..mean.len() {
            let zero = plan.units(input)[unit] == Unit::Zero;
            let (mut expected, rate) = (moments(&made[input], unit), 0.1);
            if plan.units(id)[unit] == Unit::Zero || (plan.units(id)[unit] == Unit::Unread && !zero) {
                expected = (old_mean[unit], old_var[unit]);
                unread += usize::from(plan.units(id)[unit] == Unit::Unread);
            } else {
                let new = |old: f32, new: f32| old + rate * (new - old);
                expected = (new(old_mean[unit], expected.0), new(old_var[unit], expected.1));
                learned += 1;
            }
            let off = [(mean[unit] - expected.0).abs(), (var[unit] - expected.1).abs() / (1.0 + expected.1)];
            let what = plan.units(id)[unit];
            assert!(
                off.iter().all(|&off| off < 1e-4),
                "unit {unit} of {} ({what:?}) is off by {off:?} (seed {seed})",
                node.name
            );
        }
    }
    (learned, unread)
}

#[test]
fn running_statistics_learn_what_the_full_network_would() {
    let mut learned = 0;
    for seed in 500..560 {
        let net = random_net(seed);
        let share = [0.6, 0.15, 0.0][seed as usize % 3];
        learned += check_statistics(&net, seed, &random_masks(&net, seed, share, seed % 2 == 0).0).0;
    }
    assert!(learned > 100, "{learned} units learned");
}

#[test]
fn a_map_that_nobody_reads_keeps_its_statistics() {
    let mut b = Builder::image("input", 2, 4, 4);
    b.conv2d("conv", 3, 1)
        .closed_channels(ClosedChannels::Constant)
        .batch_norm("bn")
        .relu()
        .flatten("features")
        .linear("out", 3);
    let net = b.build().unwrap();
    let masks = |layer: &str, open: &dyn Fn(usize) -> bool| {
        let (mut masks, space) = (Masks::none(&net), net.space(net.find(layer).unwrap()));
        let z: Vec<f32> = (0..net.spaces()[space].units).map(|i| f32::from(u8::from(open(i)))).collect();
        masks.set(&net, space, Mask::Shared(Tensor::new(z, &Device::Cpu).unwrap())).unwrap();
        masks
    };
    assert_eq!(check_statistics(&net, 1, &masks("features", &|feature| feature >= 16)), (2, 1));
    assert_eq!(check_statistics(&net, 1, &masks("features", &|_| false)), (0, 3));
    assert_eq!(check_statistics(&net, 1, &masks("conv", &|map| map == 1)), (3, 0));
    assert_eq!(check_statistics(&net, 1, &masks("conv", &|_| false)), (3, 0));
    // The input's channels are closed: what is left of each channel of the convolution is its bias, the mean of a
    // constant.
    assert_eq!(check_statistics(&net, 1, &masks("input", &|_| false)), (3, 0));
}

#[test]
fn a_batch_of_one_teaches_the_mean_and_leaves_the_variance() {
    let mut features = Builder::features("input", 3);
    features.linear("fc", 4).closed_channels(ClosedChannels::Constant).batch_norm("bn").relu().linear("out", 2);
    let mut image = Builder::image("input", 3, 1, 1);
    image
        .conv2d("fc", 4, 1)
        .closed_channels(ClosedChannels::Constant)
        .batch_norm("bn")
        .relu()
        .flatten("flat")
        .linear("out", 2);
    for builder in [features, image] {
        let net = builder.build().unwrap();
        let params = random_params(&net, 1);
        let mut masks = Masks::none(&net);
        // The last unit is closed: it is known to be its bias, or 0, everywhere.
        masks
            .set(&net, net.space(1), Mask::Shared(Tensor::new(&[1f32, 1.0, 1.0, 0.0], &Device::Cpu).unwrap()))
            .unwrap();
        let xs = random_input(&net, 1, 1);
        let values = |name: &str| params.get(name).unwrap().var.to_vec1::<f32>().unwrap();
        let (old_mean, old_var) = (values("bn.running_mean"), values("bn.running_var"));
        let pass = net.forward(&params.weights(), &xs, &masks, Mode::Train(&|_| stream(1, "dropout"))).unwrap();
        params.learn(&pass.statistics).unwrap();
        let (mean, var) = (values("bn.running_mean"), values("bn.running_var"));
        assert_eq!(var[..3], old_var[..3]);
        assert!((var[3] - 0.9 * old_var[3]).abs() < 1e-6, "{} of {}", var[3], old_var[3]);
        assert!(mean[..3].iter().zip(&old_mean).all(|(new, old)| new != old), "{mean:?}");
    }
}

fn keeps_closed_channels_zero(net: &Net) -> bool {
    net.nodes().iter().any(|node| matches!(node.layer, Layer::BatchNorm(norm) if norm.closed == ClosedChannels::Zero))
}

#[test]
fn a_mask_per_example_equals_a_shared_one_with_equal_rows() {
    for seed in 300..320 {
        let net = random_net(seed);
        let params = random_params(&net, seed);
        let (shared, vars) = random_masks(&net, seed, 0.6, true);
        let mut each = Masks::none(&net);
        for (space, z) in vars.iter().enumerate().filter_map(|(i, v)| Some((i, v.as_ref()?))) {
            let rows = z.as_tensor().broadcast_as((4, z.elem_count())).unwrap().contiguous().unwrap();
            each.set(&net, space, Mask::PerExample(rows)).unwrap();
        }
        if keeps_closed_channels_zero(&net) {
            continue; // refused: whether a channel is closed is then a question for each example
        }
        let xs = random_input(&net, seed, 4);
        let run = |masks| net.forward(&params.detached(), &xs, masks, Mode::Eval).unwrap().ys;
        assert!(difference(&run(&shared), &run(&each)) < 2e-5, "seed {seed}");
    }
}

/// A constant that meets a scale per example is not one any more.
#[test]
fn shared_masks_beside_masks_per_example() {
    for seed in 400..460 {
        let net = random_net(seed);
        let params = random_params(&net, seed);
        let (_, vars) = random_masks(&net, seed, if seed % 3 == 0 { 0.0 } else { 0.4 }, true);
        let mut masks = Masks::none(&net);
        for (space, z) in vars.iter().enumerate().filter_map(|(i, v)| Some((i, v.as_ref()?))) {
            let each =
                Tensor::from_vec(stream(seed, "each").uniforms(4 * z.elem_count()), (4, z.elem_count()), &Device::Cpu);
            let mask = if (seed + space as u64).is_multiple_of(2) {
                Mask::Shared(z.as_tensor().clone())
            } else {
                Mask::PerExample(each.unwrap())
            };
            masks.set(&net, space, mask).unwrap();
        }
        let xs = random_input(&net, seed, 4);
        let ours = match net.forward(&params.detached(), &xs, &masks, Mode::Eval) {
            Err(error) if keeps_closed_channels_zero(&net) => {
                assert!(error.to_string().contains("differs between examples"), "seed {seed}: {error}");
                continue;
            }
            ours => ours.unwrap().ys,
        };
        let theirs = reference(&net, &params.detached(), &xs, &masks, false).unwrap();
        assert!(difference(&theirs, &ours) < 5e-5, "seed {seed} differs by {}", difference(&theirs, &ours));
    }
}

fn lenet() -> l0_net::Net {
    let mut b = Builder::image("input", 1, 28, 28);
    b.conv2d("conv1", 20, 5).relu().max_pool2d(2).conv2d("conv2", 50, 5).relu().max_pool2d(2);
    b.flatten("features").linear("fc1", 500).relu().linear("fc2", 10);
    b.build().unwrap()
}

#[test]
fn lenet_counts() {
    let cost = lenet().cost();
    assert_eq!((cost.weights(), cost.params(), cost.macs()), (430_500, 431_080, 2_293_000));
}

/// The paper's 9-18-65-25 keeps 1.4 % of the weights and 391 k multiply-accumulates.
#[test]
fn hard_counts_take_off_pruned_inputs_and_outputs() {
    let net = lenet();
    let mut masks = Masks::none(&net);
    let mut open = |name: &str, f: &dyn Fn(usize) -> bool| {
        let space = net.space(net.find(name).unwrap());
        let z: Vec<f32> = (0..net.spaces()[space].units).map(|i| if f(i) { 0.5 } else { 0.0 }).collect();
        masks.set(&net, space, Mask::Shared(Tensor::new(z, &Device::Cpu).unwrap())).unwrap();
    };
    open("conv1", &|i| i < 9);
    open("conv2", &|i| i < 18);
    open("features", &|i| !(65..288).contains(&i)); // the features of closed channels are gone whatever their own gates say
    open("fc1", &|i| i < 25);
    let plan = Plan::new(&net, &masks, false);
    let cost = net.cost_of(&plan);
    // Channel 17 and others have no open feature: only channels 0..5 are read.
    assert_eq!(plan.kept(net.find("features").unwrap()).len(), 65);
    assert_eq!(plan.kept(net.find("conv2").unwrap()).len(), 5);
    assert_eq!(cost.layers[2].units, (65, 25));
    assert_eq!(cost.weights(), 9 * 25 + 9 * 5 * 25 + 65 * 25 + 250);
}
