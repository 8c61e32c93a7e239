use candle_core::Device;
use candle_core::backprop::GradStore;
use l0_net::Builder;
use serde_json::json;

use super::*;
use crate::testing::message;
use crate::{Placement, Quantity, Side, Targets};

/// Two gated linear layers, of 10 and 8 inputs: 80 and 32 gated weights.
fn network() -> GatedNet {
    let mut b = Builder::features("image", 10);
    b.linear("fc1", 8).relu().linear("fc2", 4);
    let gates = ["fc1", "fc2"].map(|layer| Placement::new(layer, Side::Input));
    GatedNet::new(b.build().unwrap(), &gates).unwrap()
}

fn held(targets: Targets) -> Objective {
    Objective::constrained(Constraint::new(targets, Quantity::Weights, 0.1))
}

#[test]
fn lambdas_are_for_all_sets_or_for_each() {
    let prices = |lambdas: &[Lambda]| -> Result<Vec<f64>> {
        let penalties = Objective::priced(lambdas).penalties(&network(), 100)?;
        Ok(penalties.iter().map(|penalty| penalty.price(1)).collect())
    };
    assert_eq!(prices(&[Lambda::PerWeight(0.5)]).unwrap(), [0.005; 2]);
    assert_eq!(prices(&[Lambda::PerWeight(0.5), Lambda::Density(1.12)]).unwrap(), [0.005, 0.01]);
    assert_eq!(message(prices(&[Lambda::PerWeight(0.1); 3])), "found 3 lambdas, expected 1 for all layers or 2");
    assert_eq!(message(prices(&[Lambda::PerWeight(-1.0)])), "lambda must be finite and at least 0, found -1");
    assert!(prices(&[]).is_err());
}

#[test]
fn a_constraint_has_multipliers_and_no_price() {
    let objective = Objective { weight_decay: 0.2, l2: L2::Detached, ..held(Targets::Model(0.3)) };
    let penalties = objective.penalties(&network(), 100).unwrap();
    assert!(penalties.iter().all(|penalty| penalty.price(1) == 0.0 && penalty.weight_decay() == 0.2));
    assert_eq!(objective.multipliers(&network()).unwrap().unwrap().each().len(), 1);
    assert_eq!(Objective::default().multipliers(&network()).unwrap(), None);
    let error = message(held(Targets::Layers(vec![0.5; 3])).multipliers(&network()));
    assert_eq!(error, "found 3 target densities, expected 2");
    let error = message(held(Targets::Model(1e-6)).multipliers(&network()));
    assert!(error.contains("0.000001 of the weights is asked for"), "{error}");
}

#[test]
fn decay_that_gates_do_not_feel_is_coefficient_times_value_in_the_gradient() {
    let network = network();
    let params = network.init(1, &Device::Cpu).unwrap();
    let whole = Objective { weight_decay: 0.2, l2: L2::Detached, ..Objective::priced(&[Lambda::PerWeight(0.5)]) };
    let (felt, decay) = whole.without_detached_decay().unwrap();
    assert_eq!(decay, 0.2);
    let grads = |objective: &Objective| {
        let penalties = objective.penalties(&network, 100).unwrap();
        network.penalty(&params.weights(), &penalties).unwrap().unwrap().backward().unwrap()
    };
    let (whole, felt, gated) = (grads(&whole), grads(&felt), network.gated_parameters());
    assert_eq!(gated, ["fc1.weight", "fc2.weight"]);
    for param in params.iter() {
        let of = |grads: &GradStore| grads.get(&param.var).cloned().unwrap_or_else(|| param.var.zeros_like().unwrap());
        let decay = if gated.contains(&param.name) { decay } else { 0.0 };
        let expected = (of(&felt) + (param.var.as_detached_tensor() * decay).unwrap()).unwrap();
        let gap = (expected - of(&whole)).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        assert!(gap.to_scalar::<f32>().unwrap() < 1e-7, "{}", param.name);
    }
    let attached = Objective { l2: L2::Attached, weight_decay: 0.2, ..held(Targets::Model(0.3)) };
    assert_eq!(attached.without_detached_decay().unwrap(), (attached.clone(), 0.0));
    let negative = Objective { weight_decay: -0.1, l2: L2::Detached, ..attached };
    let error = message(negative.without_detached_decay());
    assert_eq!(error, "weight decay must be finite and at least 0, found -0.1");
}

#[test]
fn a_file_has_lambdas_or_a_constraint() {
    let read = |file| serde_json::from_value::<Objective>(file);
    for objective in [Objective::priced(&[Lambda::Density(0.1)]), held(Targets::Model(0.3))] {
        assert_eq!(read(serde_json::to_value(&objective).unwrap()).unwrap(), objective);
    }
    let old = json!({ "targets": { "model": 0.3 }, "quantity": "params", "learning_rate": 0.1, "restart": true });
    let old = read(json!({ "weight_decay": 0.0, "constraint": old })).unwrap();
    assert_eq!(old, held(Targets::Model(0.3)));
    assert!(message(read(json!({ "weight_decay": 0.0 }))).contains("neither `lambdas` nor a `constraint`"));
    let both = json!({ "weight_decay": 0.0, "lambdas": [], "constraint": old.constraint() });
    assert!(message(read(both)).contains("not both"));
    assert!(message(read(json!({ "weight_decay": 0.0, "lambda": 1 }))).contains("unknown field `lambda`"));
}
