//! Runs that must agree: resumed and undisturbed, one thread and several, the same seed twice.
#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Device, Tensor};
use l0::{Constraint, Estimator, Filling, Fit, GatedNet, L2, Lambda, Objective, Quantity, Sampling, Targets};
use l0_data::{Augment, Dataset, Digits, Feed, Normalise, Split};
use l0_net::{Builder, ClosedChannels, Weights};
use l0_record::{EpochRow, RunFolder, RunHeader, Status, read_run};
use l0_train::{
    Checkpoints, Error, Evaluation, Finished, GATED, Job, Number, Optimiser, Precision, Schedule, StepResult, Trainer,
    Training, Watch, run,
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
    }
}

fn digits() -> Dataset {
    Digits { train: 500, test: 100, seed: 3 }.draw().unwrap()
}

/// Colour images of one shade per class and noise, 3x8x8, for networks that read such.
fn colours() -> Dataset {
    let split = |n: usize, seed: usize| {
        let pixel = |i: usize| ((i / 192 % 10) * 20 + (i * 7919 + seed) % 50) as u8;
        Split::new((0..n * 192).map(pixel).collect(), (0..n as u32).map(|i| i % 10).collect(), (3, 8, 8), 10).unwrap()
    };
    Dataset::new("colours", split(60, 1), split(20, 2), vec![]).unwrap()
}

/// A network with gates, and what is optimised beside its loss.
type Gated = (GatedNet, Objective);

fn priced(network: l0::Result<GatedNet>, lambdas: &[f64]) -> Gated {
    let lambdas: Vec<Lambda> = lambdas.iter().copied().map(Lambda::PerWeight).collect();
    (network.unwrap(), Objective::priced(&lambdas))
}

/// The same gates, brought to targets by multipliers.
fn held((network, _): Gated, targets: Targets, learning_rate: f64) -> Gated {
    let constraint = Constraint::new(targets, Quantity::Weights, learning_rate);
    (network, Objective::constrained(constraint))
}

/// The same, with as many open as fit once they are frozen.
fn filled(gated: Gated, targets: Targets, learning_rate: f64) -> Gated {
    let (network, objective) = held(gated, targets, learning_rate);
    let constraint = objective.constraint().unwrap().clone();
    (network, Objective::constrained(Constraint { fit: Fit::Fill(Filling::default()), ..constraint }))
}

fn wide_resnet() -> Gated {
    let sizes = l0_wide_resnet::Config { image: (3, 8, 8), depth: 10, ..l0_wide_resnet::wrn_16_1(10) };
    let (network, objective) = priced(l0_wide_resnet::l0(&sizes), &[0.01]);
    (network, Objective { weight_decay: 5e-4 / 0.7, ..objective })
}

fn mlp() -> Gated {
    priced(l0_mlp::l0(&l0_mlp::lenet_300_100()), &[1.0, 1.0, 10.0])
}

fn lenet5() -> Gated {
    priced(l0_lenet5::l0(&l0_lenet5::lenet5_caffe()), &[10.0, 0.5, 0.1, 10.0])
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

fn go(gated: &Gated, training: &Training, path: &Path, stop_after: Option<u64>) -> l0_train::Result<Finished> {
    go_from(None, gated, training, path, stop_after)
}

fn go_from(
    start: Option<&Weights>,
    (network, objective): &Gated,
    training: &Training,
    path: &Path,
    stop_after: Option<u64>,
) -> l0_train::Result<Finished> {
    let is_colour = network.net().shape(0).dims()[0] == 3;
    let data = if is_colour { colours() } else { digits() };
    let header = RunHeader::new("test", 7, serde_json::json!({ "training": training }));
    let folder = match path.join("run.json").exists() {
        true => RunFolder::resume(path, &header).unwrap(),
        false => RunFolder::create(path, &header).unwrap(),
    };
    let job = Job {
        network,
        objective,
        training,
        data: &data,
        normalise: if is_colour { Normalise::cifar10() } else { Normalise::unit() },
        augment: is_colour.then(Augment::cifar),
        seed: 7,
        start,
        freeze: None,
        teacher: None,
        device: Device::Cpu,
        precision: Precision::F32,
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
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    finished.weights.iter().flat_map(|(_, t)| values(t)).map(f32::to_bits).collect()
}

fn resumed_is_undisturbed(gated: &Gated, training: &Training, stops: &[u64]) {
    resumed_from_is_undisturbed(None, gated, training, stops);
}

fn resumed_from_is_undisturbed(start: Option<&Weights>, gated: &Gated, training: &Training, stops: &[u64]) {
    let go = |gated, training, path: &Path, stop| go_from(start, gated, training, path, stop);
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let undisturbed = go(gated, training, &whole, None).unwrap();
    for &stop in stops {
        let error = go(gated, training, &parts, Some(stop)).unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        assert_eq!(read_run(&parts).unwrap().header.status, Status::Interrupted);
    }
    let resumed = go(gated, training, &parts, None).unwrap();
    assert_eq!(rows(&whole), rows(&parts));
    assert!(bits(&undisturbed) == bits(&resumed), "the final values differ");
    assert_eq!(undisturbed.outcome.architecture, resumed.outcome.architecture);
}

#[test]
fn a_resumed_mlp_is_undisturbed() {
    resumed_is_undisturbed(&mlp(), &training(3), &[4, 6, 5, 3]);
}

#[test]
fn a_run_that_begins_with_the_values_of_another_does_and_its_resumption_is_undisturbed() {
    let folder = tempfile::tempdir().unwrap();
    let first = go(&mlp(), &training(2), &folder.path().join("first"), None).unwrap();
    resumed_from_is_undisturbed(Some(&first.weights), &mlp(), &training(2), &[4, 11]);
    // With a learning rate that moves nothing, it ends where the other ended.
    let still = Optimiser::adam(1e-30);
    let still = Training { optimiser: still, gate_optimiser: still, average: 0.0, ..training(1) };
    let second = go_from(Some(&first.weights), &mlp(), &still, &folder.path().join("second"), None).unwrap();
    assert!(bits(&first) == bits(&second), "it began with other values");
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
    let network = l0_lenet5::dropout(&l0_lenet5::lenet5_caffe()).unwrap();
    resumed_is_undisturbed(&(network, Objective::default()), &training, &[13]);
}

#[test]
fn a_resumed_wide_resnet_with_augmented_images_is_undisturbed() {
    let sgd = Optimiser::Sgd { learning_rate: 0.05, momentum: 0.9, nesterov: true };
    let training = Training { optimiser: sgd, weight_decay: 5e-4, batch_size: 20, ..training(3) };
    resumed_is_undisturbed(&wide_resnet(), &training, &[4, 1]);
}

#[test]
fn a_resumed_constrained_mlp_is_undisturbed() {
    let gated = held(mlp(), Targets::Layers(vec![0.5, 0.4, 0.9]), 0.01);
    resumed_is_undisturbed(&gated, &training(3), &[7, 16]);
}

/// The checkpoints of a run, the newest last.
fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(run.join("checkpoints")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Damages the newest of two checkpoints; the run goes on from the other one, as if nothing had been.
fn damage_is_survived(damage: impl Fn(&mut Vec<u8>)) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let undisturbed = go(&mlp(), &training(3), &whole, None).unwrap();
    go(&mlp(), &training(3), &parts, Some(25)).unwrap_err();
    let [_, newest] = checkpoints(&parts).try_into().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let before = bytes.clone();
    damage(&mut bytes);
    assert_ne!(before, bytes);
    std::fs::write(newest, bytes).unwrap();
    let resumed = go(&mlp(), &training(3), &parts, None).unwrap();
    assert!(bits(&resumed) == bits(&undisturbed), "the final values differ");
    assert_eq!(rows(&whole), rows(&parts));
    assert!(!parts.join("checkpoints").exists() && parts.join(GATED).exists());
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    damage_is_survived(|bytes| *bytes.last_mut().unwrap() ^= 1);
    damage_is_survived(|bytes| bytes.truncate(bytes.len() / 2));
    damage_is_survived(Vec::clear);
    let edit = |bytes: &mut Vec<u8>, from: &str, to: &str| {
        let at = bytes.windows(from.len()).position(|found| found == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    };
    // The position is as good as a value: "step" is a number of the header, not of a tensor.
    damage_is_survived(|bytes| edit(bytes, r#"\"step\":5"#, r#"\"step\":6"#));
    damage_is_survived(|bytes| edit(bytes, r#"\"seed\":7"#, r#"\"seed\":8"#));
    // A header that claims more than any machine holds.
    damage_is_survived(|bytes| bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes()));
}

#[test]
fn checkpoints_made_after_a_fall_to_the_start_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let undisturbed = go(&mlp(), &training(3), &whole, None).unwrap();
    go(&mlp(), &training(3), &parts, Some(25)).unwrap_err();
    let damaged = checkpoints(&parts);
    damaged.iter().for_each(|path| std::fs::write(path, "no checkpoint").unwrap());
    // From the start anew, and not as far as the damaged ones were: what is saved now is what counts.
    go(&mlp(), &training(3), &parts, Some(14)).unwrap_err();
    let whole_ones = || checkpoints(&parts).into_iter().filter(|path| path.extension().unwrap() == "safetensors");
    let names: Vec<_> = whole_ones().map(|path| path.file_stem().unwrap().to_owned()).collect();
    assert_eq!(names, ["epoch-00001-step-0000000", "epoch-00001-step-0000004"]);
    assert!(damaged.iter().all(|path| std::fs::read(path.with_extension("damaged")).unwrap() == b"no checkpoint"));
    let resumed = go(&mlp(), &training(3), &parts, Some(1)).unwrap_err();
    assert!(matches!(resumed, Error::Interrupted { epoch: 2, .. }), "{resumed}");
    let resumed = go(&mlp(), &training(3), &parts, None).unwrap();
    assert!(bits(&resumed) == bits(&undisturbed), "the final values differ");
    assert_eq!(rows(&whole), rows(&parts));
}

#[test]
fn a_checkpoint_of_another_version_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    go(&mlp(), &training(3), &path, Some(25)).unwrap_err();
    let newest = checkpoints(&path).pop().unwrap();
    let (mut bytes, from) = (std::fs::read(&newest).unwrap(), br#"\"format\":3"#);
    let at = bytes.windows(from.len()).position(|found| found == from).unwrap();
    bytes[at + from.len() - 1] = b'2';
    std::fs::write(&newest, &bytes).unwrap();
    let error = go(&mlp(), &training(3), &path, None).unwrap_err().to_string();
    let expected =
        "has format 2, this program reads 3: finish the run with the version that began it, or move its folder away";
    assert!(error.contains(expected), "{error}");
    assert!(std::fs::read(&newest).unwrap() == bytes, "it is left as it was");
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    go(&mlp(), &training(3), &path, Some(25)).unwrap_err();
    let newest = checkpoints(&path).pop().unwrap();
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::remove_file(&newest).unwrap();
    std::fs::create_dir(&newest).unwrap(); // reading it is an error of the system, whoever runs the test
    let error = go(&mlp(), &training(3), &path, None).unwrap_err();
    assert!(matches!(&error, Error::Io(io) if io.action == "read" && io.path == newest), "{error}");
    std::fs::remove_dir(&newest).unwrap();
    std::fs::write(&newest, bytes).unwrap();
    go(&mlp(), &training(3), &path, None).unwrap();
}

#[test]
fn a_run_that_died_between_its_last_checkpoint_and_its_end_trains_no_epoch_again() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let undisturbed = go(&mlp(), &training(2), &whole, None).unwrap();
    go(&mlp(), &training(2), &parts, Some(15)).unwrap_err();
    std::fs::create_dir(parts.join(GATED)).unwrap(); // the last file to be written finds no place
    go(&mlp(), &training(2), &parts, None).unwrap_err();
    assert_eq!(read_run(&parts).unwrap().header.status, Status::Failed);
    assert!(parts.join("checkpoints").exists());
    std::fs::remove_dir(parts.join(GATED)).unwrap();
    let resumed = go(&mlp(), &training(2), &parts, Some(1)).unwrap(); // a single step would end it
    assert_eq!(rows(&whole), rows(&parts));
    assert!(bits(&resumed) == bits(&undisturbed), "the final values differ");
    assert!(!parts.join("checkpoints").exists());
}

#[test]
fn what_is_not_a_number_never_replaces_a_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    // The second epoch's last step makes values that only the third epoch's first loss would show.
    let wild = Training {
        optimiser: Optimiser::Sgd { learning_rate: 1e-2, momentum: 0.0, nesterov: false },
        schedule: Schedule::Steps { after: vec![2], factor: f64::MAX },
        batch_size: 500,
        ..training(4)
    };
    let error = go(&mlp(), &wild, &path, None).unwrap_err();
    let Error::NotFinite { quantity, epoch: 3, step: 1, .. } = &error else { panic!("{error}") };
    assert!(matches!(quantity, Number::Value(name) if name.starts_with("param.")), "{error}");
    assert_eq!(read_run(&path).unwrap().header.message, Some(error.to_string()));
    assert_eq!(read_run(&path).unwrap().rows.len(), 2);
    let names: Vec<_> = checkpoints(&path).iter().map(|path| path.file_stem().unwrap().to_owned()).collect();
    assert_eq!(names, ["epoch-00001-step-0000000", "epoch-00002-step-0000000"]);
}

#[test]
fn a_run_that_cannot_go_on_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let error = go(&mlp(), &training(3), &path, Some(15)).unwrap_err();
    assert!(matches!(error, Error::Interrupted { epoch: 2, .. }), "{error}");
    std::fs::remove_file(path.join("metrics.jsonl")).unwrap();
    let error = go(&mlp(), &training(3), &path, None).unwrap_err();
    let header = read_run(&path).unwrap().header;
    assert_eq!((header.status, header.message), (Status::Failed, Some(error.to_string())));
}

#[test]
fn the_learning_rate_of_a_row_is_that_of_its_last_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let cycle = Training { schedule: Schedule::OneCycle { peak: 0.5 }, batch_size: 250, ..training(2) };
    go(&mlp(), &cycle, &path, None).unwrap();
    // Both last steps lie half a step off the top or the end, of the same number of steps.
    let rates: Vec<f64> = read_run(&path).unwrap().rows.iter().map(|row| row.learning_rate).collect();
    let top = cycle.optimiser.learning_rate();
    assert!(rates[0] > 0.5 * top && rates[0] < top && (rates[0] + rates[1] - top).abs() < 1e-12, "{rates:?}");
}

fn same_with_any_number_of_threads(gated: &Gated) {
    let folder = tempfile::tempdir().unwrap();
    let results: Vec<_> = [1, 2, 4]
        .iter()
        .enumerate()
        .map(|(i, &threads)| {
            let path = folder.path().join(i.to_string());
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let finished = pool.install(|| go(gated, &training(2), &path, None)).unwrap();
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
fn a_wide_resnet_is_the_same_with_any_number_of_threads() {
    same_with_any_number_of_threads(&wide_resnet());
}

#[test]
fn training_learns_and_closes_gates() {
    let folder = tempfile::tempdir().unwrap();
    let network = priced(l0_mlp::l0(&l0_mlp::lenet_300_100()), &[1e-3]);
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
fn once_gates_are_frozen_what_is_expected_is_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (path, scratch) = (folder.path().join("run"), folder.path().join("scratch"));
    let gated = filled(lenet5(), Targets::Model(0.3), 1e-4);
    let finished = go(&gated, &Training { frozen_epochs: 2, ..training(3) }, &path, None).unwrap();
    // Gates that never learn are those that a run starts from.
    let all_frozen = Training { frozen_epochs: 2, ..training(2) };
    go_from(Some(&finished.weights), &gated, &all_frozen, &scratch, None).unwrap();

    let (learning, frozen) = (rows(&path), rows(&scratch));
    let violation = |row: &EpochRow| row.violations.iter().map(|(_, by)| *by).sum::<f64>();
    assert!(
        learning[0].expected_macs != learning[0].hard_macs.map(|macs| macs as f64) && violation(&learning[0]) > 0.0
    );
    for row in learning[1..].iter().chain(&frozen) {
        let hard = (row.hard_params.map(|n| n as f64), row.hard_macs.map(|n| n as f64));
        assert_eq!((row.expected_params, row.expected_macs), hard);
        assert!((-0.02..=0.0).contains(&violation(row)), "{row:?}");
        assert_eq!((row.expected_l0, &row.open), (learning[1].expected_l0, &learning[1].open));
    }
    let expected = finished.outcome.expected_density.unwrap() * gated.0.gated_weights() as f64;
    assert!((expected - learning[2].expected_l0.unwrap()).abs() < 1e-6, "{expected}");
}

#[test]
fn frozen_gates_leave_no_more_than_was_asked_for() {
    // The gates learn too slowly to meet the targets by themselves.
    let left = |targets: Targets| {
        let folder = tempfile::tempdir().unwrap();
        let training = Training { frozen_epochs: 2, estimator: Estimator::TopK, ..training(3) };
        let layers = targets.are_of_layers();
        let gated = held(lenet5(), targets, 1e-4);
        let outcome = go(&gated, &training, &folder.path().join("run"), None).unwrap().outcome;
        let rows = rows(&folder.path().join("run"));
        assert_eq!(rows[1].hard_params, rows[2].hard_params);
        if layers {
            let open = rows[2].open.iter().zip(gated.0.gated_units());
            return open.map(|((_, open), units)| *open as f64 / units as f64).collect();
        }
        vec![outcome.weights_kept.unwrap() as f64 / outcome.weights_total.unwrap() as f64]
    };
    let [model] = left(Targets::Model(0.3))[..] else { panic!("one share") };
    // A channel of conv2 with the inputs of fc1 that it feeds is 0.02 of the network.
    assert!((0.28..=0.3).contains(&model), "{model}");
    let targets = [0.5, 0.3, 0.7, 0.1];
    for (share, target) in left(Targets::Layers(targets.to_vec())).iter().zip(targets) {
        assert!((target - 0.051..=target).contains(share), "{share} of {target}");
    }
}

#[test]
fn a_resumed_run_with_gates_brought_within_a_constraint_is_undisturbed() {
    let training = Training { frozen_epochs: 2, estimator: Estimator::TopK, ..training(3) };
    resumed_is_undisturbed(&held(lenet5(), Targets::Model(0.3), 1e-3), &training, &[10, 1, 13]);
}

/// All that a constrained row on CIFAR is made of: closed maps that stay zero, gates without weight decay and with an
/// optimiser of their own, augmented images, a cycle of the learning rate, and gates frozen within their target.
#[test]
fn a_resumed_constrained_wide_resnet_is_undisturbed() {
    let closed = l0_net::ClosedChannels::Zero;
    let sizes = l0_wide_resnet::Config { image: (3, 8, 8), depth: 10, closed, ..l0_wide_resnet::wrn_16_1(10) };
    let (network, objective) = held(priced(l0_wide_resnet::l0(&sizes), &[]), Targets::Model(0.5), 1e-2);
    let gated = (network, Objective { weight_decay: 5e-4, l2: L2::Detached, ..objective });
    let training = Training {
        batch_size: 20,
        optimiser: Optimiser::Sgd { learning_rate: 0.05, momentum: 0.9, nesterov: true },
        gate_optimiser: Optimiser::Sgd { learning_rate: 1.0, momentum: 0.9, nesterov: false },
        schedule: Schedule::OneCycle { peak: 0.25 },
        weight_decay: 5e-4,
        estimator: Estimator::TopK,
        frozen_epochs: 2,
        ..training(4)
    };
    resumed_is_undisturbed(&gated, &training, &[2, 3, 4]);
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
fn what_is_no_number_is_advised_with_what_helps_it() {
    let ends = |gated: &Gated, training: Training, message: &str| {
        let folder = tempfile::tempdir().unwrap();
        let error = go(gated, &training, &folder.path().join("run"), None).unwrap_err().to_string();
        assert!(error.contains(message), "expected {message:?} in {error}");
    };
    let at = |lambda: f64| priced(l0_mlp::l0(&l0_mlp::lenet_300_100()), &[lambda]);
    ends(&at(1e44), training(1), "the penalty is inf at step 1 of epoch 1; lower lambda");
    // A penalty that is still a number, with slopes whose squares are not.
    ends(&at(1e26), training(1), ".log_alpha is inf at step 10 of epoch 1; lower lambda");
    let wild = Training { optimiser: Optimiser::adam(1e30), ..training(1) };
    ends(&mlp(), wild, "; lower the learning rate, or look at the data");
}

#[test]
fn a_step_on_the_sub_network_equals_one_with_a_sample_for_each_example() {
    // With a batch of one example both ways of sampling draw the same gates, and only one of them leaves units out.
    let data = digits();
    let batch = |i: u32| data.train.batch(&[i], &Normalise::unit(), None, &Device::Cpu).unwrap();
    // Plain gradient steps: what a gradient lacks, the value lacks.
    let sgd = |learning_rate| Optimiser::Sgd { learning_rate, momentum: 0.0, nesterov: false };
    let (network, objective) = lenet5();
    let after = |steps: u32, sampling| {
        let training = Training { sampling, optimiser: sgd(0.02), gate_optimiser: sgd(0.2), ..training(1) };
        let mut trainer = Trainer::new(&network, &objective, &training, 500, 1, &Device::Cpu).unwrap();
        (0..steps).for_each(|i| {
            trainer.step(&batch(i)).unwrap();
        });
        trainer.params().detached()
    };
    let furthest =
        |a: &Tensor, b: &Tensor| (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    let (start, shared) = (after(0, Sampling::Minibatch), after(5, Sampling::Minibatch));
    let each = after(5, Sampling::Example);
    for (((name, a), (_, b)), (_, start)) in shared.iter().zip(each.iter()).zip(start.iter()) {
        let (difference, way) = (furthest(a, b), furthest(a, start));
        assert!(way > 1e-3 && difference < 1e-3 * way, "{name} differs by {difference} after a way of {way}");
    }
}

/// The loop of someone who knows nothing of phases: whatever is to happen at a step, happens in it.
#[test]
fn gates_are_frozen_within_the_target_by_the_step_that_begins_the_phase() {
    let data = digits();
    let (network, objective) = held(mlp(), Targets::Model(0.3), 1e-3);
    let training = Training {
        frozen_epochs: 2,
        estimator: Estimator::TopK,
        gate_optimiser: Optimiser::adam(1e-3), // too slow to get there by itself
        ..training(3)
    };
    let mut trainer = Trainer::new(&network, &objective, &training, data.train.len(), 7, &Device::Cpu).unwrap();
    let left = |trainer: &Trainer| {
        let constraint = objective.constraint().unwrap();
        network.shares_left(trainer.average().weights(), constraint, Estimator::TopK).unwrap()[0]
    };
    let feed = l0_data::Feed::new(&data.train, Normalise::unit(), 50, &Device::Cpu).unwrap();
    for epoch in 0..3 {
        assert_eq!((trainer.progress().epoch, trainer.progress().step), (epoch, 0));
        for batch in feed.epoch(7, epoch) {
            trainer.step(&batch.unwrap()).unwrap();
        }
        assert_eq!(left(&trainer) <= 0.3, epoch > 0, "{} after epoch {epoch}", left(&trainer));
    }
    let batch = feed.epoch(7, 0).next().unwrap().unwrap();
    let error = trainer.step(&batch).unwrap_err().to_string();
    assert!(error.starts_with("the training of 3 epochs is over after 30 steps; to go on for longer, start another"));
}

#[test]
fn a_checkpoint_of_another_training_is_refused_by_the_setting_that_differs_and_left_alone() {
    let ((network, objective), data, folder) =
        (priced(l0_mlp::l0(&l0_mlp::lenet_300_100()), &[1.0]), digits(), tempfile::tempdir().unwrap());
    let checkpoints = Checkpoints::of(folder.path());
    let of_50 = training(1);
    let mut trainer = Trainer::new(&network, &objective, &of_50, data.train.len(), 7, &Device::Cpu).unwrap();
    let feed = Feed::new(&data.train, Normalise::unit(), 50, &Device::Cpu).unwrap();
    feed.epoch(7, 0).take(7).for_each(|batch| _ = trainer.step(&batch.unwrap()).unwrap());
    checkpoints.save(&trainer).unwrap();

    let with = |change: fn(&mut Training)| {
        let mut changed = of_50.clone();
        change(&mut changed);
        changed
    };
    let (of_100, longer) = (with(|training| training.batch_size = 100), with(|training| training.epochs = 2));
    let (frozen, median) = (
        with(|training| (training.epochs, training.frozen_epochs) = (2, 1)),
        with(|training| training.estimator = Estimator::Median),
    );
    let faster = with(|training| training.gate_optimiser = Optimiser::adam(0.5));
    let (lenet, (_, constrained)) = (lenet5(), held(mlp(), Targets::Model(0.5), 0.1));
    let dearer = Objective::priced(&[Lambda::PerWeight(2.0)]);
    for (network, objective, training, n, seed, problem) in [
        (&network, &objective, &of_50, 500, 8, "it is of seed 7, expected 8"),
        (&network, &objective, &of_100, 500, 7, "its training.batch_size is 50, expected 100"),
        (&network, &objective, &longer, 500, 7, "its training.epochs is 1, expected 2"),
        (&network, &objective, &frozen, 500, 7, ", its training.frozen_epochs is 0, expected 1"),
        (&network, &objective, &median, 500, 7, "its training.estimator is mean, expected median"),
        (&network, &objective, &faster, 500, 7, "its training.gate_optimiser.learning_rate is 0.02, expected 0.5"),
        (&network, &objective, &of_50, 499, 7, "its examples is 500, expected 499"),
        (
            &network,
            &dearer,
            &of_50,
            500,
            7,
            "its objective.lambdas is [{\"per-weight\":1.0}], expected [{\"per-weight\":2.0}]",
        ),
        (&network, &constrained, &of_50, 500, 7, "its objective.constraint is nothing, expected {"),
        (&lenet.0, &objective, &of_50, 500, 7, "it lacks \"param.conv1."),
    ] {
        let mut trainer = Trainer::new(network, objective, training, n, seed, &Device::Cpu).unwrap();
        let error = checkpoints.restore(&mut trainer).unwrap_err().to_string();
        assert!(error.contains("0000007.safetensors is not of this training") && error.contains(problem), "{error}");
        assert_eq!(trainer.progress().steps, 0);
    }
    let mut trainer = Trainer::new(&network, &objective, &of_50, data.train.len(), 7, &Device::Cpu).unwrap();
    checkpoints.restore(&mut trainer).unwrap();
    assert_eq!(trainer.progress().steps, 7);
}

#[test]
fn training_starts_from_trained_values_if_there_are_any() {
    let (network, objective) = lenet5();
    let (training, device) = (training(1), Device::Cpu);
    let trained = network.net();
    let trained = l0_net::Params::init(trained, 99, &device).unwrap().detached(); // of the dense baseline: no gate in it
    let mut trainer = Trainer::new(&network, &objective, &training, 500, 7, &device).unwrap();
    let fresh = trainer.params().detached();
    trainer.start_from(&trained).unwrap();
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (name, value) in trainer.params().detached().iter().chain(trainer.average().weights().iter()) {
        let expected = if name.ends_with("log_alpha") { &fresh } else { &trained };
        assert_eq!(values(value), values(expected.get(name).unwrap()), "{name}");
    }
    let batch = digits().train.batch(&[1, 2, 3], &Normalise::unit(), None, &device).unwrap();
    trainer.step(&batch).unwrap();
    assert!(trainer.start_from(&trained).unwrap_err().to_string().starts_with("steps before start_from is 1"));
}

#[test]
fn wrong_settings_are_named() {
    let check = |training: Training, message: &str| assert_eq!(training.check().unwrap_err().to_string(), message);
    check(Training { batch_size: 0, ..training(1) }, "batch_size is 0, expected 1 to 1000000");
    check(Training { average: 1.0, ..training(1) }, "average is 1, expected 0 or more and below 1");
    check(Training { frozen_epochs: 3, ..training(2) }, "frozen_epochs is 3, expected 0 to 2");
    let wild = Training { optimiser: Optimiser::adam(f64::NAN), ..training(1) };
    check(wild, "optimiser.learning_rate is NaN, expected a number above 0");
    let unsettled = Training { schedule: Schedule::Settle { before: 0.2, peak: 0.2 }, ..training(2) };
    check(
        unsettled,
        "frozen_epochs is 0, expected 1 or more, and so 2 epochs or more: the schedule \"settle\" is for what frozen gates leave",
    );
}

#[test]
fn gates_that_never_freeze_are_not_to_be_filled_in_as_they_do() {
    let (network, objective) = filled(mlp(), Targets::Model(0.3), 1e-3);
    let message = |training: &Training| {
        Trainer::new(&network, &objective, training, 500, 7, &Device::Cpu).unwrap_err().to_string()
    };
    let expected = "training.frozen_epochs is 0, expected 1 or more, and so 2 epochs or more: the constraint's \
                    `fit = { fill = ... }` is done as gates freeze; or leave it out, and read gates by top-k";
    assert_eq!(message(&training(2)), expected);
    let chosen_twice = Training { frozen_epochs: 1, estimator: Estimator::TopK, ..training(2) };
    let expected = "training.estimator is top-k, expected mean or median: the estimator top-k chooses among the gates \
                    again that `fit = { fill = ... }` has chosen";
    assert_eq!(message(&chosen_twice), expected);
    Trainer::new(&network, &objective, &Training { frozen_epochs: 1, ..training(2) }, 500, 7, &Device::Cpu).unwrap();
}

/// A network whose normalisation sees one value for each unit and example, as features or as images of 1x1.
fn normalised(images: bool) -> GatedNet {
    let mut b = Builder::image("input", 1, 28, 28);
    if images {
        b.conv2d("conv", 6, 28);
    } else {
        b.flatten("flat").linear("conv", 6);
    }
    b.closed_channels(ClosedChannels::Constant).batch_norm("bn").relu();
    if images {
        b.flatten("features");
    }
    GatedNet::new(b.linear("out", 10).build().unwrap(), &[]).unwrap()
}

#[test]
fn batches_of_one_end_an_epoch_but_do_not_make_a_training() {
    let objective = Objective::default();
    for network in [normalised(false), normalised(true)] {
        let refused = |training: &Training, n: usize, message: &str| {
            let error = Trainer::new(&network, &objective, training, n, 1, &Device::Cpu).unwrap_err().to_string();
            assert_eq!(error, message);
        };
        let why = "expected 2 or more: the batch norm \"bn\" normalises each unit over the examples";
        refused(&Training { batch_size: 1, ..training(1) }, 500, &format!("batch_size is 1, {why}"));
        refused(&training(1), 1, &format!("the number of training images is 1, {why}"));

        let training = Training { batch_size: 100, ..training(1) };
        let mut trainer = Trainer::new(&network, &objective, &training, 101, 1, &Device::Cpu).unwrap();
        let data = Digits { train: 101, test: 10, seed: 3 }.draw().unwrap();
        let feed = Feed::new(&data.train, Normalise::unit(), 100, &Device::Cpu).unwrap();
        let mut variances = Vec::new();
        for batch in feed.epoch(1, 0) {
            trainer.step(&batch.unwrap()).unwrap();
            variances.push(trainer.params().get("bn.running_var").unwrap().var.to_vec1::<f32>().unwrap());
        }
        assert_eq!(variances.len(), 2);
        assert_eq!(variances[0], variances[1]);
        trainer.check_finite().unwrap();
    }
}

#[test]
fn a_precision_that_the_device_lacks_ends_the_run_before_its_first_step() {
    let ((network, objective), training, data, folder) = (mlp(), training(1), digits(), tempfile::tempdir().unwrap());
    let path = folder.path().join("run");
    let job = Job {
        network: &network,
        objective: &objective,
        training: &training,
        data: &data,
        normalise: Normalise::unit(),
        augment: None,
        seed: 7,
        start: None,
        freeze: None,
        teacher: None,
        device: Device::Cpu,
        precision: Precision::Bf16,
    };
    let begun = RunFolder::create(&path, &RunHeader::new("test", 7, serde_json::json!({}))).unwrap();
    let stop = AtomicBool::new(false);
    let error = run(&job, begun, &mut StopAfter { left: None, stop: &stop }, &stop).unwrap_err().to_string();
    assert_eq!(error, "precision is bf16, expected f32: the device cpu computes in nothing else");
    assert_eq!((read_run(&path).unwrap().rows.len(), path.join("checkpoints").exists()), (0, false));
}
