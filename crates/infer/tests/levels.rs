//! Networks at every level of instructions, in a process of its own, since a level is that of a whole process.
#![allow(missing_docs)]

use candle_core::{Device, Tensor};
use l0_infer::Engine;
use l0_lanes::Level;
use l0_net::{Activation, Builder, Model, Net, Params};
use l0_rng::{Purpose, Stream};

/// Direct convolutions, pooled and not, minimal filtering, a stride, a sum of branches, and linear layers of odd sizes.
fn network() -> Net {
    let mut b = Builder::image("image", 3, 21, 30);
    b.conv2d("conv1", 7, 5).relu().max_pool2d(2).conv2d_same("conv2", 13, 3, 1).batch_norm("norm").relu();
    let branch = b.tip();
    b.conv2d_same("conv3", 13, 3, 1).add(branch).relu().conv2d_same("conv4", 9, 3, 2).activation(Activation::Sigmoid);
    b.flatten("features").linear("fc1", 45).relu().linear("fc2", 25);
    b.build().unwrap()
}

#[test]
fn every_level_computes_the_network() {
    let net = network();
    let weights = Params::init(&net, 1, &Device::Cpu).unwrap().detached();
    let numbers = Stream::new(2, Purpose::Other, 0, 0, "images").normals(5 * 3 * 21 * 30);
    let xs = Tensor::from_slice(&numbers, (5, 3, 21, 30), &Device::Cpu).unwrap();
    let ys = Model::new(net.clone(), weights.clone()).unwrap().forward(&xs).unwrap();
    let expected: Vec<f32> = ys.flatten_all().unwrap().to_vec1().unwrap();
    let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    let mut with_multiply_adds: Option<Vec<f32>> = None;
    for level in Level::available() {
        assert_eq!(Level::limit(level), level);
        let mut engine = Engine::new(&net, &weights).unwrap();
        let found = engine.run(&numbers, 5).unwrap().to_vec();
        let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let difference = differences.fold(0f32, |most, d| if most.is_nan() || d <= most { most } else { d });
        assert!(difference < 1e-5 * largest, "{level:?} differs by {difference} of {largest}");
        if level > Level::Plain {
            assert_eq!(with_multiply_adds.get_or_insert_with(|| found.clone()), &found, "bits of two levels");
        }
    }
}
