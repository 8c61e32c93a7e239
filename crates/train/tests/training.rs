//! Runs that must agree: resumed and undisturbed, one thread and several, the same seed twice.
#![allow(missing_docs)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Device;
use l0::{Estimator, Lambda, Network, Quantity, Sampling, Targets};
use l0_data::{Dataset, Digits, Normalise};
use l0_record::{EpochRow, RunFolder, RunHeader, Status, read_run};
use l0_train::{
    Constraint, Error, Evaluation, Finished, Job, Optimiser, Schedule, StepResult, Trainer, Training, Watch, run,
};

fn training(epochs: u64) -> Training {
    Training {
        epochs,
        batch_size: 50,
        optimiser: Optimiser::adam(1e-3),
        gate_optimiser: Optimiser::adam(2e-2),
        schedule: Schedule::Constant,
        weight_decay: 0.0,
        average: 0.95,
        sampling: Sampling::Minibatch,
        estimator: Estimator::Mean,
        frozen_epochs: 0,
        constraint: None,
    }
}

fn data() -> Dataset {
    Digits { train: 500, test: 100, seed: 3 }.draw().unwrap()
}

fn mlp() -> Network {
    l0_mlp::l0(&l0_mlp::lenet_300_100(), &[1.0, 1.0, 10.0].map(Lambda::PerWeight)).unwrap()
}

fn lenet5() -> Network {
    l0_lenet5::l0(&l0_lenet5::lenet5_caffe(), &[10.0, 0.5, 0.1, 10.0].map(Lambda::PerWeight)).unwrap()
}

/// Stops a run after so many steps, if any are given.
struct StopAfter<'a> {
    left: Option<u64>,
    stop: &'a AtomicBool,
}

impl Watch for StopAfter<'_> {
    fn step(&mut self, _: u64, _: u64, _: u64, _: &StepResult) {
        if let Some(left) = &mut self.left {
            *left -= 1;
            self.stop.store(*left == 0, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, _: &EpochRow, _: &Evaluation) {}
}

fn go(network: &Network, training: &Training, path: &Path, stop_after: Option<u64>) -> l0_train::Result<Finished> {
    let data = data();
    let header = RunHeader::new("test", 7, serde_json::json!({ "training": training }));
    let folder = match path.join("run.json").exists() {
        true => RunFolder::resume(path, &header).unwrap(),
        false => RunFolder::create(path, &header).unwrap(),
    };
    let job = Job {
        network,
        training,
        data: &data,
        normalise: Normalise::unit(),
        augment: None,
        seed: 7,
        device: Device::Cpu,
    };
    let stop = AtomicBool::new(false);
    run(&job, folder, &mut StopAfter { left: stop_after, stop: &stop }, &stop)
}

/// Rows without what a clock measured.
fn rows(path: &Path) -> Vec<EpochRow> {
    let rows = read_run(path).unwrap().rows;
    rows.into_iter().map(|row| EpochRow { seconds: 0.0, step_ms: None, ..row }).collect()
}

fn bits(finished: &Finished) -> Vec<u32> {
    let values = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    finished.weights.iter().flat_map(|(_, t)| values(t)).map(f32::to_bits).collect()
}

fn resumed_is_undisturbed(network: &Network, training: &Training, stops: &[u64]) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let undisturbed = go(network, training, &whole, None).unwrap();
    for &stop in stops {
        let error = go(network, training, &parts, Some(stop)).unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        assert_eq!(read_run(&parts).unwrap().header.status, Status::Interrupted);
    }
    let resumed = go(network, training, &parts, None).unwrap();
    assert_eq!(rows(&whole), rows(&parts));
    assert!(bits(&undisturbed) == bits(&resumed), "the final values differ");
    assert_eq!(undisturbed.outcome.architecture, resumed.outcome.architecture);
}

#[test]
fn a_resumed_mlp_is_undisturbed() {
    resumed_is_undisturbed(&mlp(), &training(3), &[4, 6, 5, 3]);
}

#[test]
fn a_resumed_lenet5_with_frozen_gates_is_undisturbed() {
    resumed_is_undisturbed(&lenet5(), &Training { frozen_epochs: 1, ..training(3) }, &[9, 1, 14]);
}

#[test]
fn a_resumed_dropout_network_with_momentum_is_undisturbed() {
    let sgd = Optimiser::Sgd { learning_rate: 0.05, momentum: 0.9, nesterov: true };
    let schedule = Schedule::Steps { after: vec![1], factor: 0.2 };
    let training = Training { optimiser: sgd, schedule, weight_decay: 1e-4, ..training(2) };
    resumed_is_undisturbed(&l0_lenet5::dropout(&l0_lenet5::lenet5_caffe()).unwrap(), &training, &[13]);
}

#[test]
fn a_resumed_constrained_mlp_is_undisturbed() {
    let constraint = Constraint {
        targets: Targets::Layers(vec![0.5, 0.4, 0.9]),
        quantity: Quantity::Params,
        learning_rate: 0.01,
        restart: true,
    };
    resumed_is_undisturbed(&mlp(), &Training { constraint: Some(constraint), ..training(3) }, &[7, 16]);
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let undisturbed = go(&mlp(), &training(3), &whole, None).unwrap();
    go(&mlp(), &training(3), &parts, Some(25)).unwrap_err();
    let mut checkpoints: Vec<_> =
        std::fs::read_dir(parts.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    checkpoints.sort();
    assert_eq!(checkpoints.len(), 2);
    let newest = checkpoints.last().unwrap();
    let mut bytes = std::fs::read(newest).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(newest, bytes).unwrap();
    let resumed = go(&mlp(), &training(3), &parts, None).unwrap();
    assert!(bits(&resumed) == bits(&undisturbed), "the final values differ");
    assert_eq!(rows(&whole), rows(&parts));
}

fn same_with_any_number_of_threads(network: &Network) {
    let folder = tempfile::tempdir().unwrap();
    let results: Vec<_> = [1, 2, 3, 1]
        .iter()
        .enumerate()
        .map(|(i, &threads)| {
            let path = folder.path().join(i.to_string());
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let finished = pool.install(|| go(network, &training(2), &path, None)).unwrap();
            (bits(&finished), rows(&path))
        })
        .collect();
    for other in &results[1..] {
        assert_eq!(results[0].1, other.1);
        assert!(results[0].0 == other.0, "the final values differ");
    }
}

#[test]
fn an_mlp_is_the_same_with_any_number_of_threads() {
    same_with_any_number_of_threads(&mlp());
}

#[test]
fn a_lenet5_is_the_same_with_any_number_of_threads() {
    same_with_any_number_of_threads(&lenet5());
}

#[test]
fn training_learns_and_closes_gates() {
    let folder = tempfile::tempdir().unwrap();
    let network = l0_mlp::l0(&l0_mlp::lenet_300_100(), &[Lambda::PerWeight(1e-3)]).unwrap();
    let training = Training { gate_optimiser: Optimiser::adam(2e-2), ..training(30) };
    let finished = go(&network, &training, &folder.path().join("run"), None).unwrap();
    let rows = rows(&folder.path().join("run"));
    assert!(rows[29].train_loss < 0.5 * rows[0].train_loss, "{} from {}", rows[29].train_loss, rows[0].train_loss);
    assert!(rows[29].expected_l0 < rows[0].expected_l0);
    let kept = finished.outcome.weights_kept.unwrap();
    assert!(kept < 266_200, "{kept} weights are left");
}

#[test]
fn gates_do_not_move_once_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let training = Training { frozen_epochs: 2, ..training(6) };
    go(&mlp(), &training, &folder.path().join("run"), None).unwrap();
    let rows = rows(&folder.path().join("run"));
    assert_eq!(rows[4].expected_l0, rows[5].expected_l0);
    assert_ne!(rows[3].expected_l0, rows[2].expected_l0);
}

#[test]
fn an_infinite_loss_ends_the_run_and_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let wild = Training { optimiser: Optimiser::adam(1e30), ..training(3) };
    let error = go(&mlp(), &wild, &path, None).unwrap_err();
    assert!(matches!(error, Error::NotFinite { epoch: 1, .. }), "{error}");
    let header = read_run(&path).unwrap().header;
    assert_eq!((header.status, header.message), (Status::Failed, Some(error.to_string())));
}

#[test]
fn a_step_on_the_sub_network_equals_one_with_a_sample_for_each_example() {
    // With a batch of one example both ways of sampling draw the same gates, and only one of them leaves units out.
    let data = data();
    let batch = |i: u32| data.train.batch(&[i], &Normalise::unit(), None, &Device::Cpu).unwrap();
    let after = |sampling| {
        let (network, training) = (lenet5(), Training { sampling, ..training(1) });
        let mut trainer = Trainer::new(&network, &training, 500, 1, &Device::Cpu).unwrap();
        (0..5).for_each(|i| {
            trainer.step(&batch(i), 0, u64::from(i)).unwrap();
        });
        trainer.params().detached()
    };
    let (shared, each) = (after(Sampling::Minibatch), after(Sampling::Example));
    for ((name, a), (_, b)) in shared.iter().zip(each.iter()) {
        let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        // Adam's first steps have the size of the learning rate whatever the gradient: rounding may turn a sign near 0.
        assert!(difference < 5e-3, "{name} differs by {difference}");
    }
}

#[test]
fn wrong_settings_are_named() {
    let check = |training: Training, message: &str| assert_eq!(training.check().unwrap_err().to_string(), message);
    check(Training { batch_size: 0, ..training(1) }, "batch_size is 0, expected 1 or more");
    check(Training { average: 1.0, ..training(1) }, "average is 1, expected 0 or more and below 1");
    check(Training { frozen_epochs: 2, ..training(2) }, "frozen_epochs is 2, expected fewer than there are epochs");
    let wild = Training { optimiser: Optimiser::adam(f64::NAN), ..training(1) };
    check(wild, "optimiser.learning_rate is NaN, expected a number above 0");
}
