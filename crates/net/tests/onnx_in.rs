//! ONNX files that are read: what exporters write is understood, and computes what onnxruntime makes of it; what is not
//! understood is refused by name; damaged files are refused or read, and never panic.
//!
//! The files lie together in `onnx-files/cases.safetensors`, made by the script beside it.
#![allow(missing_docs)]

mod common;

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use common::{largest, off_by};
use l0_files::Message;
use l0_net::layers::{Border, Scale};
use l0_net::{
    Builder, Layer, Margins, Model, OnnxAbout, OnnxEnds, OnnxReader, Weights, from_onnx, onnx_values, to_onnx,
};
use safetensors::SafeTensors;

const CASES: &[u8] = include_bytes!("onnx-files/cases.safetensors");

/// Everything that is kept of the cases, by name.
struct Cases(SafeTensors<'static>);

impl Cases {
    fn new() -> Self {
        Self(SafeTensors::deserialize(CASES).unwrap())
    }

    fn bytes(&self, case: &str, what: &str) -> Option<&'static [u8]> {
        self.0.tensor(&format!("{case}/{what}")).ok().map(|view| view.data())
    }

    fn tensor(&self, case: &str, what: &str) -> Tensor {
        let view = self.0.tensor(&format!("{case}/{what}")).unwrap();
        let values =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<_>>();
        Tensor::from_vec(values, view.shape(), &Device::Cpu).unwrap()
    }

    /// The cases that have `what`.
    fn names(&self, what: &str) -> Vec<String> {
        let mut names: Vec<String> =
            self.0.names().iter().filter_map(|n| n.strip_suffix(what)).map(String::from).collect();
        names.sort_unstable();
        names.iter().map(|name| name.trim_end_matches('/').to_string()).collect()
    }
}

fn model(cases: &Cases, case: &str) -> Model {
    with_about(cases, case).0
}

fn with_about(cases: &Cases, case: &str) -> (Model, OnnxAbout) {
    let found = OnnxReader::new().from_bytes_with_about(cases.bytes(case, "file").unwrap());
    found.unwrap_or_else(|error| panic!("{case}: {error}"))
}

/// What a file gives whose last layer gives `ys`.
fn given(ends: &OnnxEnds, ys: Tensor) -> candle_core::Result<Tensor> {
    let ys = if ends.log_softmax {
        let ys = ys.broadcast_sub(&ys.max_keepdim(1)?)?;
        ys.broadcast_sub(&ys.exp()?.sum_keepdim(1)?.log()?)?
    } else {
        ys
    };
    let ys = if ends.arg_max { ys.argmax_keepdim(1)?.to_dtype(DType::F32)? } else { ys };
    match &ends.shape {
        Some(shape) => ys.reshape([&[ys.dim(0)?], &shape[..]].concat()),
        None => Ok(ys),
    }
}

/// The kinds of a network's layers, in order, without the input.
fn kinds(model: &Model) -> Vec<&'static str> {
    model.net.nodes()[1..].iter().map(|node| node.layer.kind()).collect()
}

fn assert_close(case: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims(), "{case}");
    let (off, largest) = (off_by(found, expected), largest(expected).max(1e-6));
    assert!(off <= 1e-4 * largest, "{case}: off by {off} where the largest value is {largest}");
}

#[test]
fn networks_compute_what_onnxruntime_computes() {
    let cases = Cases::new();
    let names: Vec<String> = cases.names("output").into_iter().filter(|name| name != "external").collect();
    assert!(names.len() > 90);
    for case in &names {
        let (model, about) = with_about(&cases, case);
        let ys = model.forward(&cases.tensor(case, "input")).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_close(case, &given(&about.ends.unwrap(), ys).unwrap(), &cases.tensor(case, "output"));
    }
}

/// What stands behind the last layer is the file's, and comes back in the file that is written; classes and numbers to
/// predict are features.
#[test]
fn what_stands_behind_the_last_layer_is_kept_beside_the_network_and_written_again() {
    let cases = Cases::new();
    let all = cases.names("output").into_iter().filter(|name| name.starts_with("end_")).collect::<Vec<_>>();
    assert!(all.len() > 14);
    for case in &all {
        let (model, about) = with_about(&cases, case);
        let ends = about.ends.clone().unwrap();
        assert!(ends.log_softmax || ends.arg_max || ends.shape.is_some(), "{case}");
        let file = to_onnx(&model.net, &model.weights, &about).unwrap();
        let (back, found) = OnnxReader::new().from_bytes_with_about(&file).unwrap();
        let opset = found.ends.as_ref().unwrap().opset; // 17 in the place of early ones
        assert_eq!(found, OnnxAbout { ends: Some(OnnxEnds { opset, ..ends }), ..about }, "{case}");
        let xs = cases.tensor(case, "input");
        assert_close(case, &back.forward(&xs).unwrap(), &model.forward(&xs).unwrap());
        if !case.contains("positions") && !case.contains("regrouped") && !case.contains("map") {
            assert_eq!(model.net.shape(model.net.output()).dims().len(), 1, "{case}");
        }
    }
    let shape = |case: &str| with_about(&cases, case).1.ends.unwrap().shape;
    assert_eq!(shape("end_squeezed"), Some(vec![]));
    assert_eq!(shape("end_unsqueezed"), Some(vec![1, 3]));
    assert_eq!(shape("end_of_one_position"), Some(vec![4, 1, 1]));
    assert_eq!(shape("end_log_softmax"), None);
}

#[test]
fn an_output_is_not_written_in_a_shape_of_other_size() {
    let (model, about) = with_about(&Cases::new(), "end_unsqueezed");
    for shape in [vec![4], vec![], vec![usize::MAX, 2], vec![0]] {
        let ends = OnnxEnds { shape: Some(shape), ..about.ends.clone().unwrap() };
        let about = OnnxAbout { ends: Some(ends), ..about.clone() };
        let error = to_onnx(&model.net, &model.weights, &about).unwrap_err().to_string();
        assert!(
            error.contains("values in the shape that its output is to have, expected a shape of as many"),
            "{error}"
        );
    }
}

#[test]
fn statistics_of_a_file_that_would_learn_nothing_are_learned_as_usual() {
    let model = model(&Cases::new(), "norm_that_forgets_nothing");
    let Layer::BatchNorm(norm) = model.net.last_layer() else { panic!("{:?}", model.net.last_layer()) };
    assert_eq!(norm.momentum, 0.1);
}

#[test]
fn what_is_written_in_several_operators_is_one_layer() {
    let cases = Cases::new();
    for (case, expected) in [
        ("flatten_chain", &["relu", "flatten", "linear"][..]),
        ("flatten_channels_last", &["flatten", "take", "linear"]),
        ("conv_plus", &["conv2d"]),
        ("conv_frozen_norm", &["conv2d"]),
        ("matmul_add", &["linear", "relu"]),
        ("hard_swish_div", &["hard swish"]),
        ("hard_swish_mul", &["hard swish"]),
        ("silu", &["silu"]),
        ("gelu_erf", &["gelu"]),
        ("gelu_tanh_products", &["gelu"]),
        ("shuffle", &["take"]),
        ("slice_strided", &["stride"]),
        ("average_pool_whole", &["average pool"]),
        ("mean_of_columns_and_rows", &["average pool"]),
        ("max_of_rows_and_columns", &["global max pool"]),
        ("selu", &["elu", "scale", "elu", "scale", "conv2d"]),
        ("celu", &["scale", "elu", "scale", "elu"]),
        ("relu_then_min", &["clip"]),
        ("bounds_thrice", &["clip"]),
        ("weight_norm", &["conv2d"]),
        ("end_of_one_position", &["conv2d", "relu", "average pool"]),
        ("end_convolved", &["average pool", "conv2d", "flatten"]),
        ("end_softmax_of_one_position", &["conv2d", "average pool", "softmax", "flatten"]),
        ("end_sigmoid_of_one_position", &["global max pool", "conv2d", "sigmoid", "flatten"]),
        ("reduce_mean_input", &["average pool"]),
        ("pad_opaque", &["pad units"]),
        ("transposed_and_back", &[]),
        ("dropouts_training", &[]),
        ("qdq_conv", &["quantise", "conv2d", "relu", "quantise"]),
        ("qdq_moved", &["quantise", "max pool", "flatten", "linear"]),
    ] {
        assert_eq!(kinds(&model(&cases, case)), expected, "{case}");
    }
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let cases = Cases::new();
    let names = cases.names("refused");
    assert!(names.len() > 70);
    for case in &names {
        let words = String::from_utf8(cases.bytes(case, "refused").unwrap().to_vec()).unwrap();
        let error = OnnxReader::new().from_bytes(cases.bytes(case, "file").unwrap()).err();
        let error = error.unwrap_or_else(|| panic!("{case} was read")).to_string();
        assert!(words.split('|').all(|words| error.contains(words)), "{case}: {error}");
    }
}

#[test]
fn layers_are_called_as_their_weights_are() {
    let cases = Cases::new();
    let names = |case: &str| -> Vec<String> {
        let model = model(&cases, case);
        model.net.nodes().iter().map(|node| node.name.clone()).collect()
    };
    assert_eq!(names("conv_asymmetric"), ["x", "c"]);
    assert_eq!(names("matmul_transposed"), ["x", "fc"]);
    let expected = ["input", "0.flatten", "1", "2.relu", "4", "5.relu", "6"];
    assert_eq!(names("mlp-dynamo"), expected);
    let norms = names("mobilenet-v1-train");
    assert_eq!(norms[..5], ["input", "0.0", "0.1", "0.2.relu", "1.0.0"]);
}

#[test]
fn the_size_of_an_image_is_asked_for_where_the_file_leaves_it_open() {
    let cases = Cases::new();
    let file = cases.bytes("size_open", "file").unwrap();
    let model = OnnxReader::new().input_size(5, 4).from_bytes(file).unwrap();
    assert!(matches!(&model.net.node(0).layer, Layer::Input(input) if input.shape == [3, 5, 4]));
    let stated = OnnxReader::new().input_size(5, 4).from_bytes(cases.bytes("silu", "file").unwrap());
    assert!(stated.unwrap_err().to_string().contains("of 7 x 5 pixels, and 5 x 4 were asked for"));
    assert!(OnnxReader::new().input_size(0, 4).from_bytes(file).is_err());
}

#[test]
fn values_beside_the_model_are_read_from_its_folder() {
    let (cases, folder) = (Cases::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("external.onnx");
    std::fs::write(&path, cases.bytes("external", "file").unwrap()).unwrap();
    let error = from_onnx(&path).unwrap_err().to_string();
    assert!(error.contains("external.onnx.data") && error.contains("folder of the model"), "{error}");
    let data = cases.bytes("external", "data").unwrap();
    std::fs::write(folder.path().join("external.onnx.data"), &data[..data.len() - 1]).unwrap();
    assert!(from_onnx(&path).unwrap_err().to_string().contains("those asked for are"));
    std::fs::write(folder.path().join("external.onnx.data"), data).unwrap();
    assert_eq!(onnx_values(&path).unwrap(), [folder.path().join("external.onnx.data")]);
    let ys = from_onnx(&path).unwrap().forward(&cases.tensor("external", "input")).unwrap();
    assert_close("external", &ys, &cases.tensor("external", "output"));
    let error = OnnxReader::new().from_bytes(cases.bytes("external", "file").unwrap()).unwrap_err().to_string();
    assert!(error.contains("\"c.weight\"") && error.contains("read it from its file"), "{error}");
}

#[test]
fn no_file_but_a_regular_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), &folder.path().join("missing.onnx"), Path::new("")] {
        assert!(from_onnx(path).is_err());
    }
    let path = folder.path().join("text.onnx");
    std::fs::write(&path, "a text, and no network").unwrap();
    assert!(from_onnx(&path).unwrap_err().to_string().contains("is no ONNX file, or damaged"));
}

/// Numbers that look random, the same in every run.
fn draws(mut state: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    }
}

#[test]
fn a_file_that_is_cut_off_or_changed_is_refused_or_read() {
    let cases = Cases::new();
    let mut draw = draws(1);
    for case in ["mlp-dynamo", "shuffle_by_shape", "resize_floats_by_shape", "pad_opaque", "squeeze_excite_expand"] {
        let whole = cases.bytes(case, "file").unwrap();
        for at in (0..whole.len()).step_by(if whole.len() > 5000 { 37 } else { 1 }) {
            let _ = OnnxReader::new().from_bytes(&whole[..at]);
            let mut changed = whole.to_vec();
            changed[at] = [changed[at] ^ 1 << draw(8), 0, 0x7f, 0xff][draw(4)];
            let _ = OnnxReader::new().from_bytes(&changed);
        }
    }
}

#[test]
fn a_file_is_never_read_in_part() {
    let cases = Cases::new();
    let whole = cases.bytes("flatten_chain", "file").unwrap();
    let read: Vec<usize> = (0..whole.len()).filter(|&at| OnnxReader::new().from_bytes(&whole[..at]).is_ok()).collect();
    // Only what follows the graph, the version of the operators, may be missing; and that is refused, too.
    assert!(read.is_empty(), "{read:?} of {}", whole.len());
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_are_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        proptest::prop_assert!(OnnxReader::new().from_bytes(&bytes).is_err());
    }
}

/// A scale is written as a product and a sum, a border as a sum with a map of all positions.
#[test]
fn layers_of_ours_that_onnx_does_not_have_are_found_again() {
    let margins = Margins { top: 1, bottom: 0, left: 1, right: 1 };
    let mut b = Builder::image("image", 2, 5, 4);
    b.layer("scale", Scale).relu().layer("border", Border { margins });
    let net = b.build().unwrap();
    let named = net.parameters().into_iter().map(|(name, _, shape)| {
        let values = (0..shape.iter().product::<usize>()).map(|i| i as f32 + 1.0).collect::<Vec<_>>();
        (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
    });
    let weights = Weights::new(named.collect()).unwrap();
    let back = OnnxReader::new().from_bytes(&to_onnx(&net, &weights, &OnnxAbout::default()).unwrap()).unwrap();
    assert_eq!(kinds(&back), ["scale", "relu", "border"]);
    let xs = Tensor::arange(0f32, 40.0, &Device::Cpu).unwrap().reshape((1, 2, 5, 4)).unwrap();
    let model = Model::new(net, weights).unwrap();
    assert_close("scale and border", &back.forward(&xs).unwrap(), &model.forward(&xs).unwrap());
}

/// A file whose nodes, each of a kind, with a name, stand behind one another; all read a scale beside, but a Cast.
fn chained(nodes: &[(&str, &str)]) -> Vec<u8> {
    chained_by(nodes, Message::new().int(2, 1).text(8, "scale").bytes(9, &0.5f32.to_le_bytes()))
}

/// The same with this tensor as the scale.
fn chained_by(nodes: &[(&str, &str)], scale: Message) -> Vec<u8> {
    let dims = [Message::new().text(2, "batch"), Message::new().int(1, 4)];
    let shape = Message::new().messages(1, &dims);
    let numbers = Message::new().message(1, &Message::new().int(1, 1).message(2, &shape));
    let value = |name| Message::new().text(1, name).message(2, &numbers);
    let before = std::iter::once("x").chain(nodes.iter().map(|(_, name)| *name));
    let node = |(&(kind, name), before): (&(&str, &str), &str)| {
        let node = Message::new().text(1, before);
        let node = if kind == "Cast" { node } else { node.text(1, "scale") };
        let to = Message::new().text(1, "to").int(3, 1).int(20, 2);
        let node = node.text(2, name).text(3, name).text(4, kind);
        if kind == "Cast" { node.message(5, &to) } else { node }
    };
    let graph = Message::new()
        .messages(1, &nodes.iter().zip(before).map(node).collect::<Vec<_>>())
        .message(5, &scale)
        .message(11, &value("x"))
        .message(12, &value(nodes.last().unwrap().1));
    Message::new().int(1, 8).message(7, &graph).message(8, &Message::new().int(2, 17)).into_bytes()
}

#[test]
fn values_beside_a_file_are_counted_before_they_are_read() {
    let place = Message::new().text(1, "location").text(2, "sparse");
    let scale = Message::new().ints(1, &[1 << 20, 1 << 12]).int(2, 1).text(8, "scale").message(13, &place).int(14, 1);
    let error = OnnxReader::new().from_bytes(&chained_by(&[("Mul", "y")], scale)).unwrap_err().to_string();
    assert!(error.contains("\"scale\"") && error.contains("to 4294967296, of which 2147483648 at most"), "{error}");
}

#[test]
fn codes_are_no_output() {
    assert!(OnnxReader::new().from_bytes(&chained(&[("QuantizeLinear", "codes"), ("DequantizeLinear", "y")])).is_ok());
    for nodes in [&[("QuantizeLinear", "y")][..], &[("QuantizeLinear", "codes"), ("Identity", "y")]] {
        let error = OnnxReader::new().from_bytes(&chained(nodes)).unwrap_err().to_string();
        assert!(error.contains("an output \"y\" of codes of 8 bits, expected the numbers that a Dequant"), "{error}");
    }
}

#[test]
fn codes_are_read_as_numbers_by_nothing_but_a_dequantize_linear() {
    for kind in ["Cast", "Mul", "QuantizeLinear"] {
        let error = OnnxReader::new()
            .from_bytes(&chained(&[("QuantizeLinear", "codes"), (kind, "y")]))
            .unwrap_err()
            .to_string();
        let words = [&format!("node \"y\" ({kind})"), "computes with codes of 8 bits"];
        assert!(words.iter().all(|words| error.contains(*words)), "{error}");
    }
    let twice = [("QuantizeLinear", "codes"), ("DequantizeLinear", "x0"), ("DequantizeLinear", "y")];
    assert!(
        OnnxReader::new().from_bytes(&chained(&twice)).unwrap_err().to_string().contains("floats, expected the codes")
    );
}
