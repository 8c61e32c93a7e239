//! What closed channels leave of a Wide ResNet: less work in a training step, and an equal, smaller network.
#![allow(missing_docs)]

use candle_core::{Device, Tensor};
use l0::{Estimator, GatedNet};
use l0_net::layers::Border;
use l0_net::{Agreement, ClosedChannels, Layer, Mask, Masks, Mode, Params, Role};
use l0_rng::{Purpose, Stream};
use l0_wide_resnet::{Config, l0, wrn_16_1};

fn stream(name: &str) -> Stream {
    Stream::new(1, Purpose::Other, 0, 0, name)
}

/// WRN-10-2 on small images: every kind of block there is.
fn network(closed: ClosedChannels) -> GatedNet {
    let config = Config { depth: 10, width: 2, image: (3, 12, 12), closed, ..wrn_16_1(10) };
    l0(&config).unwrap()
}

/// Values as after a training: normalisations and statistics of their own, every third gate closed, in the second group
/// all of them.
fn trained(network: &GatedNet) -> Params {
    let params = network.init(1, &Device::Cpu).unwrap();
    for param in params.iter() {
        let (n, mut stream) = (param.var.elem_count(), stream(&param.name));
        let values: Vec<f32> = match param.role {
            Role::Weight | Role::Bias => continue,
            Role::Mask if param.name.starts_with("group2") => vec![-3.0; n],
            Role::Mask => (0..n).map(|unit| if unit % 3 == 0 { -3.0 } else { 1.0 }).collect(),
            Role::Statistic if param.name.ends_with("var") => stream.uniforms(n).iter().map(|u| 0.5 + u).collect(),
            _ => stream.normals(n).iter().map(|z| 0.3 * z + 0.5).collect(),
        };
        param.var.set(&Tensor::from_vec(values, param.var.dims(), &Device::Cpu).unwrap()).unwrap();
    }
    params
}

fn images(n: usize) -> Tensor {
    Tensor::from_vec(stream("images").normals(n * 3 * 144), (n, 3, 12, 12), &Device::Cpu).unwrap()
}

fn check_compact(closed: ClosedChannels) {
    let network = network(closed);
    let weights = trained(&network).detached();
    let masks = network.test_masks(&weights, Estimator::Mean).unwrap();
    let model = network.net().compact(&weights, &masks).unwrap();
    let expected = network.net().forward(&weights, &images(9), &masks, Mode::Eval).unwrap().ys;
    let mut agreement = Agreement::default();
    agreement.add(&expected, &model.forward(&images(9)).unwrap()).unwrap();
    assert!(agreement.passes(), "{closed:?}: {agreement}");

    assert!(model.net.find("group2.block1.conv1").is_err(), "{closed:?}: all its channels are closed");
    let conv1 = model.net.node(model.net.find("group1.block1.conv1").unwrap());
    assert!(matches!(conv1.layer, Layer::Conv2d(conv) if conv.out == 21), "{closed:?}: {:?}", conv1.layer);
    // Normalised, a closed channel of the paper's network is a constant that the padding makes uneven.
    let border = model.net.find("group1.block1.conv2.border").map(|id| model.net.node(id).layer.clone());
    match closed {
        ClosedChannels::Zero => assert!(border.is_err()),
        ClosedChannels::Constant => {
            let Ok(Layer::Border(Border { margins })) = border else { panic!("{border:?}") };
            assert_eq!(margins.dims(), (3, 3));
        }
    }
}

#[test]
fn compact_networks_are_equal() {
    check_compact(ClosedChannels::Constant);
    check_compact(ClosedChannels::Zero);
}

/// Gradients of a step with closed channels left out, against those of the whole network with its masks multiplied in.
#[test]
fn a_step_without_closed_channels_has_the_gradients_of_the_whole_step() {
    let network = network(ClosedChannels::Constant);
    let params = trained(&network);
    let weights = params.weights();
    let closed = network.test_masks(&weights, Estimator::Mean).unwrap();
    let gradients = |masks: &Masks| {
        let ys = network.net().forward(&weights, &images(4), masks, Mode::Train(&|name| stream(name))).unwrap().ys;
        let grads = ys.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        ["conv", "group1.block1.conv1", "group1.block1.conv2", "group3.block1.conv1", "fc"].map(|layer| {
            let grad = grads.get(params.get(&format!("{layer}.weight")).unwrap().var.as_tensor()).unwrap();
            grad.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        })
    };
    for (few, all) in gradients(&closed).iter().zip(gradients(&computed(&network, &closed))) {
        let largest = all.iter().fold(0f32, |most, g| most.max(g.abs()));
        assert!(few.iter().zip(&all).all(|(a, b)| (a - b).abs() < 1e-3 * largest));
    }
}

/// The same masks, closed channels scaled by next to nothing in place of nothing, so that they are computed.
fn computed(network: &GatedNet, masks: &Masks) -> Masks {
    let net = network.net();
    let mut all = Masks::none(net);
    for placement in network.placements() {
        let space = net.space(net.find(&placement.layer).unwrap());
        let Some(Mask::Shared(z)) = masks.get(space) else { continue };
        all.set(net, space, Mask::Shared((z + 1e-12).unwrap())).unwrap();
    }
    all
}
