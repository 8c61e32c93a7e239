use candle_core::{Device, Var};
use candle_nn::{Optimizer, VarMap};
use l0_rng::Purpose;

use super::*;
use crate::testing::{close, message, row, var};

fn built(droprate_init: f64, units: usize) -> candle_core::Result<(Gate, VarMap)> {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let cfg = GateConfig { droprate_init, ..Default::default() };
    Ok((gate(units, &cfg, vb.pp("fc1"))?, map))
}

fn of(log_alpha: &[f32]) -> Gate {
    let log_alpha = Tensor::new(log_alpha, &Device::Cpu).unwrap();
    Gate::new(var(&log_alpha).into_inner(), HardConcrete::default()).unwrap()
}

fn stream(step: u64) -> Stream {
    Stream::new(1, Purpose::Gate, 0, step, "gate")
}

#[test]
fn initial_values_have_the_moments_of_the_paper() {
    for (droprate, open) in [(0.2, 0.952), (0.5, 0.832), (0.3, 0.920)] {
        let (gate, _) = built(droprate, 4000).unwrap();
        let values = row(gate.log_alpha());
        let mean = values.iter().sum::<f64>() / 4000.0;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 4000.0).sqrt();
        close("mean", &[mean], &[((1.0 - droprate) / droprate).ln()], 1e-3);
        close("deviation", &[deviation], &[0.01], 5e-4);
        close("P(z != 0)", &[gate.expected_open().unwrap() / 4000.0], &[open], 1e-3);
    }
}

#[test]
fn initial_values_depend_on_seed_and_name_alone_and_yield_to_a_stored_tensor() {
    let (gate, map) = built(0.5, 9).unwrap();
    assert_eq!(row(gate.log_alpha()), row(built(0.5, 9).unwrap().0.log_alpha()));
    assert!(map.data().lock().unwrap().contains_key("fc1.log_alpha"));
    // Building over the same store finds what is there.
    Var::from_tensor(gate.log_alpha()).unwrap().set(&Tensor::ones(9, DType::F32, &Device::Cpu).unwrap()).unwrap();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let again = super::gate(9, &GateConfig::default(), vb.pp("fc1")).unwrap();
    assert_eq!(row(again.log_alpha()), [1.0; 9]);
    let other = super::gate(9, &GateConfig::default(), vb.pp("fc2")).unwrap();
    assert_ne!(row(other.log_alpha()), row(built(0.5, 9).unwrap().0.log_alpha()));
}

#[test]
fn both_doors_draw_alike() {
    let cfg = GateConfig { droprate_init: 0.2, ..Default::default() };
    let drawn = cfg.draw_log_alpha(9, &mut Stream::new(0, Purpose::Init, 0, 0, "fc1.log_alpha")).unwrap();
    let drawn: Vec<f64> = drawn.into_iter().map(f64::from).collect();
    close("log_alpha", &row(built(0.2, 9).unwrap().0.log_alpha()), &drawn, 1e-7);
}

#[test]
fn counts() {
    // Eq. 13 closes at -2.3979, the median at -1.5986; P = 0.0474, 0.4013, 0.8318, 0.9902.
    let gate = of(&[-4.6, -1.9986, 0.0, 3.0181]);
    close("expected", &[gate.expected_open().unwrap()], &[0.0473625 + 0.4013116 + 0.8318222 + 0.9902114], 1e-6);
    close("prob_open", &row(&gate.prob_open().unwrap()), &gate.prob_open_vec().unwrap(), 1e-6);
    for (estimator, open) in [(Estimator::Mean, 3), (Estimator::Median, 2), (Estimator::TopK, 2)] {
        let found = gate.open(estimator).unwrap();
        assert_eq!(found.into_iter().filter(|&open| open).count(), open, "{estimator}");
    }
    assert_eq!(gate.open(Estimator::Median).unwrap(), [false, false, true, true]);
}

#[test]
fn noise_has_the_shape_asked_for_and_the_address_alone_decides_it() {
    let gate = of(&[0.0; 6]);
    assert_eq!(gate.noise(None, &mut stream(0)).unwrap().dims(), [6]);
    let draws = gate.noise(Some(5), &mut stream(0)).unwrap();
    assert_eq!(draws.dims(), [5, 6]);
    assert_eq!(gate.sample(&draws).unwrap().dims(), [5, 6]);
    assert_eq!(row(&draws), row(&gate.noise(Some(5), &mut stream(0)).unwrap()));
    assert_ne!(row(&draws), row(&gate.noise(Some(5), &mut stream(1)).unwrap()));
}

#[test]
fn clamp_brings_back_in_place_and_leaves_a_nan() {
    let gate = of(&[-9.0, 9.0, 1.0, f32::NAN]);
    gate.clamp_().unwrap();
    let values = row(gate.log_alpha());
    close("clamped", &values[..3], &[0.01f64.ln(), 100f64.ln(), 1.0], 1e-6);
    assert!(values[3].is_nan());
    let plain = Gate::new(gate.log_alpha().detach(), HardConcrete::default()).unwrap();
    assert!(message(plain.clamp_()).contains("not a variable"));
}

#[test]
fn test_values_carry_no_gradient_and_samples_do() {
    let gate = of(&[0.1, -0.2]);
    let noise = Tensor::full(0.5f32, 2, &Device::Cpu).unwrap();
    let gradient = |z: Tensor| z.sum_all().unwrap().backward().unwrap().get(gate.log_alpha()).cloned();
    assert!(gradient(gate.test_values(Estimator::Mean).unwrap()).is_none());
    assert!(row(&gradient(gate.sample(&noise).unwrap()).unwrap()).iter().all(|g| *g > 0.0));
}

#[test]
fn a_step_down_the_probability_closes_gates() {
    let (gate, map) = built(0.5, 20).unwrap();
    let before = gate.expected_open().unwrap();
    let mut sgd = candle_nn::SGD::new(map.all_vars(), 10.0).unwrap();
    sgd.backward_step(&gate.prob_open().unwrap().sum_all().unwrap()).unwrap();
    assert!(gate.expected_open().unwrap() < before - 1.0);
}

#[test]
fn bad_input_is_refused() {
    assert!(message(built(0.0, 3)).contains("droprate_init must be in (0, 1), found 0"));
    assert!(message(built(f64::NAN, 3)).contains("found NaN"));
    assert!(message(built(0.5, 0)).contains("a gate needs at least 1 unit, found log_alpha of shape [0]"));
    assert!(message(of(&[0.0; 3]).sample(&Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap())).contains("found [2]"));
}
