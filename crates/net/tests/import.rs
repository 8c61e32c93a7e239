//! Values that other programs trained, brought to a description.
#![allow(missing_docs)]

mod common;

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::{BatchNormConfig, Conv2dConfig, Module, ModuleT, VarBuilder, VarMap};
use common::Any;
use l0_net::{Builder, ClosedChannels, Import, Masks, Model, Net, Weights};

fn described() -> Net {
    let mut b = Builder::image("image", 1, 6, 6);
    b.conv2d("conv", 3, 3)
        .closed_channels(ClosedChannels::Constant)
        .batch_norm("bn")
        .relu()
        .flatten("features")
        .linear("fc", 2);
    b.build().unwrap()
}

/// What PyTorch keeps beside a normalisation, in front of all other names.
fn tracked() -> (String, Tensor) {
    ("bn.num_batches_tracked".into(), Tensor::new(7i64, &Device::Cpu).unwrap())
}

/// The same network written by hand.
struct Hand {
    conv: candle_nn::Conv2d,
    bn: candle_nn::BatchNorm,
    fc: candle_nn::Linear,
}

impl Hand {
    fn new(vb: &VarBuilder) -> candle_core::Result<Self> {
        Ok(Self {
            conv: candle_nn::conv2d(1, 3, 3, Conv2dConfig::default(), vb.pp("conv"))?,
            bn: candle_nn::batch_norm(3, BatchNormConfig::default(), vb.pp("bn"))?,
            fc: candle_nn::linear(48, 2, vb.pp("fc"))?,
        })
    }

    fn forward(&self, xs: &Tensor, relu: bool) -> candle_core::Result<Tensor> {
        let ys = self.bn.forward_t(&self.conv.forward(xs)?, false)?;
        let ys = if relu { ys.relu()? } else { ys };
        self.fc.forward(&ys.flatten_from(1)?)
    }
}

fn images() -> Tensor {
    common::random_input(&described(), 3, 4)
}

#[test]
fn a_hand_written_model_is_taken_over_and_checked() -> Any {
    let varmap = VarMap::new();
    let hand = Hand::new(&VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu))?;
    let import = Import::from_varmap(&described(), &varmap)?;
    assert!(import.left_over.is_empty());
    let model = Model::checked(described(), import.weights.clone(), &images(), &hand.forward(&images(), true)?)?;
    assert!(common::difference(&hand.forward(&images(), true)?, &model.forward(&images())?) < 1e-5);
    let error = Model::checked(described(), import.weights, &images(), &hand.forward(&images(), false)?).unwrap_err();
    assert!(
        error.to_string().starts_with("the description computes something else than the model: largest difference")
    );
    Ok(())
}

#[test]
fn values_that_no_layer_asks_for_play_no_part() -> Any {
    let net = described();
    let params = common::random_params(&net, 1);
    let mut named: Vec<(String, Tensor)> =
        params.detached().iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    named.insert(0, tracked());
    let weights = Weights::new(named.clone())?;
    let small = net.compact(&weights, &Masks::none(&net))?; // was: dtype mismatch in conv2d, lhs: I64, rhs: F32
    let model = Model::new(net.clone(), weights)?;
    assert!(common::difference(&model.forward(&images())?, &small.forward(&images())?) < 1e-6);
    let import = Import::new(&net, named.into_iter().collect())?;
    assert_eq!(import.left_over, ["bn.num_batches_tracked"]);
    Ok(())
}

#[test]
fn a_file_of_another_program_is_read_in_any_floating_type() -> Any {
    let net = described();
    let params = common::random_params(&net, 1);
    let mut named = HashMap::from([tracked()]);
    for (name, value) in params.detached().iter() {
        named.insert(name.to_string(), value.to_dtype(DType::F16)?);
    }
    let file = tempfile::NamedTempFile::new()?;
    candle_core::safetensors::save(&named, file.path())?;
    let import = Import::from_file(&net, file.path(), &Device::Cpu)?;
    assert_eq!(import.left_over, ["bn.num_batches_tracked"]);
    let model = Model::new(net, import.weights)?;
    assert_eq!(model.forward(&images())?.dtype(), DType::F32);
    std::fs::write(file.path(), "no tensors")?;
    let error = Import::from_file(&described(), file.path(), &Device::Cpu).unwrap_err().to_string();
    assert!(error.starts_with(&file.path().display().to_string()), "{error}");
    Ok(())
}

#[test]
fn what_is_missing_is_named_beside_what_is_left_over() {
    let wrong =
        HashMap::from([("conv1.weight".into(), Tensor::zeros((3, 1, 3, 3), DType::F32, &Device::Cpu).unwrap())]);
    let error = Import::new(&described(), wrong).unwrap_err().to_string();
    assert!(error.starts_with("8 of 8 parameters have no value: conv.weight [3, 1, 3, 3], conv.bias [3]"), "{error}");
    assert!(error.ends_with("left over are conv1.weight [3, 1, 3, 3]"), "{error}");
    let mut b = Builder::features("input", 3);
    (0..20).for_each(|i| _ = b.linear(&format!("fc{i}"), 3));
    let error = Import::new(&b.build().unwrap(), HashMap::new()).unwrap_err().to_string();
    assert!(error.contains("and 30 more; no value is left over"), "{error}");
}

#[test]
fn values_that_f32_cannot_hold_are_refused() {
    let net = Builder::features("input", 1).linear("fc", 1).build().unwrap();
    for (value, found) in [(1e300, "inf"), (f64::NAN, "NaN")] {
        let weight = Tensor::new(&[[value]], &Device::Cpu).unwrap();
        let bias = Tensor::new(&[0f64], &Device::Cpu).unwrap();
        let error = Import::new(&net, HashMap::from([("fc.weight".into(), weight), ("fc.bias".into(), bias)]));
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(&format!("\"fc.weight\" holds {found} as f32")), "{error}");
    }
}

/// Every call refuses the same types.
#[test]
fn a_network_computes_in_f32_alone() {
    let net = described();
    let params = common::random_params(&net, 1);
    for dtype in [DType::F16, DType::F64] {
        let other = params.detached().iter().map(|(_, value)| value.to_dtype(dtype)).collect::<Result<_, _>>().unwrap();
        let other = params.detached().with(other).unwrap();
        let refused = |result: l0_net::Result<()>| {
            let error = result.unwrap_err().to_string();
            assert!(error.starts_with(&format!("\"conv.weight\" holds {dtype:?}, expected F32")), "{error}");
        };
        let none = Masks::none(&net);
        let eval = l0_net::Mode::Eval;
        refused(net.forward(&other, &images(), &none, eval).map(|_| ()));
        refused(net.compact(&other, &none).map(|_| ()));
        refused(Model::new(net.clone(), other.clone()).map(|_| ()));
        refused(params.assign(&other));
        let xs = images().to_dtype(dtype).unwrap();
        let error = net.forward(&params.detached(), &xs, &none, eval).unwrap_err().to_string();
        assert!(error.starts_with(&format!("\"input\" holds {dtype:?}")), "{error}");
    }
}

/// A value that does not fit changes no other.
#[test]
fn a_refused_assignment_changes_nothing() -> Any {
    let net = described();
    let (params, other) = (common::random_params(&net, 1), common::random_params(&net, 2));
    let before: Vec<Tensor> = params.detached().iter().map(|(_, value)| value.copy()).collect::<Result<_, _>>()?;
    let mut values: Vec<Tensor> = other.detached().iter().map(|(_, value)| value.clone()).collect();
    let last = values.len() - 1;
    values[last] = values[last].to_dtype(DType::F64)?;
    assert!(params.assign(&other.detached().with(values)?).is_err());
    for ((_, now), before) in params.detached().iter().zip(&before) {
        assert_eq!(now.flatten_all()?.to_vec1::<f32>()?, before.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(())
}

#[test]
fn an_empty_batch_is_refused() {
    let net = described();
    let xs = Tensor::zeros((0, 1, 6, 6), DType::F32, &Device::Cpu).unwrap();
    let model = Model::new(net.clone(), common::random_params(&net, 1).detached()).unwrap();
    let error = model.forward(&xs).unwrap_err().to_string();
    assert_eq!(error, "the batch has shape [0, 1, 6, 6], expected one example or more");
}
