//! ONNX files: what runtimes make of them, and what is refused.
#![allow(missing_docs)]

mod cases;
mod python;

use candle_core::{DType, Device, Tensor};
use cases::common::random_params;
use cases::{Case, every_layer};
use l0_net::{Error, OnnxAbout, Weights, to_onnx};

#[test]
fn a_missing_or_misshapen_parameter_is_named() {
    let net = every_layer();
    let weights = random_params(&net, 1).detached();
    let without = |name: &str| weights.iter().filter(|w| w.0 != name).map(|(n, t)| (n.into(), t.clone())).collect();
    let missing = Weights::new(without("fc1.bias")).unwrap();
    let error = to_onnx(&net, &missing, &OnnxAbout::default()).unwrap_err();
    assert!(matches!(error, Error::Unknown { name, .. } if name == "fc1.bias"));

    let mut named: Vec<(String, Tensor)> = without("fc2.weight");
    named.push(("fc2.weight".into(), Tensor::zeros((6, 3), DType::F32, &Device::Cpu).unwrap()));
    let error = to_onnx(&net, &Weights::new(named).unwrap(), &OnnxAbout::default()).unwrap_err();
    assert_eq!(error.to_string(), "\"fc2.weight\" has shape [6, 3], expected [3, 6]");
}

#[test]
fn the_same_network_gives_the_same_bytes() {
    let file = || Case::new("every-layer", every_layer(), 3).file;
    assert_eq!(file(), file());
}
