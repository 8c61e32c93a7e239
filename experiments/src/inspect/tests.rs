//! Inspections of small networks.

use super::*;
use candle_core::{Device, Tensor};
use l0_net::{Builder, Card, Mask, Masks, Model, Params};

/// A residual block, and a linear layer behind a flattening.
fn net() -> Net {
    let mut b = Builder::image("image", 3, 6, 5);
    let stem = b.conv2d_same("stem", 4, 3, 1).batch_norm("norm").relu().tip();
    b.conv2d_same("inner", 8, 3, 1).relu().conv2d_same("outer", 4, 3, 1).add(stem).relu();
    b.flatten("features").linear("fc", 7).relu().linear("classes", 2);
    b.build().unwrap()
}

fn file(model: Model, card: Card) -> NetworkFile {
    NetworkFile { format: Format::Network, bytes: 12, model, card }
}

/// The network with a fourth of the channels of "inner" left, and whether its description is beside it.
fn compact(with_whole: bool) -> NetworkFile {
    let net = net();
    let mut masks = Masks::none(&net);
    let z = Tensor::new(&[1f32, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0], &Device::Cpu).unwrap();
    masks.set(&net, net.space(net.find("inner").unwrap()), Mask::Shared(z)).unwrap();
    let weights = Params::init(&net, 1, &Device::Cpu).unwrap().detached();
    let mut card = Card::default();
    if with_whole {
        card.extra.insert("whole".into(), serde_json::to_value(&net).unwrap());
    }
    file(net.compact(&weights, &masks).unwrap(), card)
}

fn whole() -> NetworkFile {
    let weights = Params::init(&net(), 1, &Device::Cpu).unwrap().detached();
    file(Model::new(net(), weights).unwrap(), Card::default())
}

#[test]
fn coupled_layers_and_what_stays_are_listed() {
    let found = Inspection::of("net.safetensors", &whole()).unwrap();
    let text = found.to_string();
    assert!(text.starts_with("net.safetensors: a network file, 12 bytes\nreads (3, 6, 5), gives (2); "), "{text}");
    for line in [
        "stem      conv2d      (4, 6, 5)      4         108   3240  A",
        "  A 4  stem, outer\n",
        "    8  inner\n",
        " 120  features: units of other spaces\n",
        "   2  classes: the network's output\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("Left of"), "nothing was pruned\n{text}");
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["spaces"][1]["layers"], serde_json::json!(["stem", "norm", "relu3", "outer", "add7", "relu8"]));
    assert_eq!(
        (&json["layers"][1]["macs"], &json["cost_before"]),
        (&serde_json::json!(3240), &serde_json::json!(null))
    );
}

#[test]
fn units_that_are_not_chosen_stay() {
    let found = Inspection::of("net.safetensors", &whole()).unwrap();
    let choice = ChoiceArgs { except: vec!["outer".into()], ..ChoiceArgs::default() };
    let text = found.clone().chosen(&choice).unwrap().to_string();
    assert!(text.contains("  A   4  stem, outer: not chosen\n") && text.contains("  8  inner\n"), "{text}");
    let choice = ChoiceArgs { only: vec!["in*".into()], except: vec!["inner".into()] };
    assert!(found.chosen(&choice).unwrap_err().to_string().contains("expected one or more of (inner)"));
}

#[test]
fn of_a_compact_network_what_was_kept_is_said_and_drawn() {
    let found = Inspection::of("net.safetensors", &compact(true)).unwrap();
    let (text, svg) = (found.to_string(), found.svg());
    assert!(text.contains(&format!("of {} parameters", found.cost_before.unwrap().params)), "{text}");
    assert!(text.contains(" 2 / 8  inner\n"), "{text}");
    assert!(svg.contains(">2 / 8<") && svg.contains("hollow: pruned"), "{svg}");
    assert!(svg.contains("batch norm"), "the graph before pruning is drawn: compaction folded the normalisation");
}

#[test]
fn without_the_network_before_pruning_its_own_graph_is_drawn() {
    let found = Inspection::of("net.safetensors", &compact(false)).unwrap();
    let svg = found.svg();
    assert_eq!(found.cost_before, None);
    assert!(svg.contains(">2 / 8<") && !svg.contains("batch norm"), "{svg}");
}

#[test]
fn a_description_that_is_none_is_an_error() {
    let mut file = compact(true);
    file.card.extra.insert("whole".into(), serde_json::json!([{ "name": 3 }]));
    let error = Inspection::of("net.safetensors", &file).unwrap_err();
    assert!(error.to_string().contains("the network before pruning is none"), "{error}");
}
