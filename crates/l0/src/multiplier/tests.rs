use candle_core::{DType, Device};

use super::*;
use crate::testing::{close, gradient, message, normal, scalar, var};
use crate::{Gate, HardConcrete, Quantity, Targets};

/// Multipliers that learn at the rate `learning_rate` and restart.
fn of(targets: Targets, layers: usize, learning_rate: f64) -> crate::Result<Multipliers> {
    Multipliers::new(&Constraint::new(targets, Quantity::Weights, learning_rate), layers)
}

fn density(gate: &Gate) -> Tensor {
    gate.prob_open().unwrap().mean_all().unwrap()
}

/// The density of 40 gates after `steps` of gradient descent at rate 20 on `pull` times their openness, held to 0.25.
fn trained(restart: bool, steps: usize) -> (f64, Multiplier) {
    let log_alpha = var(&normal(&[40], "log_alpha"));
    let gate = Gate::new(log_alpha.as_tensor().clone(), HardConcrete::default()).unwrap();
    let mut multiplier = Multiplier::new(0.25, 0.1, restart).unwrap();
    for _ in 0..steps {
        let value = density(&gate);
        // A stand-in for the data, which likes open gates.
        let loss = (multiplier.term(&value).unwrap() - (&value * 0.2).unwrap()).unwrap();
        let grad = loss.backward().unwrap().get(&log_alpha).unwrap().clone();
        log_alpha.set(&(log_alpha.as_tensor().detach() - (grad * 20.0).unwrap()).unwrap()).unwrap();
        gate.clamp_().unwrap();
        multiplier.update(scalar(&value)).unwrap();
    }
    (scalar(&density(&gate)), multiplier)
}

#[test]
fn asked_for_a_quarter_training_ends_near_a_quarter() {
    let (found, _) = trained(true, 2000);
    assert!((found - 0.25).abs() < 0.03, "density {found}");
}

#[test]
fn the_multiplier_grows_while_violated_and_falls_back_when_met() {
    let mut kept = Multiplier::new(0.5, 0.1, false).unwrap();
    let mut restarted = Multiplier::new(0.5, 0.1, true).unwrap();
    for (found, with, without) in [(0.9, 0.04, 0.04), (0.7, 0.06, 0.06), (0.4, 0.0, 0.05), (0.6, 0.01, 0.06)] {
        assert_eq!(kept.update(found).unwrap(), found - 0.5);
        restarted.update(found).unwrap();
        close("multipliers", &[restarted.value(), kept.value()], &[with, without], 1e-7);
    }
    (0..50).for_each(|_| drop(kept.update(0.1)));
    assert_eq!(kept.value(), 0.0, "never below 0");
}

#[test]
fn the_term_and_its_gradient() {
    let mut multiplier = Multiplier::new(0.2, 1.0, true).unwrap();
    multiplier.update(0.7).unwrap();
    let value = Tensor::new(0.6f64, &Device::Cpu).unwrap();
    close("term", &[multiplier.term(&value).unwrap().to_scalar().unwrap()], &[0.5 * 0.4], 1e-7);
    close("gradient", &gradient(&value, |v| multiplier.term(v).unwrap()), &[0.5], 1e-7);
}

#[test]
fn a_multiplier_saved_in_the_middle_goes_on_exactly() {
    let mut multiplier = Multiplier::new(0.3, 0.07, true).unwrap();
    for step in 0..200 {
        multiplier.update(0.4 + 0.3 * f64::from(step).sin().abs()).unwrap();
        let text = serde_json::to_string(&multiplier).unwrap();
        assert_eq!(serde_json::from_str::<Multiplier>(&text).unwrap(), multiplier);
    }
}

#[test]
fn model_and_layers() {
    let tensor = |x: f32| Tensor::new(x, &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
    let mut layers = of(Targets::Layers(vec![0.5, 0.1]), 2, 1.0).unwrap();
    let violations = layers.update(&[0.75, 0.05], 1.0).unwrap();
    close("violations", &violations, &[0.25, -0.05], 1e-12);
    close("multipliers", &layers.each().iter().map(Multiplier::value).collect::<Vec<_>>(), &[0.25, 0.0], 1e-7);
    let term: f32 = layers.term(&[tensor(0.7), tensor(0.9)]).unwrap().to_scalar().unwrap();
    close("term", &[term.into()], &[0.25 * 0.2], 1e-7);
    let mut model = of(Targets::Model(0.2), 3, 1.0).unwrap();
    assert_eq!(model.update(&[0.2], 1.0).unwrap(), [0.0]);
}

#[test]
fn saved_multipliers_hand_on_their_values_and_nothing_else() {
    let mut saved = of(Targets::Layers(vec![0.5, 0.1]), 2, 1.0).unwrap();
    saved.update(&[0.75, 0.2], 1.0).unwrap();
    let mut own = of(Targets::Layers(vec![0.4, 0.3]), 2, 0.5).unwrap();
    own.go_on_from(&saved).unwrap();
    assert_eq!(own.each().iter().map(Multiplier::target).collect::<Vec<_>>(), [0.4, 0.3]);
    own.update(&[0.6, 0.4], 1.0).unwrap(); // at the rate that is its own
    close("multipliers", &own.each().iter().map(Multiplier::value).collect::<Vec<_>>(), &[0.35, 0.15], 1e-6);
    let mut one = of(Targets::Model(0.5), 2, 1.0).unwrap();
    assert_eq!(message(one.go_on_from(&saved)), "found 2 saved multipliers, expected 1");
}

#[test]
fn bad_input_is_refused() {
    assert_eq!(message(Multiplier::new(0.0, 0.1, true)), "a target density must be in (0, 1], found 0");
    assert_eq!(message(Multiplier::new(1.5, 0.1, true)), "a target density must be in (0, 1], found 1.5");
    let rate = "the multiplier's learning rate must be finite and above 0, found 0";
    assert_eq!(message(Multiplier::new(0.5, 0.0, true)), rate);
    let error = message(of(Targets::Layers(vec![0.5; 3]), 4, 0.1));
    assert_eq!(error, "found 3 target densities, expected 4");
    let mut model = of(Targets::Model(0.2), 4, 0.1).unwrap();
    assert_eq!(message(model.update(&[f64::NAN], 1.0)), "a density must be finite, found NaN");
    let mut layers = of(Targets::Layers(vec![0.1; 2]), 2, 0.1).unwrap();
    assert!(layers.update(&[0.9, f64::NAN], 1.0).is_err() && layers.each()[0].value() == 0.0);
    assert_eq!(message(model.update(&[0.1, 0.1], 1.0)), "found 2 densities, expected 1");
    assert!(message(model.term(&[])).contains("found 0 densities, expected 1"));
    let row = Tensor::new(&[0.5f32], &Device::Cpu).unwrap();
    assert!(message(model.term(&[row])).contains("a density has shape [1], expected a scalar, []"));
}

#[test]
fn a_gradual_bound_comes_down_by_the_same_factor_at_each_step() {
    let mut multiplier = Multiplier::new(0.01, 1.0, false).unwrap().gradual(true);
    let mut violation = |progress| multiplier.update_at(0.5, progress).unwrap();
    for (progress, bound) in [(0.0, 1.0), (0.5, 0.1), (1.0, 0.01), (2.0, 0.01)] {
        assert!((violation(progress) - (0.5 - bound)).abs() < 1e-12);
    }
    assert!((multiplier.value() - (0.4 + 0.49 + 0.49)).abs() < 1e-6); // at first it is met, and 0
    let saved = serde_json::to_string(&multiplier).unwrap();
    assert_eq!(serde_json::from_str::<Multiplier>(&saved).unwrap(), multiplier);
}
