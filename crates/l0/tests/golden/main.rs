//! Values and gradients against the paper authors' PyTorch layers; README.md beside this file says how they were made.

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var};
use candle_nn::Conv2dConfig;
use l0::{Gate, GatedLayer, HardConcrete, L0Conv2d, L0Linear, LayerConfig, Penalty};
use serde_json::Value;

/// Largest difference, as a share of the largest expected value of a tensor.
const TOLERANCE: f64 = 1e-5;

fn cases() -> Vec<Value> {
    let golden: Value = serde_json::from_str(include_str!("l0_layers.json")).expect("golden values are JSON");
    golden["cases"].as_array().expect("a list of cases").clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().expect("a number")],
    }
}

/// The tensor `name` of a case in a shape, a variable.
fn var(case: &Value, name: &str, shape: &[usize]) -> Result<Var> {
    let values: Vec<f32> = numbers(&case[name]).into_iter().map(|x| x as f32).collect();
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)
}

fn check(case: &Value, name: &str, found: &Tensor) -> Result<()> {
    let found: Vec<f32> = found.flatten_all()?.to_vec1()?;
    let expected = numbers(&case[name]);
    assert_eq!(found.len(), expected.len(), "{name}: length");
    let scale = expected.iter().fold(0f64, |m, x| m.max(x.abs()));
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let difference = (f64::from(*found) - expected).abs();
        assert!(difference <= TOLERANCE * scale, "{name}[{i}]: {found}, expected {expected}");
    }
    Ok(())
}

fn shape(case: &Value, name: &str) -> Vec<usize> {
    numbers(&case[name]).into_iter().map(|x| x as usize).collect()
}

/// What the two kinds of layers share: outputs, gates, penalty, and the gradients of the file's loss, which it returns.
fn check_layer(case: &Value, layer: &impl GatedLayer, xs: &Var, train: &Tensor, log_alpha: &Var) -> Result<GradStore> {
    check(case, "train_output", train)?;
    check(case, "eval_output", &layer.forward_t(xs, false)?)?;
    check(case, "prob_active", &layer.gate().prob_open()?)?;
    check(case, "z_eval", &layer.gate().test_values(layer.config().estimator)?)?;
    let noise = var(case, "uniform", log_alpha.dims())?;
    check(case, "z_train", &layer.gate().sample(&noise)?)?;

    let number = |name: &str| case[name].as_f64().expect("a number");
    // The file's lambda is a price: there is no number of training points to divide it by.
    let penalty = layer.penalty(&Penalty::per_weight(number("lambda_"), 1)?.with_weight_decay(number("l2"))?)?;
    check(case, "penalty", &penalty)?;
    let upstream = var(case, "upstream", train.dims())?;
    let loss = ((train * upstream.as_tensor())?.sum_all()? + penalty)?;
    let grads = loss.backward()?;
    check(case, "grad_log_alpha", grads.get(log_alpha).expect("a gradient"))?;
    check(case, "grad_input", grads.get(xs).expect("a gradient"))?;
    Ok(grads)
}

fn distribution(case: &Value) -> HardConcrete {
    let number = |name: &str| case[name].as_f64().expect("a number");
    HardConcrete::new(number("temperature"), number("gamma"), number("zeta")).expect("a distribution")
}

fn dense(case: &Value) -> Result<()> {
    let dims = shape(case, "weight_shape"); // (in, out)
    let weight = Var::from_tensor(&var(case, "weight", &dims)?.t()?.contiguous()?)?;
    let (bias, log_alpha) = (var(case, "bias", &dims[1..])?, var(case, "log_alpha", &dims[..1])?);
    let xs = var(case, "input", &shape(case, "input_shape"))?;
    let gate = Gate::new(log_alpha.as_tensor().clone(), distribution(case))?;
    let (w, b) = (weight.as_tensor().clone(), bias.as_tensor().clone());
    let layer = L0Linear::new(w, Some(b), gate, LayerConfig::default())?;
    let train = layer.forward_with_noise(&xs, var(case, "uniform", &dims[..1])?.as_tensor())?;
    let grads = check_layer(case, &layer, &xs, &train, &log_alpha)?;
    check(case, "grad_weight", &grads.get(&weight).expect("a gradient").t()?)?;
    check(case, "grad_bias", grads.get(&bias).expect("a gradient"))
}

fn conv(case: &Value) -> Result<()> {
    let dims = shape(case, "weight_shape"); // (out, in, k, k)
    let (weight, log_alpha) = (var(case, "weight", &dims)?, var(case, "log_alpha", &dims[..1])?);
    let xs = var(case, "input", &shape(case, "input_shape"))?;
    let gate = Gate::new(log_alpha.as_tensor().clone(), distribution(case))?;
    let geometry = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
    let layer = L0Conv2d::new(weight.as_tensor().clone(), None, gate, geometry, LayerConfig::default())?;
    let train = layer.forward_with_noise(&xs, var(case, "uniform", &dims[..1])?.as_tensor())?;
    let grads = check_layer(case, &layer, &xs, &train, &log_alpha)?;
    check(case, "grad_weight", grads.get(&weight).expect("a gradient"))
}

fn agree(kind: &str, check: impl Fn(&Value) -> Result<()>) -> Result<()> {
    let cases: Vec<Value> = cases().into_iter().filter(|case| case["kind"] == kind).collect();
    assert_eq!(cases.len(), 2, "cases of kind {kind}");
    cases.iter().try_for_each(check)
}

#[test]
fn linear_layers_agree_with_the_authors() -> Result<()> {
    agree("dense", dense)
}

#[test]
fn convolutions_agree_with_the_authors() -> Result<()> {
    agree("conv", conv)
}
