//! A user's own Candle model, gated: 20 inputs of which the labels depend on 4, and gates find out which.
//!
//! `cargo run --release -p l0 --example gate_your_model`

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{AdamW, Linear, Module, ModuleT, Optimizer, ParamsAdamW, VarBuilder, VarMap};
use candle_nn::{linear, loss::cross_entropy};
use l0::{Estimator, GatedLayer, L0Linear, LayerConfig, Penalty, l0_linear};
use l0_rng::{Purpose, Stream};

struct Model {
    fc1: L0Linear,
    fc2: Linear,
}

impl ModuleT for Model {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        self.fc2.forward(&self.fc1.forward_t(xs, train)?.relu()?)
    }
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
    let model = Model { fc1, fc2: linear(32, 2, vb.pp("fc2"))? };
    let penalty = Penalty::density(0.3)?;

    // Candle's default decays all variables by 0.01: log alpha too, and 0 stands for a gate that is mostly open.
    let adam = ParamsAdamW { lr: 0.01, weight_decay: 0.0, ..ParamsAdamW::default() };
    let mut adam = AdamW::new(varmap.all_vars(), adam)?;
    for step in 0..1500 {
        let (xs, labels) = points(100, step)?;
        let loss = cross_entropy(&model.forward_t(&xs, true)?, &labels)?;
        adam.backward_step(&(loss + model.fc1.penalty(&penalty)?)?)?;
        model.fc1.gate().clamp_()?;
    }

    let (xs, labels) = points(5000, 1_000_000)?;
    let hits = model.forward_t(&xs, false)?.argmax(D::Minus1)?.eq(&labels)?.to_dtype(DType::F32)?.mean_all()?;
    let open = model.fc1.gate().open(Estimator::Mean)?;
    let open: Vec<usize> = (0..20).filter(|&unit| open[unit]).collect();
    println!("{:.1} % right with inputs {open:?} open", 100.0 * hits.to_scalar::<f32>()?);
    Ok(())
}
