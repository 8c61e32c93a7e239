//! Which sets of gates a network can have, and which not.
#![allow(missing_docs)]

use candle_core::{Device, Tensor};
use l0::{Estimator, GatedNet, Placement, Side};
use l0_net::layers::{Conv2d, GlobalPool, Take};
use l0_net::{Agreement, Builder, Mode, Net, Prunable, Role};
use l0_rng::{Purpose, Stream};

fn net() -> Net {
    let mut b = Builder::image("image", 1, 4, 4);
    b.conv2d("conv1", 2, 1).relu().conv2d("conv2", 3, 1).relu().flatten("features").linear("fc", 2);
    b.build().unwrap()
}

fn gated(placements: &[(&str, Side)]) -> l0::Result<GatedNet> {
    GatedNet::new(net(), &placements.iter().map(|&(layer, side)| Placement::new(layer, side)).collect::<Vec<_>>())
}

#[test]
fn every_space_and_every_layer_has_one_set() {
    let network = gated(&[("conv1", Side::Output), ("conv2", Side::Output), ("fc", Side::Input)]).unwrap();
    let params = network.init(1, &candle_core::Device::Cpu).unwrap();
    assert_eq!(network.gated_units(), [2, 3, 48]);
    assert_eq!(params.get("fc.log_alpha").unwrap().var.dims(), [48]);

    let error = gated(&[("conv2", Side::Input), ("conv2", Side::Output)]).unwrap_err().to_string();
    let expected = "node \"conv2\": has gates on its input already; a layer holds one set, \"conv2.log_alpha\"; gate its \
                    output units as those of the layer next to it";
    assert_eq!(error, expected);
    let error = gated(&[("conv1", Side::Output), ("conv2", Side::Input)]).unwrap_err().to_string();
    let expected = "node \"conv2\": its gates are on the units of \"conv1\", which \"conv1\" gates already";
    assert_eq!(error, expected);
    assert!(gated(&[("features", Side::Output)]).is_err());
}

#[test]
fn the_outputs_of_a_network_have_no_gates() {
    let error = gated(&[("fc", Side::Output)]).unwrap_err().to_string();
    assert!(error.starts_with("node \"fc\": its gates are on the outputs of the network"), "{error}");

    // Behind layers that hand units on one by one, outputs are in a space of another name.
    let ends: [fn(&mut Builder); 3] = [
        |b| _ = b.relu().identity().identity(),
        |b| _ = b.flatten("flat"),
        |b| _ = b.layer("taken", Take { units: vec![1, 0] }),
    ];
    for end in ends {
        let mut b = Builder::image("image", 1, 4, 4);
        end(b.conv2d("conv1", 3, 1).conv2d("conv2", 2, 1));
        let net = b.build().unwrap();
        let gates = |side| GatedNet::new(net.clone(), &[Placement::new("conv2", side)]).map(|_| ());
        assert!(gates(Side::Output).unwrap_err().to_string().contains("on the outputs of the network"));
        gates(Side::Input).unwrap();
    }
}

/// conv1 and a shortcut, summed; `branch` puts an identity before the sum.
fn residual(branch: bool) -> Net {
    let mut b = Builder::image("image", 1, 4, 4);
    let image = b.tip();
    b.conv2d("conv1", 3, 1);
    if branch {
        b.identity();
    }
    let conv1 = b.tip();
    b.at(image).conv2d("short", 3, 1).add(conv1).relu().flatten("features").linear("fc", 2);
    b.build().unwrap()
}

/// What is left of a network whose first gate on conv1 is closed: which channels of conv1 and of the sum.
fn left(net: &Net) -> [Vec<u32>; 2] {
    let (conv1, sum) =
        (net.find("conv1").unwrap(), net.nodes().iter().position(|node| node.inputs.len() == 2).unwrap());
    let mut masks = l0_net::Masks::none(net);
    let closed = candle_core::Tensor::new(&[0f32, 1.0, 1.0], &candle_core::Device::Cpu).unwrap();
    masks.set(net, net.space(conv1), l0_net::Mask::Shared(closed)).unwrap();
    let plan = l0_net::Plan::new(net, &masks, false);
    [conv1, sum].map(|node| plan.kept(node).iter().map(|unit| unit as u32).collect())
}

#[test]
fn gates_before_a_sum_close_the_shared_channel_or_the_branch_alone() {
    assert_eq!(left(&residual(false)), [vec![1, 2], vec![1, 2]]);
    assert_eq!(left(&residual(true)), [vec![1, 2], vec![0, 1, 2]]);
}

/// The branch as a hand-written model gates it: `conv1(xs) z + short(xs)`.
#[test]
fn a_branch_gated_in_a_description_computes_what_a_hand_written_one_does() {
    use candle_core::{DType, Device, Module, ModuleT, Tensor};
    use candle_nn::{Conv2dConfig, VarBuilder, VarMap, conv2d, linear};
    let varmap = VarMap::new();
    let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
    let conv1 =
        l0::l0_conv2d(1, 3, 1, candle_nn::Conv2dConfig::default(), l0::LayerConfig::default(), vb.pp("conv1")).unwrap();
    let short = conv2d(1, 3, 1, Conv2dConfig::default(), vb.pp("short")).unwrap();
    let fc = linear(48, 2, vb.pp("fc")).unwrap();
    // Candle draws first values without a seed: positive ones are never all cut off by the ReLU.
    varmap.all_vars().iter().for_each(|var| var.set(&(var.as_tensor().abs().unwrap() + 0.1).unwrap()).unwrap());
    varmap.data().lock().unwrap()["conv1.log_alpha"]
        .set(&Tensor::new(&[-4f32, 0.3, 4.0], &Device::Cpu).unwrap())
        .unwrap();
    let xs = Tensor::arange(0f32, 32.0, &Device::Cpu).unwrap().reshape((2, 1, 4, 4)).unwrap();
    let ys = (conv1.forward_t(&xs, false).unwrap() + short.forward(&xs).unwrap()).unwrap().relu().unwrap();
    let ys = fc.forward(&ys.flatten_from(1).unwrap()).unwrap();

    let gates = Placement::new("conv1", Side::Output);
    let differs = |branch: bool| {
        let network = GatedNet::new(residual(branch), std::slice::from_ref(&gates)).unwrap();
        let import = l0_net::Import::from_varmap(network.net(), &varmap).unwrap();
        assert_eq!(import.left_over, ["conv1.log_alpha"]);
        let params = network.init_with(&import.weights, 1, &Device::Cpu).unwrap();
        let log_alpha = varmap.data().lock().unwrap()["conv1.log_alpha"].as_tensor().clone();
        params.get("conv1.log_alpha").unwrap().var.set(&log_alpha).unwrap();
        let masks = network.test_masks(&params.detached(), l0::Estimator::Mean).unwrap();
        let model = network.net().compact(&params.detached(), &masks).unwrap();
        l0_net::Agreement::of(&ys, &model.forward(&xs).unwrap()).unwrap().largest_difference
    };
    assert!(differs(true) < 1e-4 && differs(false) > 1e-2, "{} {}", differs(true), differs(false));
}

/// A residual network with a depthwise branch, a concatenation and a squeeze-and-excitation: what people bring.
fn brought() -> Net {
    let mut b = Builder::image("image", 3, 8, 8);
    b.closed_channels(l0_net::ClosedChannels::Zero);
    b.layer("stem", Conv2d::new(8, 3).padding(1).without_bias()).batch_norm("bn0").relu();
    let stream = b.tip();
    b.layer("expand", Conv2d::new(12, 1)).relu();
    b.layer("depthwise", Conv2d::new(12, 3).padding(1).groups(12)).relu();
    b.layer("project", Conv2d::new(8, 1)).add(stream).relu();
    let wide = b.tip();
    b.layer("branch", Conv2d::new(5, 3).padding(1)).relu().concat(&[wide]);
    let image = b.tip();
    b.layer("squeeze", GlobalPool { keep: true, ..GlobalPool::default() });
    b.layer("reduce", Conv2d::new(4, 1)).relu().layer("excite", Conv2d::new(13, 1));
    b.activation(l0_net::Activation::Sigmoid).mul(image);
    b.layer("narrow", Conv2d::new(6, 1)).relu().layer("grouped", Conv2d::new(4, 3).groups(2));
    b.layer("head", Conv2d::new(7, 1)).relu().global_avg_pool().linear("fc", 10);
    b.build().unwrap()
}

#[test]
fn gates_place_themselves_on_every_space_that_can_shrink() {
    let network = GatedNet::prunable(brought(), 0.01).unwrap();
    let layers: Vec<&str> = network.placements().map(|placement| placement.layer.as_str()).collect();
    // Not "depthwise" and "project", which share the channels of "expand" and "stem"; not "excite", which scales the
    // channels of an image; not the channels of the groups; not the classes.
    assert_eq!(layers, ["stem", "expand", "branch", "reduce", "head"]);
    // A channel of the stream is a row of the two convolutions that write it; one of the depthwise pair a row of both.
    let weights = [8 * (3 * 9 + 12 + 1), 12 * (8 + 1 + 9 + 1)];
    assert_eq!(network.gated_parameters()[..4], ["stem.weight", "project.weight", "project.bias", "expand.weight"]);
    let one = |layer: &str| GatedNet::new(brought(), &[Placement::new(layer, Side::Coupled)]).unwrap();
    assert_eq!(["stem", "expand"].map(|layer| one(layer).gated_weights()), weights);
    assert_eq!(network.gated_units(), [8, 12, 5, 4, 7]);
}

#[test]
fn gates_are_placed_on_the_layers_that_are_chosen() {
    let net = brought();
    let chosen = Prunable::of(&net).only(&["project", "redu*", "head"]).and_then(|c| c.except(&["head"])).unwrap();
    let network = GatedNet::on(&chosen, 0.01).unwrap();
    let layers: Vec<&str> = network.placements().map(|placement| placement.layer.as_str()).collect();
    assert_eq!(layers, ["stem", "reduce"], "what is projected is added to the channels of the stem");
}

#[test]
fn a_network_pruned_where_gates_placed_themselves_computes_what_the_gated_one_does() {
    let network = GatedNet::prunable(brought(), 0.5).unwrap();
    for seed in 0..20 {
        let params = network.init(seed, &Device::Cpu).unwrap();
        for gate in params.iter().filter(|param| param.role == Role::Mask) {
            let values = Stream::new(seed, Purpose::Other, 0, 0, &gate.name).normals(gate.var.elem_count());
            gate.var.set(&Tensor::new(values, &Device::Cpu).unwrap().affine(2.0, 0.0).unwrap()).unwrap();
        }
        let weights = params.detached();
        let pruned = network.pruned(&weights, Estimator::Median).unwrap();
        let model = network.net().compact(&weights, &pruned.masks).unwrap();
        let xs = Stream::new(seed, Purpose::Other, 0, 0, "images").normals(4 * 3 * 64);
        let xs = Tensor::from_vec(xs, (4, 3, 8, 8), &Device::Cpu).unwrap();
        let gated = network.net().forward(&weights, &xs, &pruned.masks, Mode::Eval).unwrap().ys;
        let agreement = Agreement::of(&gated, &model.forward(&xs).unwrap()).unwrap();
        assert!(agreement.passes(), "seed {seed}: {agreement}");
        assert_eq!(pruned.cost.macs(), model.net.cost().macs(), "seed {seed}");
    }
}
