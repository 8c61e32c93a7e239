//! A masked pass computes the sub-network of open units alone; its outputs and gradients are those of the full network.
#![allow(missing_docs)]

mod common;

use candle_core::{Device, Tensor};
use common::*;
use l0_net::{Builder, ClosedMaps, Mask, Masks, Mode, Plan};

/// Compares loss and every gradient of the masked pass with the full-size reference.
fn check(seed: u64, share: f32, all_spaces: bool, training: bool) {
    let net = random_net(seed);
    let params = random_params(&net, seed);
    let (masks, mask_vars) = random_masks(&net, seed, share, all_spaces);
    let xs = random_input(&net, seed, 4);
    let noise = |_: &str| stream(seed, "dropout");
    let mode = if training { Mode::Train(&noise) } else { Mode::Eval };

    let ours = net.forward(&params.weights(), &xs, &masks, mode).unwrap().ys;
    let theirs = reference(&net, &params.weights(), &xs, &masks, training).unwrap();
    // Normalising four examples magnifies rounding.
    let tolerance = if training { 2e-4 } else { 5e-5 };
    assert!(difference(&theirs, &ours) < tolerance, "outputs of seed {seed} differ by {}", difference(&theirs, &ours));

    let upstream = Tensor::from_vec(stream(seed, "up").normals(12), (4, 3), &Device::Cpu).unwrap();
    let grads = |ys: &Tensor| (ys * &upstream).unwrap().sum_all().unwrap().backward().unwrap();
    let (ours, theirs) = (grads(&ours), grads(&theirs));
    let vars = params.iter().map(|p| (p.name.clone(), &p.var));
    // A gate at exactly 0 is flat: what its own gradient would be is nobody's business, but that of open ones is.
    for (name, var) in vars {
        let zeros = var.zeros_like().unwrap();
        let (a, b) = (theirs.get(var).unwrap_or(&zeros), ours.get(var).unwrap_or(&zeros));
        assert!(
            difference(a, b) < if training { 5e-4 } else { 1e-4 },
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
        assert!(difference(&a, &b) < 1e-4, "gradient of mask {name} differs by {} (seed {seed})", difference(&a, &b));
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
        if net.nodes().iter().any(|n| matches!(n.layer, l0_net::Layer::BatchNorm { closed: ClosedMaps::Zero, .. })) {
            continue; // whether a map is closed is then a question for each example
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
        let ours = net.forward(&params.detached(), &xs, &masks, Mode::Eval).unwrap().ys;
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
    open("features", &|i| !(65..288).contains(&i)); // the features of closed maps are gone whatever their own gates say
    open("fc1", &|i| i < 25);
    let plan = Plan::new(&net, &masks, false);
    let cost = net.cost_of(&plan);
    // Map 17 and others have no open feature: only maps 0..5 are read.
    assert_eq!(plan.kept(net.find("features").unwrap()).len(), 65);
    assert_eq!(plan.kept(net.find("conv2").unwrap()).len(), 5);
    assert_eq!(cost.layers[2].units, (65, 25));
    assert_eq!(cost.weights(), 9 * 25 + 9 * 5 * 25 + 65 * 25 + 250);
}
