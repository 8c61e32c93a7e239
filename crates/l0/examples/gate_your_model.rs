//! A user's own Candle model, gated: 20 inputs of which the labels depend on 4, and far more hidden units than it
//! takes. Gates find out which, and a smaller model of plain Candle layers computes the same.
//!
//! `cargo run --release -p l0 --example gate_your_model`

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::loss::cross_entropy;
use candle_nn::{AdamW, Linear, Optimizer, ParamsAdamW, VarBuilder, VarMap};
use l0::prelude::*;
use l0_rng::{Purpose, Stream};

struct Model {
    fc1: L0Linear,
    fc2: L0Linear,
}

impl ModuleT for Model {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        self.fc2.forward_t(&self.fc1.forward_t(xs, train)?.relu()?, train)
    }
}

/// What is left of the model: the inputs that it reads, and plain layers.
struct Small {
    inputs: Vec<u32>,
    fc1: Linear,
    fc2: Linear,
}

impl Small {
    /// Of the first layer the open inputs, and of its outputs those that the second one reads.
    fn of(model: &Model) -> Result<Self> {
        let (inputs, hidden) = (model.fc1.kept()?, model.fc2.kept()?);
        let (fc1, fc2) = (model.fc1.shrunk(&inputs, &hidden)?, model.fc2.shrunk(&hidden, &[0, 1])?);
        Ok(Self { inputs, fc1, fc2 })
    }
}

impl Module for Small {
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let inputs = Tensor::new(self.inputs.as_slice(), xs.device())?;
        self.fc2.forward(&self.fc1.forward(&xs.index_select(&inputs, 1)?)?.relu()?)
    }
}

/// Weights and biases.
fn parameters(layers: [&Linear; 2]) -> usize {
    layers.map(|layer| layer.weight().elem_count() + layer.bias().map_or(0, Tensor::elem_count)).iter().sum()
}

/// Points with 20 coordinates, and as label whether x0 + x1 > x2 x3.
fn points(n: usize, step: u64) -> Result<(Tensor, Tensor)> {
    let xs = Stream::new(1, Purpose::Other, 0, step, "points").normals(n * 20);
    let labels: Vec<u32> = xs.chunks(20).map(|x| u32::from(x[0] + x[1] > x[2] * x[3])).collect();
    Ok((Tensor::from_vec(xs, (n, 20), &Device::Cpu)?, Tensor::from_vec(labels, n, &Device::Cpu)?))
}

fn main() -> Result<()> {
    let varmap = VarMap::new();
    let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
    let fc1 = l0_linear(20, 32, LayerConfig::default(), vb.pp("fc1"))?; // was: linear(20, 32, vb.pp("fc1"))?
    let fc2 = l0_linear(32, 2, LayerConfig::default(), vb.pp("fc2"))?;
    let model = Model { fc1, fc2 };
    let penalty = Penalty::density(0.3)?; // all weights of a layer open together add 0.3 to the loss

    // Weight decay is for weights: log alpha would be drawn to 0, which stands for a gate that is mostly open.
    let Vars { weights, gates } = Vars::of(&varmap);
    let mut weights = AdamW::new(weights, ParamsAdamW { lr: 0.01, ..ParamsAdamW::default() })?;
    let mut gates = AdamW::new(gates, ParamsAdamW { lr: 0.01, weight_decay: 0.0, ..ParamsAdamW::default() })?;
    for step in 0..1500 {
        let (xs, labels) = points(100, step)?;
        let loss = cross_entropy(&model.forward_t(&xs, true)?, &labels)?;
        let loss = ((loss + model.fc1.penalty(&penalty)?)? + model.fc2.penalty(&penalty)?)?;
        let grads = loss.backward()?;
        weights.step(&grads)?;
        gates.step(&grads)?;
        clamp_gates(&varmap)?;
    }

    let (small, (xs, labels)) = (Small::of(&model)?, points(5000, 1_000_000)?);
    let (before, after) = (model.forward_t(&xs, false)?, small.forward(&xs)?);
    let hits = after.argmax(D::Minus1)?.eq(&labels)?.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?;
    let difference = (before - after)?.abs()?.max_all()?.to_scalar::<f32>()?;
    println!(
        "{:.1} % right with inputs {:?} and {} hidden units",
        100.0 * hits,
        small.inputs,
        small.fc2.weight().dim(1)?
    );
    let whole = parameters([&model.fc1.to_plain()?, &model.fc2.to_plain()?]);
    let left = parameters([&small.fc1, &small.fc2]);
    println!("parameters: {whole} before, {left} after; largest difference of an output: {difference:.1e}");
    Ok(())
}
