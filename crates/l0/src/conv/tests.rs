use candle_core::{DType, Device};
use candle_nn::{Module, Optimizer, VarMap};

use super::*;
use crate::testing::{close, gradient, message, normal, row, scalar, uniform};
use crate::{Estimator, HardConcrete, Penalty};

const WEIGHT: [usize; 4] = [4, 2, 3, 3];
const XS: [usize; 4] = [5, 2, 7, 6];
const GRANULARITIES: [Granularity; 2] = [Granularity::Unit, Granularity::Weight];

fn gates(granularity: Granularity) -> &'static [usize] {
    match granularity {
        Granularity::Unit => &WEIGHT[..1],
        Granularity::Weight => &WEIGHT,
    }
}

fn layer_of(granularity: Granularity, geometry: Conv2dConfig, tensors: [&Tensor; 3]) -> L0Conv2d {
    let [weight, bias, log_alpha] = tensors.map(Tensor::clone);
    let gate = Gate::new(log_alpha, HardConcrete::default()).unwrap();
    let cfg = LayerConfig { granularity, ..Default::default() };
    L0Conv2d::new(weight, Some(bias), gate, geometry, cfg).unwrap()
}

fn tensors(granularity: Granularity) -> [Tensor; 3] {
    let log_alpha = (normal(gates(granularity), "log_alpha") * 2.0).unwrap();
    [normal(&WEIGHT, "weight"), normal(&WEIGHT[..1], "bias"), log_alpha]
}

fn layer(granularity: Granularity, geometry: Conv2dConfig) -> L0Conv2d {
    layer_of(granularity, geometry, tensors(granularity).each_ref())
}

fn geometries() -> [Conv2dConfig; 3] {
    [(1, 0), (1, 1), (2, 1)].map(|(stride, padding)| Conv2dConfig { stride, padding, ..Default::default() })
}

/// The formula with Candle's own convolution and every channel computed.
fn by_formula(layer: &L0Conv2d, xs: &Tensor, z: &Tensor) -> Tensor {
    let Conv2dConfig { stride, padding, .. } = *layer.conv_config();
    let bias = layer.bias().unwrap().reshape((1, (), 1, 1)).unwrap();
    let plain = |weight: &Tensor| xs.conv2d(weight, padding, stride, 1, 1).unwrap().broadcast_add(&bias).unwrap();
    match z.rank() {
        1 => plain(layer.weight()).broadcast_mul(&z.reshape((1, (), 1, 1)).unwrap()).unwrap(),
        _ => plain(&(layer.weight() * z).unwrap()),
    }
}

/// Outside of f32 on the CPU the operations are composed of Candle's, on an image that is not square, too.
#[test]
fn a_layer_in_f64_is_that_in_f32() {
    let geometry = Conv2dConfig { stride: 2, padding: 1, ..Default::default() };
    let ys = |dtype: DType| {
        let [weight, _, _] = tensors(Granularity::Unit).map(|t| t.to_dtype(dtype).unwrap());
        let log_alpha = Tensor::new(&[3f32, -3.0, 3.0, 3.0], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let gate = Gate::new(log_alpha, HardConcrete::default()).unwrap();
        let layer = L0Conv2d::new(weight, None, gate, geometry, LayerConfig::default()).unwrap();
        let ys = layer.forward_t(&normal(&XS, "xs").to_dtype(dtype).unwrap(), false).unwrap();
        ys.to_dtype(DType::F32).unwrap()
    };
    close("ys", &row(&ys(DType::F64)), &row(&ys(DType::F32)), 2e-6);
}

#[test]
fn no_example_gives_no_output() {
    let cfg = |granularity| LayerConfig { granularity, sampling: crate::Sampling::Example, ..Default::default() };
    for granularity in GRANULARITIES {
        let [weight, bias, log_alpha] = tensors(granularity);
        let gate = Gate::new(log_alpha, HardConcrete::default()).unwrap();
        let layer = L0Conv2d::new(weight, Some(bias), gate, Conv2dConfig::default(), cfg(granularity)).unwrap();
        assert_eq!(layer.forward_t(&normal(&[0, 2, 7, 6], "xs"), true).unwrap().dims(), [0, 4, 5, 4]);
    }
}

#[test]
fn closed_channels_left_out_change_nothing() {
    let xs = normal(&XS, "xs");
    for granularity in GRANULARITIES {
        for geometry in geometries() {
            for draw in 0..5 {
                let (layer, noise) = (layer(granularity, geometry), uniform(gates(granularity), &draw.to_string()));
                let found = layer.forward_with_noise(&xs, &noise).unwrap();
                let expected = by_formula(&layer, &xs, &layer.gate().sample(&noise).unwrap());
                assert_eq!(found.dims(), expected.dims());
                close("ys", &row(&found), &row(&expected), 2e-6);
            }
        }
    }
}

#[test]
fn gradients_are_those_of_the_full_computation() {
    let geometry = Conv2dConfig { stride: 1, padding: 1, ..Default::default() };
    let all = [
        normal(&WEIGHT, "weight"),
        normal(&WEIGHT[..1], "bias"),
        Tensor::new(&[-3f32, 0.1, -0.4, 4.0], &Device::Cpu).unwrap(),
        normal(&XS, "xs"),
    ];
    let noise = Tensor::full(0.5f32, 4, &Device::Cpu).unwrap(); // z = 0, two between, 1
    let loss = |[weight, bias, log_alpha, xs]: [&Tensor; 4], full: bool| {
        let layer = layer_of(Granularity::Unit, geometry, [weight, bias, log_alpha]);
        let ys = match full {
            true => by_formula(&layer, xs, &layer.gate().sample(&noise).unwrap()),
            false => layer.forward_with_noise(xs, &noise).unwrap(),
        };
        let upstream = normal(ys.dims(), "upstream");
        (ys * upstream).unwrap().sum_all().unwrap()
    };
    for place in 0..4 {
        let with = |t: &Tensor, full| {
            let mut moved = all.each_ref();
            moved[place] = t;
            loss(moved, full)
        };
        let (found, expected) = (gradient(&all[place], |t| with(t, false)), gradient(&all[place], |t| with(t, true)));
        close("gradient", &found, &expected, 3e-6);
        assert!(expected.iter().any(|g| g.abs() > 0.1));
    }
}

#[test]
fn one_sample_for_each_example_with_equal_noise_is_one_for_all() {
    let xs = normal(&XS, "xs");
    for granularity in GRANULARITIES {
        let (layer, noise) = (layer(granularity, Conv2dConfig::default()), uniform(gates(granularity), "noise"));
        let each = Tensor::stack(&vec![&noise; XS[0]], 0).unwrap();
        let (all, each) = (layer.forward_with_noise(&xs, &noise), layer.forward_with_noise(&xs, &each));
        close("ys", &row(&each.unwrap()), &row(&all.unwrap()), 2e-6);
    }
}

#[test]
fn evaluation_is_the_plain_layer() {
    let xs = normal(&XS, "xs");
    for granularity in GRANULARITIES {
        for estimator in Estimator::ALL {
            let mut layer = layer(granularity, Conv2dConfig { stride: 2, padding: 1, ..Default::default() });
            layer.parts.cfg.estimator = estimator;
            let plain = layer.to_plain().unwrap().forward(&xs).unwrap();
            close("ys", &row(&layer.forward_t(&xs, false).unwrap()), &row(&plain), 2e-6);
        }
    }
}

#[test]
fn a_map_is_charged_for_its_bias() {
    // 4 channels of 2 * 9 weights and a bias at a price of 1: the sum of P(z != 0) times 19; per weight, of 72 gates
    // alone.
    let charge = |granularity| {
        let layer = layer(granularity, Conv2dConfig::default());
        let price = Penalty::per_weight(1.0, 1).unwrap();
        let found = scalar(&layer.penalty(&price).unwrap());
        found / layer.gate().expected_open().unwrap()
    };
    close("|g|", &[charge(Granularity::Unit), charge(Granularity::Weight)], &[19.0, 1.0], 1e-6);
    let sizes = GRANULARITIES.map(|g| layer(g, Conv2dConfig::default())).map(|l| (l.group_size(), l.gated_weights()));
    assert_eq!(sizes, [(19, 76), (1, 72)]);
}

#[test]
fn decay_reaches_a_bias_with_or_without_a_gate() {
    for granularity in GRANULARITIES {
        let [weight, bias, log_alpha] = tensors(granularity);
        let decay = Penalty::per_weight(0.0, 1).unwrap().with_weight_decay(1.0).unwrap();
        let found = gradient(&bias, |bias| {
            let layer = layer_of(granularity, Conv2dConfig::default(), [&weight, bias, &log_alpha]);
            layer.penalty(&decay).unwrap()
        });
        let open = match granularity {
            Granularity::Unit => row(&HardConcrete::default().prob_open(&log_alpha).unwrap()),
            Granularity::Weight => vec![1.0; 4],
        };
        let expected: Vec<f64> = row(&bias).iter().zip(open).map(|(b, p)| b * p).collect();
        close("wd b", &found, &expected, 1e-6);
    }
}

#[test]
fn all_maps_closed_are_zeros_of_the_right_shape() {
    let [weight, bias, _] = tensors(Granularity::Unit);
    let closed = Tensor::full(-50f32, 4, &Device::Cpu).unwrap();
    let layer = layer_of(
        Granularity::Unit,
        Conv2dConfig { stride: 2, padding: 1, ..Default::default() },
        [&weight, &bias, &closed],
    );
    let ys = layer.forward_t(&normal(&XS, "xs"), true).unwrap();
    assert_eq!((ys.dims(), row(&ys)), (&[5, 4, 4, 3][..], vec![0.0; 5 * 4 * 4 * 3]));
}

#[test]
fn a_store_gets_names_and_a_step_lowers_the_objective() {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let layer = l0_conv2d(2, 4, 3, Conv2dConfig::default(), LayerConfig::default(), vb.pp("conv1")).unwrap();
    let (xs, noise) = (normal(&XS, "xs"), uniform(&[4], "noise"));
    let price = Penalty::per_weight(0.01, 1).unwrap().with_weight_decay(1e-3).unwrap();
    let objective = || {
        let ys = layer.forward_with_noise(&xs, &noise).unwrap();
        let target = normal(ys.dims(), "target");
        ((ys - target).unwrap().sqr().unwrap().mean_all().unwrap() + layer.penalty(&price).unwrap()).unwrap()
    };
    let before = objective();
    let mut sgd = candle_nn::SGD::new(map.all_vars(), 1e-2).unwrap();
    sgd.backward_step(&before).unwrap();
    assert!(scalar(&objective()) < scalar(&before));
    assert!(
        ["conv1.weight", "conv1.bias", "conv1.log_alpha"].iter().all(|&name| map
            .data()
            .lock()
            .unwrap()
            .contains_key(name))
    );
}

#[test]
fn bad_input_is_refused() {
    let build = |weight: &[usize], bias: usize, gates: usize, stride: usize| {
        let gate = Gate::new(normal(&[gates], "a"), HardConcrete::default()).unwrap();
        let geometry = Conv2dConfig { stride, ..Default::default() };
        let bias = Some(normal(&[bias], "b"));
        message(L0Conv2d::new(normal(weight, "w"), bias, gate, geometry, LayerConfig::default()))
    };
    let lenet = [50, 20, 5, 5];
    assert!(build(&lenet, 50, 20, 1).contains("gate has 20 units but the layer has 50 output channels"));
    assert!(build(&lenet, 20, 50, 1).contains("bias has shape [20] but the layer has 50 outputs"));
    assert!(build(&lenet, 50, 50, 0).contains("a stride of at least 1, found 0"));
    for (sizes, what) in [([0, 4, 3], "input channels"), ([2, 0, 3], "output channels"), ([2, 4, 0], "kernel's side")] {
        let (vb, [inputs, outputs, kernel]) = (VarBuilder::zeros(DType::F32, &Device::Cpu), sizes);
        let error = message(l0_conv2d(inputs, outputs, kernel, Conv2dConfig::default(), LayerConfig::default(), vb));
        assert!(error.contains("a gated convolution has 0") && error.contains(what), "{error}");
    }
    let layer = layer(Granularity::Unit, Conv2dConfig::default());
    let refused =
        |xs: &[usize], noise: &[usize]| message(layer.forward_with_noise(&normal(xs, "xs"), &uniform(noise, "u")));
    assert!(refused(&[5, 3, 7, 7], &[4]).contains("input has 3 channels but the layer has 2 input channels"));
    assert!(refused(&XS, &[3, 4]).contains("found gates for 3 examples but a batch of 5"));
    assert!(refused(&[5, 2, 2, 7], &[4]).contains("a window of 3 does not fit on 2 pixels with padding 0"));
}
