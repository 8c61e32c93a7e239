//! Networks of whole numbers: an engine gives what the network gives that rounds numbers, but for ties.
#![allow(missing_docs)]

#[path = "../../net/tests/common/mod.rs"]
mod common;

use candle_core::Tensor;
use common::{difference, random_input, random_params};
use l0_infer::Engine;
use l0_net::layers::{BatchNorm, Conv2d, MaxPool2d, Take};
use l0_net::{Activation, Builder, ClosedChannels, Model, Net, Sides};
use l0_quantise::{Calibration, Method};

/// Networks of every layer that has a step for codes, and of some that have none.
fn nets() -> Vec<(&'static str, Net)> {
    let mut plain = Builder::image("image", 1, 13, 12);
    plain.conv2d("conv1", 5, 5).relu().max_pool2d(2).conv2d("conv2", 9, 2).relu();
    plain.layer("pool", MaxPool2d { stride: Some(2.into()), padding: Sides::from(1), ..MaxPool2d::new(3) });
    plain
        .flatten("features")
        .layer("some", Take { units: vec![3, 0, 7, 30, 11] })
        .linear("fc1", 11)
        .relu()
        .linear("fc2", 3);
    let mut residual = Builder::image("image", 3, 9, 8);
    residual.conv2d_same("conv", 6, 3, 1);
    let skip = residual.tip();
    let norm = BatchNorm { eps: 1e-5, momentum: 0.1, closed: ClosedChannels::Zero };
    residual.layer("bn", norm).relu().conv2d_same("conv2", 7, 3, 1).activation(Activation::RELU6);
    residual.conv2d_same("conv3", 6, 3, 1).add(skip).layer("bn2", norm).relu().avg_pool().linear("fc", 5);
    let mut mixed = Builder::image("image", 4, 11, 10);
    mixed.layer("strided", Conv2d::new(8, 3).stride(2).padding([1, 0, 0, 1])).activation(Activation::Silu);
    mixed.layer("grouped", Conv2d { groups: 2, ..Conv2d::new(6, 3) }).relu();
    mixed.layer("dilated", Conv2d { dilation: 2.into(), ..Conv2d::new(5, 2).padding(1) }).relu().flatten("features");
    mixed.linear("fc", 4);
    let nets = [("plain", plain), ("residual", residual), ("mixed", mixed)];
    nets.into_iter().map(|(name, b)| (name, b.build().unwrap())).collect()
}

fn quantised(net: &Net, xs: &Tensor) -> Model {
    let model = Model::new(net.clone(), random_params(net, 3).detached()).unwrap();
    Calibration::of(&model, std::slice::from_ref(xs)).unwrap().quantise(Method::MinMax).unwrap().model
}

#[test]
fn codes_give_what_rounded_numbers_give() {
    for (name, net) in nets() {
        let xs = random_input(&net, 1, 11);
        let model = quantised(&net, &xs);
        let expected = model.forward(&xs).unwrap();
        let flat: Vec<f32> = xs.flatten_all().unwrap().to_vec1().unwrap();
        let mut engine = Engine::new(&model.net, &model.weights).unwrap();
        let ys = engine.run(&flat, 11).unwrap().to_vec();
        let alone: Vec<f32> =
            flat.chunks(engine.input_len()).flat_map(|x| engine.run(x, 1).unwrap().to_vec()).collect();
        assert_eq!(ys, alone, "{name} depends on the batch");
        let ys = Tensor::from_vec(ys, expected.dims(), xs.device()).unwrap();
        let difference = difference(&expected, &ys);
        // A number that lies between two codes may become either, which is a step of a few layers more.
        assert!(difference < 0.02, "{name} differs by {difference}");
    }
}
