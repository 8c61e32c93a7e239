//! Networks of whole numbers: an engine gives what the network gives that rounds numbers, but for ties.
#![allow(missing_docs)]

#[path = "../../net/tests/common/mod.rs"]
mod common;

use candle_core::{Device, Tensor};
use common::{difference, random_input, random_params};
use l0_infer::{Engine, Error};
use l0_net::layers::{BatchNorm, Conv2d, MaxPool2d, Scale, Take};
use l0_net::{Activation, Builder, ClosedChannels, Grid, Model, Net, Params, Shape, Sides, Weights};
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
    residual.conv2d_same("conv3", 6, 3, 1).add(skip).layer("bn2", norm).relu().global_avg_pool().linear("fc", 5);
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

/// Grids whose scales are powers of two.
const FINE: Activation = Activation::Quantise(Grid { scale: 0.125, zero: 100, signed: false });
const SIGNED: Activation = Activation::Quantise(Grid { scale: 0.125, zero: -20, signed: true });
const COARSE: Activation = Activation::Quantise(Grid { scale: 0.25, zero: 110, signed: false });

/// Weights that are whole numbers of 1/64 and, for an input of `FINE`, biases that are such of the step of a sum: the
/// largest weight of each output is 64 of them and another one is 1, so that 1/64 is the scale that an engine finds.
fn powers_of_two(net: &Net) -> Weights {
    let params = Params::init(net, 1, &Device::Cpu).unwrap();
    for p in params.iter() {
        let (n, dims) = (p.var.elem_count(), p.var.dims().to_vec());
        let value = |i: usize| match (p.name.as_str(), i % (n / dims[0])) {
            ("map.weight", 0) => 1.0,
            ("map.weight", 1) => 1.0 / 64.0,
            ("map.weight", _) => ((i * 37 % 101) as f32 - 50.0) / 64.0,
            ("scale.weight", _) => [0.5, -2.0, 1.0][i % 3],
            _ => ((i * 37 % 101) as f32 - 50.0) / 512.0,
        };
        let values = (0..n).map(value).collect::<Vec<f32>>();
        p.var.set(&Tensor::from_vec(values, dims, &Device::Cpu).unwrap()).unwrap();
    }
    params.detached()
}

/// Adds layers to a network.
type Build<'a> = &'a dyn Fn(&mut Builder) -> &mut Builder;

fn made(shape: Shape, build: Build) -> Net {
    let mut b = match shape {
        Shape::Image(c, h, w) => Builder::image("xs", c, h, w),
        Shape::Features(n) => Builder::features("xs", n),
    };
    build(&mut b).build().unwrap()
}

/// A network that makes codes of its input first.
fn of_codes(shape: Shape, build: Build) -> Net {
    made(shape, &|b| build(b.activation(FINE)))
}

/// The sum of two kinds of codes.
fn sum(b: &mut Builder) -> &mut Builder {
    let xs = b.tip();
    let fine = b.activation(FINE).tip();
    b.at(xs).activation(SIGNED).add(fine).activation(COARSE)
}

/// Networks of one step on codes each, between those that make codes of numbers and numbers of codes.
fn steps() -> Vec<(&'static str, Net)> {
    let (image, features) = (Shape::Image(3, 5, 4), Shape::Features(13));
    let conv = Conv2d::new(9, 2).padding([1, 0, 0, 1]);
    let some = Take { units: vec![59, 0, 7] };
    vec![
        ("encode", made(image, &|b| b.activation(FINE))),
        ("encode, signed", made(features, &|b| b.activation(SIGNED))),
        ("other codes", of_codes(image, &|b| b.activation(COARSE))),
        ("convolution", of_codes(image, &|b| b.layer("map", conv).activation(COARSE))),
        ("convolution and relu", of_codes(image, &|b| b.layer("map", conv).relu().activation(SIGNED))),
        ("strided convolution", of_codes(image, &|b| b.layer("map", conv.stride(2)).activation(FINE))),
        ("linear to codes", of_codes(features, &|b| b.linear("map", 11).activation(COARSE))),
        ("linear to numbers", of_codes(features, &|b| b.linear("map", 11))),
        ("scale", of_codes(image, &|b| b.layer("scale", Scale).activation(COARSE))),
        (
            "scale and clip",
            of_codes(image, &|b| b.layer("scale", Scale).activation(Activation::RELU6).activation(SIGNED)),
        ),
        ("sum", made(image, &sum)),
        ("mean", of_codes(Shape::Image(70, 4, 2), &|b| b.global_avg_pool())),
        ("largest", of_codes(image, &|b| b.max_pool2d(2))),
        ("flatten and take", of_codes(image, &|b| b.flatten("features").layer("some", some.clone()))),
    ]
}

/// Where scales are powers of two, every number on the way is exact, in an engine as in a forward pass: both make the
/// same codes, those of ties and beyond the ends among them.
#[test]
fn each_step_on_codes_gives_what_rounded_numbers_give_to_the_bit() {
    for (name, net) in steps() {
        let (batch, mut dims) = (3, net.shape(0).dims());
        dims.insert(0, batch);
        let n = dims.iter().product();
        let numbers: Vec<f32> = (0..n).map(|i| (i * 7919 % 641) as f32 / 16.0 - 20.0).collect();
        let model = Model::new(net.clone(), powers_of_two(&net)).unwrap();
        let ys = model.forward(&Tensor::from_slice(&numbers, dims, &Device::Cpu).unwrap()).unwrap();
        let expected: Vec<f32> = ys.flatten_all().unwrap().to_vec1().unwrap();
        let mut engine = Engine::new(&model.net, &model.weights).unwrap();
        assert_eq!(engine.run(&numbers, batch).unwrap(), expected, "{name}");
        let mut maps = net.affine().map(|id| net.int8(&model.weights, id).unwrap().map(|(_, codes)| codes.scales[0]));
        assert!(maps.all(|scale| scale == Some(1.0 / 64.0)), "{name}");
    }
}

#[test]
fn the_mean_of_a_large_image_of_codes_is_exact() {
    let mut b = Builder::image("image", 1, 512, 512);
    b.activation(Activation::Quantise(Grid { scale: 1.0, zero: 0, signed: false })).global_avg_pool();
    let net = b.build().unwrap();
    let mut engine = Engine::new(&net, &powers_of_two(&net)).unwrap();
    assert_eq!(engine.run(&[255.0; 512 * 512], 1).unwrap(), [255.0]);
}

#[test]
fn a_padded_image_of_codes_may_be_no_larger_than_one_of_numbers() {
    let mut b = Builder::image("image", 1 << 15, 1, 1);
    b.activation(FINE);
    b.layer("map", Conv2d::new(1, 1).stride(1 << 15).padding((1 << 14) - 1)).activation(COARSE);
    let net = b.build().unwrap();
    let error = Engine::new(&net, &powers_of_two(&net)).unwrap_err();
    assert!(matches!(error, Error::TooLarge { c: 32_768, h: 1, w: 1, padding: [16_383, ..], .. }), "{error}");
}
