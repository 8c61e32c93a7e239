use candle_core::{DType, Device, Module, ModuleT};
use candle_nn::Conv2dConfig;

use super::*;
use crate::testing::{close, message, normal, row, uniform};
use crate::{Gate, GatedLayer, Granularity, HardConcrete, L0Conv2d, L0Linear, LayerConfig};

fn gate(shape: &[usize], log_alpha: &[f32]) -> Gate {
    let log_alpha = Tensor::from_vec(log_alpha.to_vec(), shape, &Device::Cpu).unwrap();
    Gate::new(log_alpha, HardConcrete::default()).unwrap()
}

/// conv1 (gates on its channels 0 to 3) - ReLU - conv2 - ReLU - flatten - fc (gates on its 8 inputs), and the same
/// without what is closed.
#[test]
fn a_model_without_its_closed_units_computes_the_same() {
    let padded = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
    let gates = gate(&[4], &[3.0, -4.0, 0.2, -4.0]);
    let (weight, bias) = (normal(&[4, 2, 3, 3], "w1"), normal(&[4], "b1"));
    let conv1 = L0Conv2d::new(weight, Some(bias), gates, padded, LayerConfig::default()).unwrap();
    let conv2 = Conv2d::new(normal(&[2, 4, 3, 3], "w2"), Some(normal(&[2], "b2")), padded);
    let gates = gate(&[8], &[-4.0, -4.0, -4.0, -4.0, 0.1, 2.0, -4.0, 1.0]);
    let fc = L0Linear::new(normal(&[3, 8], "w3"), Some(normal(&[3], "b3")), gates, LayerConfig::default()).unwrap();
    let xs = normal(&[5, 2, 2, 2], "xs");

    let ys = conv2.forward(&conv1.forward_t(&xs, false).unwrap().relu().unwrap()).unwrap().relu().unwrap();
    let expected = fc.forward_t(&ys.flatten_from(1).unwrap(), false).unwrap();

    let (maps, inputs) = (conv1.kept().unwrap(), fc.kept().unwrap());
    assert_eq!((&maps[..], &inputs[..]), (&[0, 2][..], &[4, 5, 7][..]));
    let conv1 = conv1.shrunk(&[0, 1], &maps).unwrap();
    let conv2 = conv2d(&conv2, &maps, &[1]).unwrap(); // of the second one alone fc reads anything
    let positions: Vec<u32> = inputs.iter().map(|input| input - 4).collect();
    let fc = fc.shrunk(&inputs, &[0, 1, 2]).unwrap();
    assert_eq!(
        (conv1.weight().dims(), conv2.weight().dims(), fc.weight().dims()),
        (&[2, 2, 3, 3][..], &[1, 2, 3, 3][..], &[3, 3][..])
    );
    let ys = conv2.forward(&conv1.forward(&xs).unwrap().relu().unwrap()).unwrap().relu().unwrap();
    let ys = ys.flatten_from(1).unwrap().index_select(&Tensor::new(positions, &Device::Cpu).unwrap(), 1).unwrap();
    close("outputs", &row(&fc.forward(&ys).unwrap()), &row(&expected), 1e-6);
}

#[test]
fn a_batch_norm_keeps_the_statistics_of_its_channels() {
    let (mean, var) = (normal(&[3], "mean"), uniform(&[3], "var"));
    let whole =
        BatchNorm::new_with_momentum(3, mean.clone(), var.clone(), normal(&[3], "w"), normal(&[3], "b"), 1e-3, 0.3)
            .unwrap();
    let plain = BatchNorm::new_no_bias(3, mean, var, 1e-5).unwrap();
    let (xs, kept) = (normal(&[2, 3, 4, 4], "xs"), Tensor::new(&[2u32, 0], &Device::Cpu).unwrap());
    for layer in [whole, plain] {
        let small = batch_norm(&layer, &[2, 0]).unwrap();
        let expected = layer.forward_t(&xs, false).unwrap().index_select(&kept, 1).unwrap();
        let found = small.forward_t(&xs.index_select(&kept, 1).unwrap(), false).unwrap();
        close("normalised", &row(&found), &row(&expected), 1e-7);
        assert_eq!((small.eps(), small.momentum()), (layer.eps(), layer.momentum()));
    }
}

#[test]
fn units_with_a_gate_for_each_weight_are_kept_for_one_that_is_open() {
    let cfg = LayerConfig { granularity: Granularity::Weight, ..LayerConfig::default() };
    let log_alpha = [-4.0, -4.0, 1.0, -4.0, 2.0, -4.0];
    let linear = L0Linear::new(normal(&[2, 3], "w"), None, gate(&[2, 3], &log_alpha), cfg).unwrap();
    assert_eq!(linear.kept().unwrap(), [1, 2]);
    let conv = |bias: Option<Tensor>| {
        let gates = gate(&[3, 1, 1, 1], &[-4.0, -4.0, 1.0]);
        L0Conv2d::new(normal(&[3, 1, 1, 1], "w"), bias, gates, Conv2dConfig::default(), cfg).unwrap()
    };
    assert_eq!(conv(None).kept().unwrap(), [2]);
    // A bias has no gate of its own here, so a channel without open weights still makes it.
    let bias = Tensor::new(&[0.5f32, 0.0, 0.0], &Device::Cpu).unwrap();
    let conv = conv(Some(bias));
    assert_eq!(conv.kept().unwrap(), [0, 2]);
    let ys = conv.forward_t(&normal(&[1, 1, 2, 2], "xs"), false).unwrap();
    assert_eq!(row(&ys)[..8], [0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn channels_become_runs_of_features() {
    assert_eq!(flattened(&[2, 0], 3).unwrap(), [6, 7, 8, 0, 1, 2]);
    assert!(flattened(&[], 3).unwrap().is_empty());
    let error = flattened(&[7], usize::MAX / 2).unwrap_err().to_string();
    assert!(error.starts_with("channel 7 of "), "{error}");
}

#[test]
fn bad_input_is_refused() {
    let layer = Linear::new(normal(&[2, 3], "w"), None);
    assert!(message(linear(&layer, &[0, 3], &[0])).contains("unit 3 is to be kept of 3 inputs, expected 0 to 2"));
    assert!(
        message(linear(&layer, &[0], &[])).contains("nothing is to be kept of 2 outputs: a layer needs at least 1")
    );
    let grouped = Conv2d::new(normal(&[2, 1, 3, 3], "w"), None, Conv2dConfig { groups: 2, ..Conv2dConfig::default() });
    assert!(message(conv2d(&grouped, &[0], &[0])).contains("a convolution of 2 groups, expected 1"));
    let norm = BatchNorm::new_no_bias(2, normal(&[2], "m"), Tensor::ones(2, DType::F32, &Device::Cpu).unwrap(), 1e-5);
    assert!(message(batch_norm(&norm.unwrap(), &[5])).contains("unit 5 is to be kept of 2 channels, expected 0 to 1"));
}
