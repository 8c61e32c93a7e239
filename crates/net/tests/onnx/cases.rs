//! Networks and their ONNX files, for every runtime that is to read them.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test binary uses its part

#[path = "../common/mod.rs"]
pub mod common;

use candle_core::Tensor;
use l0_net::layers::{AvgPool2d, Bias, Border, Conv2d, Linear, Take};
use l0_net::{Builder, ClosedChannels, Layer, Margins, Masks, Mode, Net, OnnxAbout, Sides, Weights, to_onnx};

use common::{random_net, random_params};

pub const BATCHES: [usize; 3] = [1, 2, 7];

/// A network, the bytes of its file, and its parameters.
pub struct Case {
    pub name: String,
    pub net: Net,
    pub weights: Weights,
    pub file: Vec<u8>,
}

impl Case {
    pub fn new(name: &str, net: Net, seed: u64) -> Self {
        let weights = random_params(&net, seed).detached();
        let about = OnnxAbout {
            producer: "l0-net".into(),
            version: "0.1.0".into(),
            doc: "a random network".into(),
            metadata: [("seed".to_string(), seed.to_string())].into(),
            ends: None,
        };
        let file = to_onnx(&net, &weights, &about).unwrap();
        Self { name: name.into(), net, weights, file }
    }

    pub fn forward(&self, xs: &Tensor) -> Tensor {
        self.net.forward(&self.weights, xs, &Masks::none(&self.net), Mode::Eval).unwrap().ys
    }
}

/// Every kind of layer, on an image that is not square.
pub fn every_layer() -> Net {
    let mut b = Builder::image("image", 2, 11, 9);
    b.layer("conv", Conv2d::new(5, 3).stride(2).padding(1));
    b.layer("map", Bias { per_position: true }).closed_channels(ClosedChannels::Constant).batch_norm("bn").relu();
    let skip = b.tip();
    b.conv2d_same("same", 5, 3, 1).layer("shift", Bias { per_position: false }).add(skip);
    b.layer("edges", Border { margins: Margins { top: 1, bottom: 2, left: 0, right: 1 } }).max_pool2d(2);
    b.layer("some", Take { units: vec![4, 0, 2] }).flatten("features").dropout(0.5);
    b.layer("part", Take { units: (0..18).rev().step_by(2).collect() });
    b.linear("fc1", 6).closed_channels(ClosedChannels::Zero).batch_norm("bn1").relu();
    b.layer("even", Bias { per_position: true }).layer("odd", Bias { per_position: false });
    b.layer("fc2", Linear { out: 3, bias: false });
    b.build().unwrap()
}

/// A parameter of "a", the layer "a.weight" and the empty name cannot all keep theirs.
fn colliding_names() -> Net {
    let mut b = Builder::features("", 4);
    b.linear("a", 3).relu().linear("a.weight", 3).layer("a.weight_", Layer::Relu).dropout(0.5);
    b.build().unwrap()
}

/// Windows that reach beyond zeros that count.
fn counted_zeros() -> Net {
    let mut b = Builder::image("image", 2, 6, 8);
    let (size, stride, padding) = (3.into(), Some(2.into()), Sides::from([1, 0, 1, 0]));
    let pool = AvgPool2d { size, stride, padding, ceil: true, count_include_pad: true };
    b.layer("pool", pool).layer("bare", AvgPool2d { padding: Sides::default(), ..pool });
    b.build().unwrap()
}

pub fn cases() -> Vec<Case> {
    let mut averaged = Builder::image("image", 3, 6, 5);
    averaged.conv2d("conv", 4, 2).global_avg_pool();
    let mut nothing = Builder::features("xs", 3);
    nothing.dropout(0.1);
    let special = [("every-layer", every_layer()), ("names", colliding_names()), ("nothing", nothing.build().unwrap())];
    let mut cases: Vec<Case> = special.into_iter().map(|(name, net)| Case::new(name, net, 1)).collect();
    cases.push(Case::new("average", averaged.build().unwrap(), 2));
    cases.push(Case::new("counted-zeros", counted_zeros(), 3));
    cases.extend((0..40).map(|seed| Case::new(&format!("random-{seed}"), random_net(seed), seed)));
    cases
}
