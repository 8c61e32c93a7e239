//! Losses and scores, held against loops in f64 and finite differences: classes, images of classes, numbers, a teacher.
#![allow(missing_docs)]

use candle_core::{Device, Tensor, Var};
use l0::{GatedNet, Lambda, Objective};
use l0_data::{Batch, Feed, Normalise, Scale, Split};
use l0_net::layers::Softmax;
use l0_net::{Builder, Masks, Model, Net, Params, Weights};
use l0_rng::{Purpose, Stream};
use l0_train::{Distillation, Error, Loss, Optimiser, Schedule, Score, Tally, Teacher, Trainer, Training, evaluate};

fn noise(name: &str, n: usize) -> Vec<f32> {
    Stream::new(1, Purpose::Other, 0, 0, name).uniforms(n).into_iter().map(|u| 4.0 * u - 2.0).collect()
}

fn tensor(name: &str, dims: &[usize]) -> Tensor {
    Tensor::from_vec(noise(name, dims.iter().product()), dims, &Device::Cpu).unwrap()
}

fn classes(dims: &[usize], classes: u32) -> Tensor {
    let n = dims.iter().product::<usize>() as u32;
    Tensor::from_vec((0..n).map(|i| i * 7 % 5 % classes).collect::<Vec<u32>>(), dims, &Device::Cpu).unwrap()
}

fn number(t: &Tensor) -> f64 {
    f64::from(t.to_scalar::<f32>().unwrap())
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 2e-5 * expected.abs().max(1.0), "{found} in place of {expected}");
}

fn probabilities(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|x| x.exp()).sum();
    logits.iter().map(|x| x.exp() / sum).collect()
}

/// The logits of each position, (b, h, w) one after the other.
fn positions(logits: &Tensor) -> Vec<Vec<f64>> {
    let (b, c, h, w) = logits.dims4().unwrap();
    let flat = logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let at = |n: usize, p: usize| (0..c).map(|k| f64::from(flat[(n * c + k) * h * w + p])).collect();
    (0..b * h * w).map(|i| at(i / (h * w), i % (h * w))).collect()
}

#[test]
fn an_image_of_classes_costs_the_mean_over_its_positions() {
    let (logits, labels) = (tensor("logits", &[2, 3, 4, 5]), classes(&[2, 4, 5], 3));
    let flat = labels.flatten_all().unwrap().to_vec1::<u32>().unwrap();
    let each = positions(&logits).into_iter().zip(&flat).map(|(x, &label)| -probabilities(&x)[label as usize].ln());
    let loss = Loss::of(&labels).value(&logits, &labels).unwrap();
    close(number(&loss), each.sum::<f64>() / 40.0);
}

/// The gradient of a loss against finite differences at a few places.
fn check_gradient(dims: &[usize], loss: impl Fn(&Tensor) -> Tensor) {
    let values = noise("at", dims.iter().product());
    let at = Var::from_tensor(&tensor("at", dims)).unwrap();
    let grads = l0_ops::backward(&loss(at.as_tensor())).unwrap();
    let grad = grads.get(at.as_tensor()).unwrap().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for i in (0..values.len()).step_by(7) {
        let moved = |by: f32| {
            let mut values = values.clone();
            values[i] += by;
            number(&loss(&Tensor::from_vec(values, dims, &Device::Cpu).unwrap()))
        };
        let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!((f64::from(grad[i]) - expected).abs() < 2e-4, "{i}: {} in place of {expected}", grad[i]);
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let (seen, numbers) = (classes(&[2, 4, 5], 3), tensor("numbers", &[6, 1]));
    check_gradient(&[2, 3, 4, 5], |x| Loss::CrossEntropy.value(x, &seen).unwrap());
    check_gradient(&[6, 1], |x| Loss::SquaredError.value(x, &numbers).unwrap());
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let refused = |outputs: &[usize], labels: &Tensor| match Loss::of(labels).value(&tensor("x", outputs), labels) {
        Err(Error::Labels { expected, .. }) => expected,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[2, 3, 4, 5], &classes(&[2], 3)), [2, 4, 5]);
    assert_eq!(refused(&[2, 3], &classes(&[2, 4, 5], 3)), [2]);
    assert_eq!(refused(&[4, 2], &tensor("t", &[4, 1])), [4, 2]);
    assert_eq!(refused(&[2], &classes(&[2], 3)), [2]);
    let said = Loss::CrossEntropy.value(&tensor("x", &[2, 3]), &Tensor::new(&[0u32, 3], &Device::Cpu).unwrap());
    assert!(said.unwrap_err().to_string().contains("found label 3"));
}

#[test]
fn numbers_are_scored_in_their_own_unit() {
    let (scale, columns) = (Scale { mean: 150.0, std: 80.0 }, 2);
    let targets = noise("targets", 9);
    let split = Split::regression(noise("rows", 18), targets.clone(), columns, scale).unwrap();
    let outputs = noise("outputs", 9);
    let mut tally = Tally::of(&split);
    for range in [0..4, 4..9] {
        let column =
            |values: &[f32]| Tensor::from_slice(&values[range.clone()], (range.len(), 1), &Device::Cpu).unwrap();
        tally.add(&column(&outputs), &column(&targets)).unwrap();
    }
    // As one would compute it from what the user gave.
    let own = |x: &f32| 150.0 + 80.0 * f64::from(*x);
    let mean = targets.iter().map(own).sum::<f64>() / 9.0;
    let errors: f64 = outputs.iter().zip(&targets).map(|(y, t)| (own(y) - own(t)).powi(2)).sum();
    let spread: f64 = targets.iter().map(|t| (own(t) - mean).powi(2)).sum();
    let Score::Numbers { rmse, r2 } = tally.score() else { panic!() };
    close(rmse, (errors / 9.0).sqrt());
    close(r2, 1.0 - errors / spread);
    assert!(tally.score().error_percent().is_none());
    assert!(tally.score().to_string().starts_with("RMSE "), "{}", tally.score());
    let equal = Split::regression(vec![0.0; 4], vec![1.0; 4], 1, scale).unwrap();
    let mut tally = Tally::of(&equal);
    let ones = Tensor::ones((4, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
    tally.add(&ones, &ones).unwrap();
    assert!(tally.score().r2().unwrap().is_nan());
}

fn training(epochs: u64, learning_rate: f64) -> Training {
    Training {
        epochs,
        batch_size: 10,
        optimiser: Optimiser::Sgd { learning_rate, momentum: 0.0, nesterov: false },
        gate_optimiser: Optimiser::adam(2e-2),
        schedule: Schedule::Constant,
        weight_decay: 0.0,
        average: 0.0,
        sampling: l0::Sampling::Minibatch,
        estimator: l0::Estimator::Mean,
        frozen_epochs: 0,
    }
}

fn dense(net: Net) -> GatedNet {
    GatedNet::new(net, &[]).unwrap()
}

fn line(name: &str) -> Net {
    let mut b = Builder::features("input", 4);
    b.linear(name, 3);
    b.build().unwrap()
}

fn model(net: Net, seed: u64) -> Model {
    let weights = Params::init(&net, seed, &Device::Cpu).unwrap().detached();
    Model::new(net, weights).unwrap()
}

/// (1 - a) CE + a T^2 KL in f64, over the rows of (b, 3) logits.
fn hinton(logits: &Tensor, teacher: &Tensor, labels: &[u32], temperature: f64, share: f64) -> f64 {
    let rows = |t: &Tensor| t.to_vec2::<f32>().unwrap();
    let soft = |x: &[f32], t: f64| probabilities(&x.iter().map(|&x| f64::from(x) / t).collect::<Vec<_>>());
    let each = rows(logits).into_iter().zip(rows(teacher)).zip(labels).map(|((z, t), &label)| {
        let hard = -soft(&z, 1.0)[label as usize].ln();
        let (p, q) = (soft(&t, temperature), soft(&z, temperature));
        let divergence: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
        (1.0 - share) * hard + share * temperature * temperature * divergence
    });
    each.sum::<f64>() / labels.len() as f64
}

fn step(net: &Net, teacher: Option<&Teacher>, batch: &Batch, rate: f64) -> (f64, Weights, Weights) {
    let (network, objective, training) = (dense(net.clone()), Objective::default(), training(1, rate));
    let mut trainer = Trainer::new(&network, &objective, &training, batch.len(), 7, &Device::Cpu).unwrap();
    let copies = trainer.params().detached().iter().map(|(_, t)| t.copy().unwrap()).collect();
    let before = trainer.params().detached().with(copies).unwrap();
    teacher.map_or(Ok(()), |teacher| trainer.learn_from(teacher, &Device::Cpu)).unwrap();
    let loss = trainer.step(batch).unwrap().loss;
    (loss, before, trainer.params().detached())
}

#[test]
fn a_step_under_a_teacher_is_one_down_the_gradient_of_hintons_loss() {
    let (net, labels) = (line("fc"), [0, 2, 1, 1, 0]);
    let teacher_model = model(line("other"), 3);
    let images = tensor("images", &[5, 4]);
    let batch = Batch::new(images.clone(), Tensor::new(&labels, &Device::Cpu).unwrap());
    let soft = teacher_model.forward(&images).unwrap();
    for (temperature, share) in [(4.0, 0.7), (1.0, 1.0), (2.0, 0.0)] {
        let teacher = Teacher::new(teacher_model.clone(), Distillation { temperature, share }).unwrap();
        let (loss, before, after) = step(&net, Some(&teacher), &batch, 1.0);
        let at = |weights: &Weights| {
            let logits = net.forward(weights, &images, &Masks::none(&net), l0_net::Mode::Eval).unwrap().ys;
            hinton(&logits, &soft, &labels, temperature, share)
        };
        close(loss, at(&before));
        // With a learning rate of 1 the step is the gradient.
        let value = |weights: &Weights| weights.get("fc.bias").unwrap().to_vec1::<f32>().unwrap();
        for i in 0..3 {
            let moved = |by: f32| {
                let mut bias = value(&before);
                bias[i] += by;
                let tensors = before.iter().map(|(name, t)| match name {
                    "fc.bias" => Tensor::new(bias.as_slice(), &Device::Cpu).unwrap(),
                    _ => t.clone(),
                });
                at(&before.with(tensors.collect()).unwrap())
            };
            let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            let found = f64::from(value(&before)[i] - value(&after)[i]);
            assert!((found - expected).abs() < 5e-4, "{found} in place of {expected}");
        }
    }
    let (plain, ..) = step(&net, None, &batch, 1.0);
    // What it says can be computed before, and of several the mean is learnt from.
    let teacher = |models| Teacher::mean_of(models, Distillation { temperature: 2.0, share: 0.5 }).unwrap();
    let (one, other) = (teacher(vec![teacher_model.clone()]), model(line("third"), 5));
    let known = Batch { soft: Some(soft.clone()), ..batch.clone() };
    assert_eq!(step(&net, Some(&one), &known, 1.0).0, step(&net, Some(&one), &batch, 1.0).0);
    let mean = ((&soft + other.forward(&images).unwrap()).unwrap() / 2.0).unwrap();
    let known = Batch { soft: Some(mean), ..batch.clone() };
    let both = teacher(vec![teacher_model.clone(), other]);
    close(step(&net, Some(&both), &batch, 1.0).0, step(&net, Some(&one), &known, 1.0).0);
    assert!(Teacher::mean_of(vec![], Distillation { temperature: 2.0, share: 0.5 }).is_err());
    let idle = Teacher::new(teacher_model.clone(), Distillation { temperature: 2.0, share: 0.0 }).unwrap();
    assert_eq!(step(&net, Some(&idle), &batch, 1.0).0, plain);
}

#[test]
fn a_teacher_that_does_not_fit_is_refused() {
    let distillation = Distillation { temperature: 2.0, share: 0.5 };
    for wrong in [Distillation { temperature: 0.0, ..distillation }, Distillation { share: 1.1, ..distillation }] {
        assert!(Teacher::new(model(line("fc"), 1), wrong).is_err());
    }
    let mut b = Builder::features("input", 4);
    b.linear("fc", 2);
    let teacher = Teacher::new(model(b.build().unwrap(), 1), distillation).unwrap();
    let (network, objective, training) = (dense(line("fc")), Objective::default(), training(1, 0.1));
    let mut trainer = Trainer::new(&network, &objective, &training, 10, 7, &Device::Cpu).unwrap();
    let error = trainer.learn_from(&teacher, &Device::Cpu).unwrap_err().to_string();
    assert_eq!(error, "a teacher is (4) to (2), expected (4) to (3), as its pupil");
}

/// A small U-shaped network with gates, of 2 classes for each position of a grey image.
fn u_net() -> GatedNet {
    let mut b = Builder::image("input", 1, 8, 8);
    b.conv2d_same("down", 8, 3, 1);
    b.relu();
    b.conv2d("logits", 2, 1);
    GatedNet::prunable(b.build().unwrap(), 0.3).unwrap()
}

#[test]
fn a_network_learns_to_tell_light_from_dark_at_each_position_and_its_compact_form_agrees() {
    let network = u_net();
    let (objective, training) = (Objective::priced(&[Lambda::PerWeight(0.1)]), training(40, 0.5));
    let images = tensor("pictures", &[10, 1, 8, 8]);
    let labels = images.squeeze(1).unwrap().gt(0f32).unwrap().to_dtype(candle_core::DType::U32).unwrap();
    let batch = Batch::new(images.clone(), labels);
    assert_eq!(batch.len(), 10);
    let mut trainer = Trainer::new(&network, &objective, &training, 10, 7, &Device::Cpu).unwrap();
    let results: Vec<_> = (0..40).map(|_| trainer.step(&batch).unwrap()).collect();
    assert!(results[39].wrong < 40 && results[0].wrong > 100, "{} then {} of 640", results[0].wrong, results[39].wrong);
    let weights = trainer.average().weights();
    let masks = network.test_masks(weights, l0::Estimator::Mean).unwrap();
    let compact = network.net().compact(weights, &masks).unwrap();
    let expected = network.net().forward(weights, &images, &masks, l0_net::Mode::Eval).unwrap().ys;
    assert!(l0_net::Agreement::of(&expected, &compact.forward(&images).unwrap()).unwrap().passes());
}

#[test]
fn a_network_that_ends_in_a_softmax_learns_as_without_it() {
    let net = |ends_in_softmax: bool| {
        let mut b = Builder::features("input", 6);
        b.linear("fc1", 5).relu().linear("fc2", 3);
        if ends_in_softmax {
            b.layer("probabilities", Softmax);
        }
        b.build().unwrap()
    };
    let (images, labels) = (tensor("rows", &[20, 6]), classes(&[20], 3));
    let batch = Batch::new(images.clone(), labels);
    let trained = |net: Net| {
        let (network, objective, training) = (dense(net), Objective::default(), training(10, 0.5));
        let mut trainer = Trainer::new(&network, &objective, &training, 20, 7, &Device::Cpu).unwrap();
        let losses: Vec<f64> = (0..10).map(|_| trainer.step(&batch).unwrap().loss).collect();
        (losses, trainer.average().weights().clone())
    };
    let (with, without) = (trained(net(true)), trained(net(false)));
    with.0.iter().zip(&without.0).for_each(|(&found, &expected)| close(found, expected));
    for ((_, found), (_, expected)) in with.1.iter().zip(without.1.iter()) {
        let furthest = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
        assert!(number(&furthest) < 1e-5, "{furthest}");
    }
    let teacher = |net: Net| {
        let distillation = Distillation { temperature: 2.0, share: 0.5 };
        Teacher::new(Model::new(net, with.1.clone()).unwrap(), distillation).unwrap()
    };
    let taught = |by: Net| {
        let (network, objective, training) = (dense(net(false)), Objective::default(), training(1, 0.5));
        let mut trainer = Trainer::new(&network, &objective, &training, 20, 7, &Device::Cpu).unwrap();
        trainer.learn_from(&teacher(by), &Device::Cpu).unwrap();
        trainer.step(&batch).unwrap().loss
    };
    close(taught(net(true)), taught(net(false)));
}

#[test]
fn probabilities_that_are_flattened_are_no_logits() {
    let net = |ends_in_softmax: bool| {
        let mut b = Builder::image("image", 2, 3, 3);
        b.conv2d("conv", 4, 3);
        if ends_in_softmax {
            b.layer("probabilities", Softmax);
        }
        b.flatten("classes");
        b.build().unwrap()
    };
    let batch = Batch::new(tensor("images", &[6, 2, 3, 3]), classes(&[6], 4));
    let first = |net: Net| {
        let (network, objective, training) = (dense(net), Objective::default(), training(1, 0.5));
        let mut trainer = Trainer::new(&network, &objective, &training, 6, 7, &Device::Cpu).unwrap();
        trainer.step(&batch).unwrap().loss
    };
    close(first(net(true)), first(net(false)));
}

#[test]
fn an_evaluation_of_numbers_has_their_squared_error_for_a_loss() {
    let net = {
        let mut b = Builder::features("input", 4);
        b.linear("fc", 1);
        b.build().unwrap()
    };
    let weights = Params::init(&net, 1, &Device::Cpu).unwrap().detached();
    let split = Split::regression(noise("rows", 28), noise("targets", 7), 4, Scale { mean: 0.0, std: 3.0 }).unwrap();
    let normalise = Normalise::of(&split).unwrap();
    let feed = Feed::new(&split, normalise, 3, &Device::Cpu).unwrap();
    let evaluation = evaluate(&net, &weights, &Masks::none(&net), &feed).unwrap();
    close(evaluation.score.rmse().unwrap(), 3.0 * evaluation.loss.sqrt());
    assert_eq!(evaluation.seen, 7);
}
