//! A mask from anywhere: keep the channels and hidden units with the largest L1 norms, then compact, verify, save,
//! load.
//!
//! `cargo run --release -p l0-net --example prune_by_magnitude`

use candle_core::{Device, Tensor};
use l0_net::{Agreement, Builder, Card, Existing, Mask, Masks, Mode, Model, Params};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut b = Builder::image("input", 1, 28, 28);
    b.conv2d("conv1", 20, 5).relu().max_pool2d(2).conv2d("conv2", 50, 5).relu().max_pool2d(2);
    b.flatten("features").linear("fc1", 500).relu().linear("fc2", 10);
    let net = b.build()?;
    let weights = Params::init(&net, 1, &Device::Cpu)?.detached(); // or trained ones

    // The mask: a tenth of each layer's units, those whose weights are largest in sum.
    let mut masks = Masks::none(&net);
    for layer in ["conv1", "conv2", "fc1"] {
        let norms = weights.get(&format!("{layer}.weight"))?.abs()?.flatten_from(1)?.sum(1)?.to_vec1::<f32>()?;
        let mut sorted = norms.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let least = sorted[norms.len() / 10 - 1];
        let z: Vec<f32> = norms.iter().map(|&norm| if norm >= least { 1.0 } else { 0.0 }).collect();
        masks.set(&net, net.space(net.find(layer)?), Mask::Shared(Tensor::new(z, &Device::Cpu)?))?;
    }

    let model = net.compact(&weights, &masks)?;
    println!("{} of {} parameters left", model.net.cost().params(), net.cost().params());
    let (xs, mut agreement) = (Tensor::rand(0f32, 1., (64, 1, 28, 28), &Device::Cpu)?, Agreement::default());
    agreement.add(&net.forward(&weights, &xs, &masks, Mode::Eval)?.ys, &model.forward(&xs)?)?;
    println!("{agreement}: {}", if agreement.passes() { "equal" } else { "NOT equal" });

    let path = std::env::temp_dir().join("pruned-by-magnitude.safetensors");
    let card = Card { estimator: Some("L1 norm".into()), agreement: Some(agreement), ..Card::default() };
    model.save(&path, &card, Existing::Replace)?;
    let (loaded, _) = Model::load(&path, &Device::Cpu)?;
    println!("{} ({} bytes) holds\n{}", path.display(), std::fs::metadata(&path)?.len(), loaded.summary());
    Ok(())
}
