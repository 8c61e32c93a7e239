//! Pruning networks of the kinds that people bring: targets are met from below, files equal what was trained, and what
//! cannot be pruned is refused before any training.
#![allow(missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Device, Tensor};
use l0::{Estimator, Ranking, Side};
use l0_data::{Augment, Dataset, Digits, Split};
use l0_net::layers::Conv2d;
use l0_net::{Builder, Layer, Masks, Mode, Model, Net, OnnxAbout, OnnxEnds, Params};
use l0_prune::{Clock, Limit, Prune, ResidualStream, Target, latency, normalised};
use l0_record::{EpochRow, RunFolder, RunHeader, read_run};
use l0_rng::{Purpose, Stream};
use l0_train::{Distillation, Evaluation, Finished, Freeze, Optimiser, Precision, StepResult, Watch, run};

/// Digits drawn by the program, (1, 28, 28), ten classes.
fn digits(train: usize) -> Dataset {
    let drawn = Digits { train, test: 20, seed: 1 }.draw().unwrap();
    Dataset::new("digits", drawn.train, drawn.test, vec![]).unwrap()
}

fn mlp() -> Net {
    let mut b = Builder::image("image", 1, 28, 28);
    b.flatten("features").linear("fc1", 100).relu().linear("fc2", 60).relu().linear("fc3", 10);
    b.build().unwrap()
}

fn lenet() -> Net {
    let mut b = Builder::image("image", 1, 28, 28);
    b.conv2d("conv1", 20, 5).relu().max_pool2d(2).conv2d("conv2", 50, 5).relu().max_pool2d(2);
    b.flatten("features").linear("fc1", 100).relu().linear("fc2", 10);
    b.build().unwrap()
}

/// Eight convolutions without normalisations, as an exporter leaves them.
fn vgg() -> Net {
    let mut b = Builder::image("image", 1, 28, 28);
    let same = |width: usize| Conv2d::new(width, 3).padding(1);
    for (stage, width) in [16, 24, 32].into_iter().enumerate() {
        b.layer(&format!("conv{stage}a"), same(width)).relu();
        b.layer(&format!("conv{stage}b"), same(width)).relu().max_pool2d(2);
    }
    b.layer("conv3a", same(32)).relu().layer("conv3b", same(32)).relu();
    b.global_avg_pool().linear("fc", 10);
    b.build().unwrap()
}

/// Two stages of two residual blocks, with normalisations and a depthwise convolution.
fn resnet() -> Net {
    let mut b = Builder::image("image", 1, 28, 28);
    b.conv2d_same("stem", 16, 3, 2).batch_norm("stem.norm").relu();
    for block in ["block1", "block2"] {
        let stream = b.tip();
        b.conv2d_same(&format!("{block}.conv1"), 24, 3, 1).batch_norm(&format!("{block}.norm1")).relu();
        b.conv2d_same(&format!("{block}.conv2"), 16, 3, 1).batch_norm(&format!("{block}.norm2")).add(stream).relu();
    }
    b.layer("depthwise", Conv2d::new(16, 3).groups(16)).global_avg_pool().linear("fc", 10);
    b.build().unwrap()
}

fn values(net: &Net) -> Model {
    Model::new(net.clone(), Params::init(net, 1, &Device::Cpu).unwrap().detached()).unwrap()
}

/// A pruning of ten epochs that take so many steps together.
fn in_steps(net: &Net, steps: usize, batch_size: usize) -> (Prune, Dataset) {
    let prune = Prune::model(values(net)).epochs(10).batch_size(batch_size);
    (prune, digits(steps / 10 * batch_size))
}

#[test]
fn targets_are_met_from_below_whatever_the_network_the_optimiser_and_the_steps() {
    // 100 steps here; L0_STEPS=5000 takes minutes.
    let steps = std::env::var("L0_STEPS").map_or(100, |steps| steps.parse().unwrap());
    let optimisers = [Optimiser::adam(1e-3), Optimiser::Sgd { learning_rate: 0.02, momentum: 0.9, nesterov: true }];
    for (name, net) in [("mlp", mlp()), ("lenet", lenet()), ("vgg", vgg()), ("resnet", resnet())] {
        for (optimiser, target) in optimisers.iter().zip([Target::Macs(0.5), Target::Weights(0.3)]) {
            let (prune, data) = in_steps(&net, steps, 8);
            let pruned = prune.optimiser(*optimiser).target(target).train(&data).unwrap();
            let (left, share) = (pruned.left, target.asked());
            assert!(left <= share && left > share - 0.02, "{name}, {target} in {steps} steps: {left}");
            assert!(pruned.meets_its_target() && pruned.agreement.passes());
        }
    }
}

/// A clock that does not depend on what else the machine does: a microsecond for each multiply-accumulate.
fn clock() -> Clock {
    Clock::new(|model| Ok(1e-3 * model.net.cost().macs() as f64))
}

#[test]
fn a_target_can_be_a_time() {
    let whole = clock().latency(&values(&lenet())).unwrap();
    let (prune, data) = in_steps(&lenet(), 40, 8);
    let prune = prune.timed_by(clock());
    let limited = prune.clone().target(Target::Latency(0.6 * whole));
    let objective = limited.plan(&data).unwrap().objective;
    let share = objective.constraint().unwrap().targets.each()[0];
    assert!((share - 0.6).abs() < 0.05, "{share}"); // by this clock, time and work are one
    let pruned = limited.train(&data).unwrap();
    assert!(pruned.meets_its_target() && pruned.left > 0.55 * whole, "{pruned}");
    // Time enough for all of it, and too little for anything.
    let message = |limit: f64| prune.clone().target(Target::Latency(limit)).plan(&data).unwrap_err().to_string();
    assert!(message(1e3 * whole).contains(" ms that the network takes now"));
    let found = message(1e-9);
    assert!(
        found.starts_with("the target is 0.000000001 ms, expected the ") && found.contains(" ms that the smallest")
    );
    // In a network of branches, too, where the likeliest gates alone lead nowhere at the smallest share.
    let whole_resnet = clock().latency(&values(&resnet())).unwrap();
    let residual = in_steps(&resnet(), 40, 8).0.timed_by(clock()).target(Target::Latency(0.4 * whole_resnet));
    let objective = residual.plan(&data).unwrap().objective;
    let share = objective.constraint().unwrap().targets.each()[0];
    assert!((share - 0.4).abs() < 0.05, "{share}");
    // A machine that is busier when gates are frozen than when the limit was set makes no difference.
    let busy = Arc::new(AtomicBool::new(false));
    let is_busy = busy.clone();
    let slowed =
        Clock::new(move |model| Ok(clock().latency(model)? * if is_busy.load(Ordering::Relaxed) { 1.7 } else { 1.0 }));
    let plan = prune.clone().timed_by(slowed).target(Target::Latency(0.6 * whole)).plan(&data).unwrap();
    let weights = plan.network.init(1, &Device::Cpu).unwrap().detached();
    let shares = [false, true].map(|now| {
        busy.store(now, Ordering::Relaxed);
        let frozen =
            plan.limit.as_ref().unwrap().constraint(&plan.network, &weights, plan.objective.constraint().unwrap());
        frozen.unwrap().targets.each()[0]
    });
    assert_eq!(shares[0], shares[1]);
    // Where nothing is fast enough once gates are frozen, the smallest network is left.
    let (limit, constraint) = (plan.limit.clone().unwrap(), plan.objective.constraint().unwrap());
    let limit = Limit { milliseconds: 1e-9, ..limit };
    let frozen = limit.constraint(&plan.network, &weights, constraint).unwrap();
    assert_eq!(frozen.targets.each(), [plan.network.least_share(constraint).unwrap()]);
    // A run that goes on is not timed again.
    let again = prune.aim(0.25).target(Target::Latency(1e-9)).plan(&data).unwrap().objective;
    assert_eq!(again.constraint().unwrap().targets.each(), [0.25]);
}

#[test]
fn a_price_leaves_what_it_leaves() {
    let (prune, data) = in_steps(&mlp(), 400, 8);
    let of = |lambda| prune.clone().target(Target::Price(lambda)).train(&data).unwrap();
    let (cheap, dear, too_dear) = (of(1e-6), of(0.03), of(2.0));
    assert!(cheap.meets_its_target() && dear.meets_its_target());
    assert!(!too_dear.meets_its_target(), "next to nothing is left: {too_dear}");
    assert!(dear.left < cheap.left && cheap.left > 0.9, "{dear}; {cheap}");
    assert!(dear.to_string().starts_with("asked for what lambda = 0.03/N leaves of the weights, got 0."), "{dear}");
    let refused = prune.target(Target::Price(0.0)).plan(&data).unwrap_err().to_string();
    assert_eq!(refused, "the target is 0, expected a lambda above 0");
}

#[test]
fn the_usual_clock_is_this_machine() {
    assert!(latency(&values(&mlp())).unwrap() > 0.0);
}

#[test]
fn what_is_saved_computes_what_was_trained() {
    let (prune, data) = in_steps(&vgg(), 40, 8);
    let prune = prune.round(4);
    let plan = prune.plan(&data).unwrap();
    // Before training it can be seen how large the network will be, with multiples and without.
    let share = |multiple| plan.untrained(multiple).unwrap().net.cost().macs() as f64 / vgg().cost().macs() as f64;
    assert!(plan.multiple() == 4 && share(4) <= share(1) && share(1) <= 0.5 && share(4) > 0.4, "{}", share(4));
    let pruned = prune.train(&data).unwrap();
    let temp = tempfile::tempdir().unwrap();
    let (ours, onnx) = (temp.path().join("small.safetensors"), temp.path().join("small.onnx"));
    pruned.save(&ours).unwrap();
    let about = OnnxAbout { ends: Some(OnnxEnds::new("pixels", "classes", 18)), ..OnnxAbout::default() };
    pruned.save_onnx(&onnx, &about).unwrap();
    assert_eq!(l0_net::onnx_about(&onnx).unwrap(), about);
    assert!(pruned.save(&ours).is_err() && pruned.save_onnx(&onnx, &about).is_err(), "files are not replaced");
    let xs = Tensor::rand(0f32, 1.0, (3, 1, 28, 28), &Device::Cpu).unwrap();
    let expected = pruned.model.forward(&xs).unwrap();
    for read in [Model::load(&ours, &Device::Cpu).unwrap().0, l0_net::from_onnx(&onnx).unwrap()] {
        let difference = (read.forward(&xs).unwrap() - &expected).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-5);
    }
    // The normalisations that it was trained with are gone again, and every space has a multiple of 4 channels.
    let nodes = pruned.model.net.nodes().iter();
    assert!(nodes.clone().all(|node| !matches!(node.layer, Layer::BatchNorm(_) | Layer::Scale(_))));
    let widths = nodes.filter_map(|node| match &node.layer {
        Layer::Conv2d(conv) => Some(conv.out),
        _ => None,
    });
    assert!(widths.into_iter().all(|width| width % 4 == 0));
}

#[test]
fn normalisations_that_are_put_back_change_nothing() {
    let (model, data) = (values(&vgg()), digits(600));
    let back = normalised(&model, &data).unwrap();
    let norms = back.net.nodes().iter().filter(|node| matches!(node.layer, Layer::BatchNorm(_))).count();
    assert_eq!(norms, 8);
    let xs = Tensor::rand(0f32, 1.0, (4, 1, 28, 28), &Device::Cpu).unwrap();
    let difference = (model.forward(&xs).unwrap() - back.forward(&xs).unwrap()).unwrap().abs().unwrap();
    let largest = difference.max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(largest < 1e-4, "{largest}");
}

#[test]
fn normalisations_that_are_put_back_train_as_what_was_brought_where_classes_come_one_after_the_other() {
    // Dark images, then bright ones: the first of them say nothing of the others.
    let pixels = Stream::new(1, Purpose::Other, 0, 0, "pixels").uniforms(1400 * 28 * 28);
    let shade = |(i, x): (usize, &f32)| (if i < 700 * 28 * 28 { 0.0 } else { 180.0 } + 70.0 * x) as u8;
    let images: Vec<u8> = pixels.iter().enumerate().map(shade).collect();
    let labels = (0..1400).map(|i| u32::from(i >= 700)).collect();
    let train = Split::new(images, labels, (1, 28, 28), 2).unwrap();
    let test = train.select(&[0, 1399]).unwrap();
    let data = Dataset::new("shades", train, test, vec![]).unwrap();
    let model = values(&vgg());
    let back = normalised(&model, &data).unwrap();
    let mixed: Vec<u32> = (0..64).flat_map(|i| [i, 1399 - i]).collect();
    let xs = data.train.batch(&mixed, &data.normalise, None, &Device::Cpu).unwrap().images;
    let expected = model.forward(&xs).unwrap();
    let noise = |name: &str| Stream::new(1, Purpose::Dropout, 0, 0, name);
    let masks = Masks::none(&back.net);
    let found = back.net.forward(&back.weights, &xs, &masks, Mode::Train(&noise)).unwrap().ys;
    let size = |xs: &Tensor| xs.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
    let centred = expected.broadcast_sub(&expected.mean_keepdim(0).unwrap()).unwrap();
    let apart = size(&(found - &expected).unwrap()) / size(&centred);
    assert!(apart < 0.3, "{apart}");
}

/// A table of 12 numbers of which two say the class.
fn table() -> Dataset {
    let mut numbers = Stream::new(1, Purpose::Other, 0, 0, "table").uniforms(12 * 400);
    numbers.iter_mut().for_each(|x| *x = 2.0 * *x - 1.0);
    let labels = numbers.chunks(12).map(|row| u32::from(row[3] + row[7] > 0.0)).collect();
    let all = Split::rows(numbers, labels, 12, 2).unwrap();
    let (train, test) = all.split_off(100, 1).unwrap();
    Dataset::new("table", train, test, vec![]).unwrap()
}

#[test]
fn gates_on_inputs_move_the_other_sets_to_the_layers_that_read_them() {
    let mut b = Builder::features("row", 12);
    b.linear("fc1", 16).relu().linear("fc2", 16).relu().linear("fc3", 2);
    let network = Prune::new(b.build().unwrap()).gate_inputs().plan(&table()).unwrap().network;
    let mut placed: Vec<(&str, Side)> = network.placements().map(|p| (p.layer.as_str(), p.side)).collect();
    placed.sort_by_key(|(layer, _)| *layer);
    assert_eq!(placed, ["fc1", "fc2", "fc3"].map(|layer| (layer, Side::Input)));
}

#[test]
fn gates_on_inputs_tell_which_columns_a_network_needs() {
    let mut b = Builder::features("row", 12);
    b.linear("fc", 2);
    let prune = Prune::new(b.build().unwrap()).epochs(40).batch_size(20);
    assert!(prune.plan(&table()).unwrap_err().to_string().starts_with("nothing in this network can be pruned: "));
    let adam = Optimiser::adam(0.01);
    let trained = prune.clone().optimiser(adam).gate_inputs().target(Target::Weights(1.0)).train(&table()).unwrap();
    let prune = Prune::model(trained.model).epochs(40).batch_size(20).optimiser(adam);
    let by_weights = prune.clone().gate_inputs().target(Target::Weights(0.2)).train(&table()).unwrap();
    let pruned = prune.clone().target(Target::Inputs(2)).train(&table()).unwrap();
    assert_eq!([by_weights.inputs(), pruned.inputs()], [[3, 7], [3, 7]]);
    let message = |prune: Prune, data: &Dataset| prune.plan(data).unwrap_err().to_string();
    let expected = "the target is 12, expected 1 to 11 inputs of 12";
    assert_eq!(message(prune.target(Target::Inputs(12)), &table()), expected);
    let images = Prune::model(values(&lenet())).target(Target::Inputs(2));
    let found = message(images, &digits(80));
    assert!(found.contains("the input to be gated is (1, 28, 28)"), "{found}");
    assert!(pruned.after.score.error_percent().unwrap() < 10.0, "{pruned}");
}

#[test]
fn images_are_shifted_less_far_in_few_epochs() {
    let shifted = |data: &Dataset, prune: Prune| prune.plan(data).unwrap().augment;
    let (data, prune) = (digits(40), Prune::model(values(&lenet())));
    assert_eq!(shifted(&data, prune.clone()), None);
    assert_eq!(shifted(&data, prune.clone().shift(0)), None);
    assert_eq!(shifted(&data, prune.clone().shift(3)), Some(Augment { pad: 3, flip: false }));
    let varied = Dataset { augment: Some(Augment::cifar()), ..data };
    for (epochs, pad) in [(5, 1), (10, 1), (11, 2), (100, 4)] {
        assert_eq!(shifted(&varied, prune.clone().epochs(epochs)), Some(Augment { pad, flip: true }));
    }
    assert_eq!(shifted(&varied, prune.clone().shift(0)), Some(Augment { pad: 0, flip: true }));
    let message = |prune: Prune, data: &Dataset| prune.plan(data).unwrap_err().to_string();
    assert_eq!(message(prune.shift(28), &varied), "the shift is 28, expected less than the 28 pixels of a side");
    let mut b = Builder::features("row", 12);
    b.linear("fc1", 20).relu().linear("fc2", 2);
    let of_rows = Prune::model(values(&b.build().unwrap())).shift(1);
    assert_eq!(message(of_rows, &table()), "the shift is 1, expected 0: the network reads no images");
}

#[test]
fn the_same_seed_gives_the_same_network() {
    let (prune, data) = in_steps(&mlp(), 40, 8);
    let first = prune.train(&data).unwrap();
    let second = prune.train(&data).unwrap();
    let bits = |model: &Model| -> Vec<Vec<u32>> {
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        model.weights.iter().map(|(_, t)| flat(t).into_iter().map(f32::to_bits).collect()).collect()
    };
    assert_eq!(first.model.net, second.model.net);
    assert_eq!(bits(&first.model), bits(&second.model));
}

#[test]
fn the_stream_of_a_residual_network_stays_whole_unless_little_is_left_or_layers_are_named() {
    let data = digits(80);
    let gated = |prune: Prune| -> Vec<String> {
        let network = prune.plan(&data).unwrap().network;
        network.placements().map(|placement| placement.layer.clone()).collect()
    };
    let resnet = || Prune::model(values(&resnet()));
    let to = |target: Target| match target {
        Target::Latency(_) => resnet().target(target).timed_by(clock()),
        _ => resnet().target(target),
    };
    let (inside, all) = (vec!["block1.conv1", "block2.conv1"], vec!["stem", "block1.conv1", "block2.conv1"]);
    let whole = clock().latency(&values(&self::resnet())).unwrap();
    for (much, little) in [
        (Target::Macs(0.5), Target::Macs(0.1)),
        (Target::Weights(0.5), Target::Weights(0.1)),
        (Target::Latency(0.5 * whole), Target::Latency(0.1 * whole)),
    ] {
        assert_eq!(gated(to(much)), inside, "{much}");
        assert_eq!(gated(to(little)), all, "{little}");
        assert_eq!(gated(to(much).only(["*"])), all);
    }
    assert_eq!(gated(resnet().target(Target::Macs(0.7)).except(["block1.conv1"])), ["block2.conv1"]);
    assert_eq!(gated(resnet().target(Target::Macs(0.5)).residual_stream(ResidualStream::Pruned)), all);
    assert_eq!(gated(resnet().target(Target::Price(0.1)).residual_stream(ResidualStream::Whole)), inside);
    // In multiples of 24 no block can shrink, in multiples of 12 both can.
    assert_eq!(gated(resnet().target(Target::Macs(0.8)).round(12)), inside);
    assert_eq!(gated(resnet().target(Target::Macs(0.8)).round(24)), all);
    // A run that goes on is decided by the share that it aimed at, whatever the clock says now.
    let aimed = |share: f64| gated(to(Target::Latency(1e-9)).aim(share));
    assert_eq!(
        (aimed(0.5), aimed(0.1)),
        (inside.iter().map(ToString::to_string).collect(), all.iter().map(ToString::to_string).collect())
    );
    assert_eq!(gated(resnet().target(Target::Price(0.1))), all);
    let vgg = Prune::model(values(&vgg())).target(Target::Macs(0.5)).plan(&data).unwrap().network;
    assert_eq!(vgg.sets(), l0_net::Prunable::of(vgg.net()).spaces().len());
}

#[test]
fn all_spaces_keep_the_same_share_unless_gates_are_ranked_globally() {
    let data = digits(80);
    let shares = |prune: Prune| -> Vec<f64> {
        let plan = prune.target(Target::Macs(0.4)).plan(&data).unwrap();
        let values = plan.network.init(1, &Device::Cpu).unwrap().detached();
        // The first set's gates are less likely than any other.
        let first = format!("{}.log_alpha", plan.network.placements().next().unwrap().layer);
        let lower = |(name, value): (&str, &Tensor)| if name == first { value - 3.0 } else { Ok(value.clone()) };
        let values = values.with(values.iter().map(lower).collect::<Result<_, _>>().unwrap()).unwrap();
        let constraint = plan.objective.constraint().unwrap();
        let within = plan.network.brought_within(&values, constraint, Estimator::Mean).unwrap();
        let open = plan.network.pruned(&within, Estimator::Mean).unwrap().open;
        open.iter().zip(plan.network.gated_units()).map(|((_, open), units)| *open as f64 / units as f64).collect()
    };
    let spread =
        |shares: &[f64]| shares.iter().copied().fold(0.0, f64::max) - shares.iter().copied().fold(1.0, f64::min);
    let (uniform, global) =
        (shares(Prune::model(values(&resnet()))), shares(Prune::model(values(&resnet())).ranking(Ranking::Global)));
    assert!(spread(&uniform) < 0.2 && spread(&global) > 0.5, "{uniform:?}, {global:?}");
}

#[test]
fn what_cannot_be_pruned_is_refused_before_training() {
    let data = digits(80);
    let message = |prune: Prune| prune.plan(&data).unwrap_err().to_string();
    let lenet = || Prune::model(values(&lenet()));
    let expected = "epochs is 1, expected 2 or more: gates learn in the first, the smaller network in the last";
    assert_eq!(message(lenet().epochs(1)), expected);
    let expected = "the number of epochs in which gates learn is 10, expected 1 to 9 of 10: the smaller network is fine-tuned after them";
    assert_eq!(message(lenet().learning_epochs(10)), expected);
    assert!(
        message(lenet().round(20).target(Target::Macs(0.2))).contains("the smallest network with these gates keeps")
    );
    assert_eq!(message(lenet().batch_size(0)), "the batch size is 0, expected 1 or more");
    let priced = lenet().target(Target::Price(0.1));
    let expected = "the ranking is global, expected none: only a target of weights, MACs or milliseconds ranks the gates of \
                    several layers";
    assert_eq!(message(priced.clone().ranking(Ranking::Global)), expected);
    let expected = "the multiple of channels is 8, expected 1, or a target of weights, MACs or milliseconds";
    assert_eq!(message(priced.round(8)), expected);
    let expected = "the target is 1.5, expected a share above 0, 1 at most";
    assert_eq!(message(lenet().target(Target::Weights(1.5))), expected);
    assert!(message(lenet().target(Target::Macs(1e-6))).contains("the smallest network with these gates keeps"));

    let net = |side: usize, classes: usize| {
        let mut b = Builder::image("image", 1, side, side);
        b.conv2d("conv", 4, 3).relu().flatten("features").linear("fc", classes);
        Prune::new(b.build().unwrap())
    };
    let expected = "the network reads [1, 32, 32], the data has [1, 28, 28] for an example; give images of the size that the \
                    network reads";
    assert_eq!(message(net(32, 10)), expected);
    let expected = "the network gives [7], the data has 10 classes; train its last layer anew for these classes, or give the \
                    data it was trained on";
    assert_eq!(message(net(28, 7)), expected);

    let mut b = Builder::image("image", 1, 28, 28);
    b.flatten("features").linear("fc", 10);
    let expected = "nothing in this network can be pruned: \"image\" (the network's input), \"features\" (units of other \
                    spaces), \"fc\" (the network's output)";
    assert_eq!(message(Prune::new(b.build().unwrap())), expected);
}

#[test]
fn settings_in_which_the_target_has_no_part_are_refused() {
    let data = digits(80);
    let message = |prune: Prune| prune.plan(&data).unwrap_err().to_string();
    let to = |target: Target| Prune::model(values(&lenet())).target(target);
    let timed = "expected none: only a target of milliseconds is timed, and aimed at by a share until then";
    for target in [Target::Macs(0.5), Target::Weights(0.5), Target::Price(0.1), Target::Inputs(2)] {
        assert_eq!(message(to(target).aim(0.5)), format!("the share that is aimed at is 0.5, {timed}"));
        assert_eq!(message(to(target).timed_by(clock())), format!("the clock is named, {timed}"));
    }
    let inputs = "expected none: with a target of inputs, gates are on these alone";
    let stream = to(Target::Inputs(2)).residual_stream(ResidualStream::Whole);
    assert_eq!(message(stream), format!("the residual stream is to stay whole, {inputs}"));
    assert_eq!(message(to(Target::Inputs(2)).only(["fc1"])), format!("the layers with gates is named, {inputs}"));
    for target in [Target::Price(0.1), Target::Inputs(2)] {
        let expected = "the multiple of channels is 0, expected 1, or a target of weights, MACs or milliseconds";
        assert_eq!(message(to(target).round(0)), expected);
    }
}

#[test]
fn a_plan_refuses_what_training_would() {
    let data = digits(80);
    let message = |prune: Prune| prune.plan(&data).unwrap_err().to_string();
    let lenet = || Prune::model(values(&lenet()));
    assert_eq!(message(lenet().round(0)), "the multiple of channels is 0, expected 1 or more");
    let timed = lenet().target(Target::Latency(1.0)).timed_by(clock());
    let expected = "the share that is aimed at is 1.5, expected a share above 0, 1 at most";
    assert_eq!(message(timed.aim(1.5)), expected);
    let mut b = Builder::image("image", 1, 28, 28);
    b.flatten("features").linear("fc1", 20).batch_norm("norm").relu().linear("fc2", 10);
    let alone = Prune::model(values(&b.build().unwrap())).batch_size(1);
    let expected =
        "batch_size is 1, expected 2 or more: the batch norm \"norm\" normalises each unit over the examples";
    assert_eq!(message(alone), expected);
}

/// Stops a training after so many steps, if any are given.
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

/// Muon, Novograd's gates, one cycle for what is left, a teacher, and a clock that decides how much that is.
#[test]
fn a_pruning_that_was_stopped_and_resumed_is_undisturbed() {
    let whole = clock().latency(&values(&resnet())).unwrap();
    let prune = Prune::model(values(&resnet())).target(Target::Latency(0.6 * whole)).timed_by(clock());
    let prune = prune.epochs(4).batch_size(8).distil(Distillation { temperature: 2.0, share: 0.5 });
    let (data, folder) = (digits(40), tempfile::tempdir().unwrap()); // 5 steps an epoch
    let plan = prune.plan(&data).unwrap();
    assert_eq!((plan.training.frozen_epochs, plan.teacher.is_some(), plan.limit.is_some()), (2, true, true));
    let go = |name: &str, stop_after: Option<u64>| {
        let (path, header) = (folder.path().join(name), RunHeader::new("prune", 1, serde_json::Value::Null));
        let run_folder = match path.join("run.json").exists() {
            true => RunFolder::resume(&path, &header).unwrap(),
            false => RunFolder::create(&path, &header).unwrap(),
        };
        let (job, stop) = (plan.job(&data, 1, Device::Cpu, Precision::default()), AtomicBool::new(false));
        run(&job, run_folder, &mut StopAfter { left: stop_after, stop: &stop }, &stop)
    };
    let rows = |name: &str| -> Vec<EpochRow> {
        let rows = read_run(folder.path().join(name)).unwrap().rows;
        rows.into_iter().map(|row| EpochRow { seconds: 0.0, step_ms: None, ..row }).collect()
    };
    let bits = |finished: &Finished| -> Vec<u32> {
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        finished.weights.iter().flat_map(|(_, t)| flat(t)).map(f32::to_bits).collect()
    };
    let undisturbed = go("whole", None).unwrap();
    // While gates learn, before the step that freezes them and after it, and in fine-tuning.
    for steps in [4, 6, 1, 3] {
        let error = go("parts", Some(steps)).unwrap_err();
        assert!(matches!(error, l0_train::Error::Interrupted { .. }), "{error}");
    }
    let resumed = go("parts", None).unwrap();
    assert_eq!(rows("whole"), rows("parts"));
    assert!(bits(&undisturbed) == bits(&resumed), "the final values differ");
    let open = |epoch: usize| rows("whole")[epoch].open.clone();
    assert!(open(0) != open(2) && open(2) == open(3));
}
