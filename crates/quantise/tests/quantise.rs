//! Quantised networks: what they compute, what their files hold, and what is refused.
#![allow(missing_docs)]

use candle_core::{Device, Tensor};
use l0_net::layers::{BatchNorm, Conv2d};
use l0_net::{Activation, Builder, ClosedChannels, Layer, Model, Net, OnnxAbout, OnnxReader, Params, to_onnx};
use l0_quantise::{Calibration, Error, Method};
use l0_rng::{Purpose, Stream};

fn normals(name: &str, dims: &[usize]) -> Tensor {
    let values = Stream::new(1, Purpose::Other, 0, 0, name).normals(dims.iter().product());
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn model(net: Net) -> Model {
    let weights = Params::init(&net, 1, &Device::Cpu).unwrap().detached();
    Model::new(net, weights).unwrap()
}

/// Convolutions with normalisations after and before them, a sum, pools and linear layers.
fn residual() -> Net {
    let mut b = Builder::image("image", 3, 9, 8);
    b.conv2d_same("conv", 6, 3, 1).closed_channels(ClosedChannels::Zero).batch_norm("bn").relu();
    let skip = b.tip();
    b.conv2d_same("conv2", 6, 3, 1)
        .add(skip)
        .layer("bn2", BatchNorm { eps: 1e-5, momentum: 0.1, closed: ClosedChannels::Zero });
    b.relu().layer("strided", Conv2d::new(8, 3).stride(2).padding(1)).relu().max_pool2d(2).flatten("features");
    b.linear("fc", 12).relu().linear("fc2", 5);
    b.build().unwrap()
}

/// The largest difference; not a number if one is none.
fn largest(a: &Tensor, b: &Tensor) -> f32 {
    let differences: Vec<f32> = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().to_vec1().unwrap();
    differences.into_iter().fold(0.0, |most, x| if x.is_nan() || most.is_nan() { f32::NAN } else { most.max(x) })
}

#[test]
fn a_network_stays_near_what_it_was_by_every_method() {
    let model = model(residual());
    let xs = normals("xs", &[64, 3, 9, 8]);
    let expected = model.forward(&xs).unwrap();
    let size = largest(&expected, &expected.zeros_like().unwrap());
    let calibration = Calibration::of(&model, std::slice::from_ref(&xs)).unwrap();
    for method in Method::ALL {
        let quantised = calibration.quantise(method).unwrap();
        let found = quantised.model.forward(&xs).unwrap();
        let difference = largest(&expected, &found) / size;
        assert!(difference > 0.0 && difference < 0.1, "{method}: {difference}");
        assert_eq!(quantised.floats, ["bn2 (batch norm)", "relu7 (relu)"]);
        let net = &quantised.model.net;
        for id in net.affine() {
            assert!(net.int8(&quantised.model.weights, id).unwrap().is_some(), "{} of {method}", net.node(id).name);
        }
    }
}

#[test]
fn the_file_of_a_quantised_network_is_read_as_that_network() {
    let model = model(residual());
    let xs = normals("xs", &[16, 3, 9, 8]);
    let quantised = Calibration::of(&model, std::slice::from_ref(&xs)).unwrap().quantise(Method::MinMax).unwrap().model;
    let bytes = to_onnx(&quantised.net, &quantised.weights, &OnnxAbout::default()).unwrap();
    let read = OnnxReader::new().from_bytes(&bytes).unwrap();
    let expected = quantised.forward(&xs).unwrap();
    assert!(
        largest(&expected, &read.forward(&xs).unwrap()) < 1e-4 * largest(&expected, &expected.zeros_like().unwrap())
    );
    let roundings = |net: &Net| {
        let grid =
            |layer: &Layer| if let Layer::Activation(Activation::Quantise(grid)) = layer { Some(*grid) } else { None };
        net.nodes().iter().filter_map(|node| grid(&node.layer)).collect::<Vec<_>>()
    };
    assert_eq!(roundings(&read.net), roundings(&quantised.net));
    for id in quantised.net.affine() {
        let (_, codes) = quantised.net.int8(&quantised.weights, id).unwrap().unwrap();
        let stored: Vec<u8> = codes.weight.iter().map(|&code| code as u8).collect();
        assert!(bytes.windows(stored.len()).any(|part| part == stored), "{}", quantised.net.node(id).name);
    }
    // Written once more, nothing changes: codes are found again in the values.
    assert!(read.net.affine().all(|id| read.net.int8(&read.weights, id).unwrap().is_some()));
}

#[test]
fn what_cannot_be_quantised_is_refused_by_what_is_wrong_with_it() {
    let net = model(residual());
    assert!(matches!(Calibration::of(&net, &[]), Err(Error::NoInputs)));
    let xs = normals("xs", &[2, 3, 9, 8]);
    let nan = (&xs * f64::NAN).unwrap();
    for place in 0..3 {
        let mut batches = vec![xs.clone(); 2];
        batches.insert(place, nan.clone());
        let error = Calibration::of(&net, &batches).unwrap_err().to_string();
        assert!(error.starts_with("layer \"image\" makes values from NaN to NaN"), "{place}: {error}");
    }
    let calibration = Calibration::of(&net, std::slice::from_ref(&xs)).unwrap();
    assert!(matches!(calibration.quantise(Method::Percentile(f64::NAN)), Err(Error::Percentile { .. })));
    let mut b = Builder::features("xs", 3);
    b.activation(Activation::Tanh);
    assert!(matches!(Calibration::of(&model(b.build().unwrap()), &[normals("xs", &[2, 3])]), Err(Error::Nothing)));
    let dims = xs.dims().to_vec();
    assert!(Calibration::of(&net, &[xs.reshape((dims[0] * 3, 72)).unwrap()]).is_err());
}
