//! The same outputs as the forward pass, for any batch, from a runtime that is built with the tests.
#![allow(missing_docs)]

#[path = "../../net/tests/onnx/cases.rs"]
mod cases;

use cases::common::{difference, random_input, random_params};
use cases::{BATCHES, Case, cases, every_layer};
use l0_net::{Builder, Model, OnnxAbout, to_onnx};
use l0_quantise::{Calibration, Method, Quantised};
use tract_onnx::prelude::*;

fn run(case: &Case, xs: &candle_core::Tensor) -> TractResult<candle_core::Tensor> {
    let values: Vec<f32> = xs.flatten_all()?.to_vec1()?;
    let input = Tensor::from_shape(xs.dims(), &values)?;
    let model = onnx()
        .model_for_read(&mut case.file.as_slice())?
        .with_input_fact(0, f32::fact(xs.dims()).into())?
        .into_optimized()?
        .into_runnable()?;
    let ys = model.run(tvec!(input.into()))?.remove(0).into_tensor();
    let values = ys.to_plain_array_view::<f32>()?.iter().copied().collect::<Vec<f32>>();
    Ok(candle_core::Tensor::from_vec(values, ys.shape(), &candle_core::Device::Cpu)?)
}

#[test]
fn a_second_runtime_agrees() {
    for case in cases() {
        for batch in BATCHES {
            let xs = random_input(&case.net, 5, batch);
            let ys = run(&case, &xs).unwrap_or_else(|e| panic!("{}: {e:?}", case.name));
            let difference = difference(&case.forward(&xs), &ys);
            assert!(difference < 1e-4, "{} at batch {batch} differs by {difference}", case.name);
        }
    }
}

#[test]
fn a_quantised_network_is_the_same_there() {
    let mut b = Builder::image("image", 3, 9, 8);
    b.conv2d_same("conv", 6, 3, 1).relu();
    let skip = b.tip();
    b.conv2d_same("conv2", 6, 3, 1).add(skip).relu().max_pool2d(2).flatten("features");
    b.linear("fc", 12).relu().linear("fc2", 5);
    let net = b.build().unwrap();
    let weights = random_params(&net, 1).detached();
    let xs = random_input(&net, 5, 7);
    let model = Model::new(net, weights).unwrap();
    let Quantised { model: Model { net, weights, .. }, .. } =
        Calibration::of(&model, std::slice::from_ref(&xs)).unwrap().quantise(Method::MinMax).unwrap();
    let file = to_onnx(&net, &weights, &OnnxAbout::default()).unwrap();
    let case = Case { name: "quantised".into(), net, weights, file };
    let difference = difference(&case.forward(&xs), &run(&case, &xs).unwrap());
    assert!(difference < 0.02, "differs by {difference}"); // a number between two codes may become either
}

#[test]
fn the_batch_of_a_file_is_open() {
    let case = Case::new("every-layer", every_layer(), 1);
    let model = onnx().model_for_read(&mut case.file.as_slice()).unwrap();
    assert_eq!(format!("{:?}", model.input_fact(0).unwrap().shape), "batch,2,11,9");
}
