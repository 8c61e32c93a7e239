//! Prunes an ONNX file on one of the benchmark data sets in a local folder:
//! `cargo run --release -p l0-prune --example prune_onnx -- MODEL.onnx cifar10 FOLDER 0.5 10 OUT.onnx`.

use std::sync::atomic::AtomicBool;

use l0_data::{Benchmark, Silent, Source};
use l0_prune::{Prune, Target};
use l0_record::EpochRow;
use l0_train::{Evaluation, StepResult, Watch};

/// Says how each epoch went.
struct Epochs;

impl Watch for Epochs {
    fn step(&mut self, _epoch: u64, _step: u64, _steps: u64, _result: &StepResult) {}
    fn epoch(&mut self, row: &EpochRow, evaluation: &Evaluation) {
        let macs = row.expected_macs.unwrap_or(0.0) / 1e6;
        let hard = row.hard_macs.unwrap_or(0) as f64 / 1e6;
        let error = evaluation.score;
        println!(
            "epoch {} {:.0} s: train loss {:.3}, {error}, {macs:.1} M MACs expected, {hard:.1} M open {:?} {:?}",
            row.epoch, row.seconds, row.train_loss, row.multipliers, row.violations
        );
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, data, folder, share, epochs, out] = args.as_slice() else {
        return Err("expected MODEL.onnx DATA FOLDER SHARE EPOCHS OUT.onnx".into());
    };
    let data = l0_data::load(data.parse::<Benchmark>()?, &Source::dir(folder), &Silent)?;
    let var =
        |name: &str, default: f64| std::env::var(name).ok().and_then(|v| v.parse::<f64>().ok()).unwrap_or(default);
    let mut prune = Prune::model(l0_net::from_onnx(model)?)
        .target(Target::Macs(share.parse()?))
        .epochs(epochs.parse()?)
        .seed(var("SEED", 1.0) as u64);
    if var("LEARNING", 0.0) > 0.0 {
        prune = prune.learning_epochs(var("LEARNING", 0.0) as u64);
    }
    prune = prune.batch_size(var("BATCH", 128.0) as usize).weight_decay(var("WD", 5e-4));
    if var("LR", 0.0) > 0.0 {
        prune =
            prune.optimiser(l0_train::Optimiser::Sgd { learning_rate: var("LR", 0.0), momentum: 0.9, nesterov: true });
    }
    if var("SHARE", 0.0) > 0.0 {
        prune = prune.distil(l0_train::Distillation { temperature: var("T", 4.0), share: var("SHARE", 0.0) });
    }
    let pruned = prune.train_with(&data, &mut Epochs, &AtomicBool::new(false))?;
    println!("{pruned}\n{}\n{}", pruned.agreement, pruned.model.summary());
    pruned.save_onnx(out)?;
    Ok(())
}
