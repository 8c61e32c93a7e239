//! Masked products of two inputs whose closed units are constants.
#![allow(missing_docs)]

mod common;

use candle_core::{Device, Tensor};
use common::{difference, random_input, random_params, reference, stream};
use l0_net::layers::{Conv2d, GlobalPool};
use l0_net::{Builder, Mask, Masks, Mode, Net, NodeId};

/// Squeeze-and-excitation of an image of four channels, its factors made by a padded convolution of one position; with
/// the layers whose units are to be closed.
fn excited(image_first: bool, relu: bool) -> (Net, [NodeId; 2]) {
    let mut b = Builder::image("image", 3, 5, 6);
    let conv = b.conv2d("conv", 4, 3).tip();
    let image = b.batch_norm("bn").tip();
    let squeeze = b.layer("pool", GlobalPool { keep: true, ..GlobalPool::default() }).conv2d("squeeze", 2, 1).tip();
    let factors = b.batch_norm("bn_squeezed").layer("excite", Conv2d::new(4, 3).padding(1)).tip();
    if image_first {
        b.at(image).mul(factors);
    } else {
        b.at(factors).mul(image);
    }
    if relu {
        b.relu();
    }
    b.flatten("features").linear("fc", 3);
    (b.build().unwrap(), [conv, squeeze])
}

#[test]
fn the_product_of_constants_has_the_positions_of_the_image() {
    for (image_first, relu) in [(false, false), (true, false), (false, true), (true, true)] {
        let (net, [conv, squeeze]) = excited(image_first, relu);
        let (params, xs) = (random_params(&net, 1), random_input(&net, 1, 4));
        let mut masks = Masks::none(&net);
        for (node, z) in [(conv, vec![0.0f32, 1.0, 0.5, 1.0]), (squeeze, vec![0.0; 2])] {
            let z = Tensor::from_vec(z.clone(), z.len(), &Device::Cpu).unwrap();
            masks.set(&net, net.space(node), Mask::Shared(z)).unwrap();
        }
        let noise = |_: &str| stream(1, "dropout");
        for mode in [Mode::Eval, Mode::Train(&noise)] {
            let training = matches!(mode, Mode::Train(_));
            let ours = net.forward(&params.weights(), &xs, &masks, mode).unwrap().ys;
            let theirs = reference(&net, &params.weights(), &xs, &masks, training).unwrap();
            let difference = difference(&theirs, &ours);
            assert!(difference < 2e-4, "image first {image_first}, relu {relu}, training {training}: {difference}");
        }
    }
}
