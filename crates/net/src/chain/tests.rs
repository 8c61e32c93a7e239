use serde_json::json;

use serde_json::Value;

use super::*;
use crate::Builder;

fn chain(layers: Value) -> Chain {
    serde_json::from_value(layers).unwrap()
}

fn built(layers: Value, input: Shape) -> Net {
    chain(layers).build(input, 3, ClosedChannels::Zero).unwrap()
}

fn refused(layers: Value, expected: &str) {
    let said = match serde_json::from_value::<Chain>(layers) {
        Err(error) => error.to_string(),
        Ok(chain) => chain.build(Shape::Image(1, 8, 8), 3, ClosedChannels::Zero).unwrap_err().to_string(),
    };
    assert!(said.contains(expected), "expected {expected:?}, found {said:?}");
}

#[test]
fn a_chain_is_what_the_builder_makes_of_the_same_layers() {
    let layers = json!([
        { "conv2d": 4, "kernel": 3, "padding": "same", "stride": 2, "name": "stem" }, "batch_norm", "relu",
        { "add": {
            "body": [{ "depthwise": 3, "padding": "same" }, "relu6", { "conv2d": 4, "kernel": 1 }],
            "shortcut": [],
        } },
        { "concat": "stem" },
        "flatten", { "dropout": 0.5 }, { "linear": "outputs", "name": "head" },
    ]);
    let net = built(layers, Shape::Image(2, 9, 7));
    let names: Vec<&str> = net.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "input",
            "stem",
            "norm1",
            "relu1",
            "add1.body.depthwise1",
            "add1.body.relu61",
            "add1.body.conv1",
            "add1",
            "concat1",
            "flatten1",
            "dropout1",
            "head",
        ]
    );
    let mut b = Builder::image("input", 2, 9, 7);
    b.closed_channels(ClosedChannels::Zero).conv2d_same("stem", 4, 3, 2);
    let stem = b.tip();
    b.batch_norm("norm").relu();
    let from = b.tip();
    let depthwise = crate::layers::Conv2d { groups: 4, ..crate::layers::Conv2d::new(4, 3).padding(1) };
    b.layer("depthwise", depthwise).activation(crate::Activation::Clip { min: 0.0, max: 6.0 });
    b.conv2d("point", 4, 1).add(from).concat(&[stem]).flatten("flat").dropout(0.5).linear("head", 3);
    let expected = b.build().unwrap();
    let layers = |net: &Net| net.nodes().iter().map(|node| node.layer.clone()).collect::<Vec<_>>();
    assert_eq!(layers(&net), layers(&expected));
    assert_eq!(net.cost().params(), expected.cost().params());
}

#[test]
fn a_chain_several_times_over_has_layers_of_their_own() {
    let net = built(json!([{ "repeat": 2, "layers": [{ "linear": 5, "name": "fc" }, "relu"] }]), Shape::Features(4));
    let names: Vec<&str> = net.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["input", "fc1", "relu1", "fc2", "relu2"]);
    assert_eq!(net.cost().params(), 4 * 5 + 5 + 5 * 5 + 5);
    let skip = json!([{ "repeat": 2, "layers": [{ "linear": 4, "name": "fc" }, "tanh", { "mul": "fc" }] }]);
    let net = built(skip, Shape::Features(4));
    assert_eq!(net.nodes()[6].inputs, [4, 5], "in its own turn");
}

#[test]
fn settings_may_be_those_of_network_files() {
    let layers = json!([
        { "type": "conv2d", "out": 2, "kernel": [3, 5], "padding": "same", "dilation": 2 },
        { "type": "leaky_relu", "slope": 0.2 }, { "upsample": 2 }, { "global_pool": "max" }, "softmax",
    ]);
    let net = built(layers, Shape::Image(1, 8, 8));
    assert_eq!(net.shape(1), Shape::Image(2, 8, 8));
    assert_eq!(net.shape(3), Shape::Image(2, 16, 16));
}

#[test]
fn what_has_no_meaning_is_refused_with_its_place() {
    refused(json!(["relu", "rleu"]), "layer 2: there is no layer \"rleu\"; there are ");
    refused(json!([{ "conv": 3 }]), "layer 1: none of conv is a layer");
    refused(json!([{ "linear": 3, "conv2d": 4 }]), "conv2d and linear are layers of their own");
    refused(json!([{ "relu": 1 }]), "relu has no main number");
    refused(json!([7]), "7 is no layer");
    refused(json!(["add"]), "add joins branches");
    refused(json!([{ "add": { "a": [] } }]), "add joins two branches or more");
    refused(json!([{ "add": { "a": [], "b": ["x"] } }]), "layer 1: add, b, layer 1: there is no layer \"x\"");
    refused(json!([{ "add": { "a": [], "b": [] }, "bias": true }]), "unknown key \"bias\"");
    refused(json!([{ "repeat": 0, "layers": ["relu"] }]), "repeat is 0");
    refused(json!([{ "repeat": 2, "layers": [] }]), "a list of layers");
    refused(json!([{ "repeat": u64::MAX, "layers": ["relu"] }]), "more than the 10000 layers");
    refused(json!([{ "conv2d": 3, "kernel": 2, "padding": "same" }]), "needs a kernel of odd sides");
    refused(json!([{ "conv2d": 3, "kernel": 3, "strid": 2 }]), "unknown field `strid`");
    refused(json!([{ "conv2d": 3 }]), "missing field `kernel`");
    refused(json!([{ "conv2d": 3, "padding": "same" }]), "missing field `kernel`");
    refused(json!(["flatten", { "linear": 3, "padding": "same" }]), "unknown field `padding`");
    refused(json!([{ "max_pool2d": 2, "padding": "same" }]), "needs a size of odd sides");
    refused(json!([{ "type": "relu", "max": 6.0 }]), "unknown field `max` of relu");
    refused(json!([{ "depthwise": 3, "out": 64 }]), "has out, and a depthwise convolution makes a channel of each");
    refused(json!([{ "pad": "same" }]), "is as wide as no window says; give it a number");
    refused(json!([{ "linear": 3 }]), "\"linear1\"");
    refused(json!([{ "concat": "stem" }]), "there is no layer \"stem\"; before it are input");
    refused(
        json!(["flatten", { "linear": 3, "name": "a" }, { "linear": 3, "name": "a" }]),
        "two nodes are named \"a\"",
    );
    refused(json!([]), "is empty");
    refused(json!(["input"]), "there is no layer \"input\"");
    refused(json!([{ "linear": "classes" }]), "makes \"classes\", expected a number of units, or \"outputs\"");
}
