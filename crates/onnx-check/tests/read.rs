//! Files that others wrote: what is read computes what a second runtime makes of the same file, for inputs and batches
//! that the file's writer never saw.
#![allow(missing_docs)]

#[path = "../../net/tests/common/mod.rs"]
mod common;

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use common::{largest, off_by};
use l0_net::{OnnxReader, to_onnx};
use l0_rng::{Purpose, Stream};
use tract_onnx::prelude::*;

const CASES: &[u8] = include_bytes!("../../net/tests/onnx-files/cases.safetensors");

/// What this runtime does not run: the outputs that an export for training adds, Upsample, a batch by the name "n" in a
/// Reshape, zeros of another type; and CELU, of which it makes other numbers than the specification. Their outputs by
/// onnxruntime are in the cases, and `l0-net` compares them.
const NOT_RUN: [&str; 7] =
    ["celu", "dropouts_training", "mlp-dynamo", "mobilenet-v1-train", "norm_training", "upsample_9", "zeros_beside"];

fn files() -> Vec<(String, Vec<u8>, Vec<usize>)> {
    let all: HashMap<String, Tensor> = candle_core::safetensors::load_buffer(CASES, &Device::Cpu).unwrap();
    let case = |name: &String| {
        let case = name.strip_suffix("/input")?;
        let file = all[&format!("{case}/file")].to_vec1::<u8>().unwrap();
        Some((case.to_string(), file, all[name].dims().to_vec()))
    };
    let mut files: Vec<_> = all.keys().filter_map(case).filter(|(name, ..)| name != "external").collect();
    files.sort_unstable();
    files
}

/// What this runtime makes of a file; numbers of classes as floats.
fn run(file: &[u8], dims: &[usize], values: &[f32]) -> TractResult<Tensor> {
    let input = tract_onnx::prelude::Tensor::from_shape(dims, values)?;
    let model = onnx()
        .model_for_read(&mut std::io::Cursor::new(file))?
        .with_input_fact(0, f32::fact(dims).into())?
        .into_optimized()?
        .into_runnable()?;
    let ys = model.run(tvec!(input.into()))?.remove(0).into_tensor();
    let ys = ys.cast_to::<f32>()?;
    let values = ys.to_plain_array_view::<f32>()?.iter().copied().collect::<Vec<f32>>();
    Ok(Tensor::from_vec(values, ys.shape(), &Device::Cpu)?)
}

#[test]
fn a_second_runtime_reads_the_same_out_of_a_file() {
    let mut compared = 0;
    for (case, file, mut dims) in files().into_iter().filter(|file| !NOT_RUN.contains(&file.0.as_str())) {
        dims[0] = if case.contains("batch") { dims[0] } else { 3 }; // some fix their batch
        let values = Stream::new(7, Purpose::Init, 0, 0, &case).normals(dims.iter().product());
        let (model, about) = OnnxReader::new().from_bytes_with_about(&file).unwrap();
        let made = |file: &[u8]| run(file, &dims, &values).unwrap_or_else(|error| panic!("{case}: {error:?}"));
        let expected = made(&file);
        // What stands behind the last layer is no part of the network, but of the file that is written.
        let has_shape = about.ends.as_ref().is_some_and(|ends| ends.shape.is_some());
        let found = match has_shape || case.starts_with("end_") {
            true => made(&to_onnx(&model.net, &model.weights, &about).unwrap()),
            false => model.forward(&Tensor::from_slice(&values, dims.as_slice(), &Device::Cpu).unwrap()).unwrap(),
        };
        assert_eq!(found.dims(), expected.dims(), "{case}");
        let (worst, largest) = (off_by(&found, &expected), largest(&expected).max(1e-6));
        assert!(worst <= 1e-4 * largest, "{case} differs by {worst} where the largest value is {largest}");
        compared += 1;
    }
    assert!(compared > 90);
}
