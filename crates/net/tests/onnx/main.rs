//! ONNX files: what runtimes make of them, and what is refused.
#![allow(missing_docs)]

mod cases;
mod python;

use candle_core::{DType, Device, Tensor};
use cases::common::random_params;
use cases::{Case, every_layer};
use l0_net::layers::{Dropout, Identity};
use l0_net::{Builder, Error, Layer, OnnxAbout, OnnxEnds, OnnxReader, Weights, onnx_about, to_onnx};

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

#[test]
fn the_input_and_the_output_are_called_as_one_likes() {
    let case = Case::new("every layer", every_layer(), 1);
    let of = |input: &str, output: &str, opset| OnnxEnds::new(input, output, opset);
    let ends = |input: &str, output: &str| Some(of(input, output, 17));
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("named.onnx");
    let write = |ends| {
        let bytes = to_onnx(&case.net, &case.weights, &OnnxAbout { ends, ..OnnxAbout::default() }).unwrap();
        std::fs::write(&path, bytes).unwrap();
        onnx_about(&path).unwrap().ends.unwrap()
    };
    let last = &case.net.node(case.net.output()).name;
    let said = OnnxAbout {
        producer: "someone".into(),
        version: "2.0".into(),
        doc: "a network".into(),
        metadata: [("key".to_string(), "value".to_string())].into(),
        ends: ends("pixels", "classes"),
    };
    std::fs::write(&path, to_onnx(&case.net, &case.weights, &said).unwrap()).unwrap();
    assert_eq!(onnx_about(&path).unwrap(), said);
    assert_eq!(Some(write(None)), ends("image", last));
    assert_eq!(Some(write(ends("pixels", "classes"))), ends("pixels", "classes"));
    let xs = Tensor::rand(0f32, 1.0, (3, 2, 11, 9), &Device::Cpu).unwrap();
    let difference = l0_net::from_onnx(&path).unwrap().forward(&xs).unwrap() - case.forward(&xs);
    assert!(difference.unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-5);
    // The version of the operators is the one that is asked for, where all of them mean the same.
    let read = || l0_net::from_onnx(&path).unwrap().net;
    let net = read();
    for opset in 9..=23 {
        let found = write(Some(of("pixels", "classes", opset))).opset;
        assert_eq!(found, if (14..=22).contains(&opset) { opset } else { 17 });
        assert_eq!(read(), net);
    }
    // A name that a parameter has is left to it.
    let taken = case.net.parameters()[0].0.clone();
    assert_eq!(Some(write(ends(&taken, "classes"))), ends("image", "classes"));
}

#[test]
fn an_end_that_is_no_operator_is_called_as_one_likes_too() {
    let about = OnnxAbout { ends: Some(OnnxEnds::new("pixels", "classes", 17)), ..OnnxAbout::default() };
    for last in [None, Some(Layer::from(Dropout { p: 0.5 })), Some(Identity.into())] {
        let mut b = Builder::features("x", 3);
        if let Some(last) = last.clone() {
            b.linear("fc", 2).layer("last", last);
        }
        let net = b.build().unwrap();
        let file = to_onnx(&net, &random_params(&net, 1).detached(), &about).unwrap();
        assert_eq!(OnnxReader::new().from_bytes_with_about(&file).unwrap().1, about, "{last:?}");
    }
}
