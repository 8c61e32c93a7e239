//! A compiled network gives what its forward pass gives, whatever the batch and the number of threads.
#![allow(missing_docs)]

#[path = "../../net/tests/onnx/cases.rs"]
mod cases;

use candle_core::Tensor;
use cases::Case;
use cases::common::{difference, random_input, stream};
use l0_infer::{Engine, Error};
use l0_net::layers::{Bias, Conv2d, Take};
use l0_net::{Builder, Card, ClosedChannels, Existing, Model, Net};

fn flat(xs: &Tensor) -> Vec<f32> {
    xs.flatten_all().unwrap().to_vec1().unwrap()
}

fn check(case: &Case, batch: usize) {
    let xs = random_input(&case.net, 3, batch);
    let expected = case.forward(&xs);
    let mut engine = Engine::new(&case.net, &case.weights).unwrap();
    for call in 0..2 {
        let ys = engine.run(&flat(&xs), batch).unwrap().to_vec();
        let ys = Tensor::from_vec(ys, expected.dims(), xs.device()).unwrap();
        let difference = difference(&expected, &ys);
        assert!(difference < 1e-5, "{} at batch {batch} differs by {difference} (call {call})", case.name);
    }
}

#[test]
fn random_networks_and_every_layer() {
    for case in cases::cases() {
        [1, 2, 7, 30].into_iter().for_each(|batch| check(&case, batch));
    }
}

/// One convolution of any size, with or without what may follow it.
fn one_conv(seed: u64) -> Net {
    let mut r = stream(seed, "one conv");
    let kernel = 1 + r.below(5);
    let (c, h, w) = (1 + r.below(3), kernel + 1 + r.below(30), kernel + 1 + r.below(40));
    let mut b = Builder::image("image", c, h, w);
    let (out, stride, padding) = (1 + r.below(14), 1 + r.below(3), r.below(kernel.min(4)));
    b.layer("conv", Conv2d { bias: r.below(2) == 0, ..Conv2d::new(out, kernel).stride(stride).padding(padding) });
    if r.below(2) == 0 {
        b.relu();
    }
    if h > 2 * stride + kernel && w > 2 * stride + kernel {
        match r.below(4) {
            0 => b.max_pool2d(2),
            1 => b.max_pool2d(2).relu(),
            2 => b.max_pool2d(3),
            _ => &mut b,
        };
    }
    b.build().unwrap()
}

#[test]
fn convolutions_of_any_size() {
    for seed in 0..200 {
        let case = Case::new(&format!("conv {seed}"), one_conv(seed), seed);
        check(&case, 2);
    }
}

/// `sum over i, u, v of kernel[o, i, u, v] xs[i, y + u - 1, x + v - 1]` in `f64`, for 3x3 kernels on (c, h, w).
fn sums(xs: &[f32], kernels: &[f32], (c, h, w): (usize, usize, usize)) -> Vec<f64> {
    let x_at = |i: usize, y: usize, x: usize| match (1..=h).contains(&y) && (1..=w).contains(&x) {
        true => f64::from(xs[(i * h + y - 1) * w + x - 1]),
        false => 0.0,
    };
    let one = |o: usize, y: usize, x: usize| {
        let terms = (0..9 * c).map(|at| (at / 9, at / 3 % 3, at % 3));
        let kernel = |i, u, v| f64::from(kernels[((o * c + i) * 3 + u) * 3 + v]);
        terms.map(|(i, u, v)| kernel(i, u, v) * x_at(i, y + u, x + v)).sum()
    };
    (0..kernels.len() / (9 * c) * h * w).map(|at| one(at / (h * w), at / w % h, at % w)).collect()
}

/// Enough channels for minimal filtering, images of whole tiles and of others.
#[test]
fn three_by_three_kernels_are_sums() {
    for (seed, (h, w)) in [(16, 16), (8, 8), (7, 13), (33, 6), (30, 1), (5, 22)].into_iter().enumerate() {
        let (c, out) = (8 + 9 * seed, 40 - 5 * seed);
        let mut b = Builder::image("image", c, h, w);
        b.conv2d_same("conv", out, 3, 1);
        let case = Case::new("sums", b.build().unwrap(), seed as u64);
        let xs = flat(&random_input(&case.net, 3, 2));
        let kernels = flat(case.weights.get("conv.weight").unwrap());
        let expected: Vec<f64> = xs.chunks(c * h * w).flat_map(|xs| sums(xs, &kernels, (c, h, w))).collect();
        let most = expected.iter().fold(0f64, |most, y| most.max(y.abs()));
        let mut engine = Engine::new(&case.net, &case.weights).unwrap();
        for (expected, found) in expected.iter().zip(engine.run(&xs, 2).unwrap()) {
            assert!((expected - f64::from(*found)).abs() < 1e-5 * most, "{c} x {h} x {w}: {expected} and {found}");
        }
    }
}

/// Single pixels picked for a convolution that pads them.
#[test]
fn units_are_picked_into_a_border() {
    for seed in 0..4 {
        let mut b = Builder::image("x", 3, 1, 1);
        b.layer("pick", Take { units: vec![2, 0] }).conv2d_same("conv", 2, 3, 1).relu();
        b.layer("again", Take { units: vec![1, 1, 0] }).conv2d_same("out", 2, 5, 1);
        check(&Case::new(&format!("pixels {seed}"), b.build().unwrap(), seed), 3);
    }
}

/// A convolution that nothing reads wants no border around what it would have read.
#[test]
fn what_nobody_reads_changes_nothing() {
    let mut b = Builder::image("x", 1, 4, 4);
    let image = b.tip();
    b.conv2d_same("dead", 1, 3, 1).at(image).dropout(0.5);
    check(&Case::new("dead", b.build().unwrap(), 1), 3);
}

/// A number that is none must come out where the forward pass shows one, and nowhere else.
#[test]
fn not_a_number_is_not_hidden() {
    let mut convolutions = Builder::image("image", 2, 9, 21);
    convolutions.layer("conv", Conv2d::new(5, 3).padding(1));
    convolutions.relu().max_pool2d(2).conv2d("last", 3, 2).max_pool2d(2).relu();
    let mut pools = Builder::image("image", 2, 9, 9);
    pools
        .max_pool2d(3)
        .closed_channels(ClosedChannels::Constant)
        .batch_norm("bn")
        .relu()
        .layer("map", Bias { per_position: true });
    pools.relu();
    let mut linear = Builder::features("xs", 7);
    linear.linear("fc", 5).relu().linear("out", 3);
    for (name, builder) in [("convolutions", convolutions), ("pools", pools), ("linear", linear)] {
        let case = Case::new(name, builder.build().unwrap(), 1);
        let xs = flat(&random_input(&case.net, 3, 2));
        let mut engine = Engine::new(&case.net, &case.weights).unwrap();
        for place in 0..xs.len() / 2 {
            let mut xs = xs.clone();
            xs[place] = f32::NAN;
            let mut dims = case.net.shape(0).dims();
            dims.insert(0, 2);
            let expected = case.forward(&Tensor::from_slice(&xs, dims, &candle_core::Device::Cpu).unwrap());
            for (expected, found) in flat(&expected).iter().zip(engine.run(&xs, 2).unwrap()) {
                assert_eq!(expected.is_nan(), found.is_nan(), "{name}, place {place}: {expected} and {found}");
            }
        }
    }
}

#[test]
fn linear_layers_of_any_size() {
    for seed in 0..60 {
        let mut r = stream(seed, "one linear");
        let mut b = Builder::features("xs", 1 + r.below(100));
        b.linear("fc", 1 + r.below(200)).relu().linear("out", 1 + r.below(20));
        check(&Case::new(&format!("linear {seed}"), b.build().unwrap(), seed), 1 + r.below(20));
    }
}

#[test]
fn the_same_bits_for_any_batch_and_number_of_threads() {
    for case in cases::cases().into_iter().take(12) {
        let (batch, width) = (53, case.net.shape(0).dims().iter().product::<usize>());
        let xs = flat(&random_input(&case.net, 4, batch));
        let mut engine = Engine::new(&case.net, &case.weights).unwrap();
        let alone: Vec<f32> = xs.chunks(width).flat_map(|x| engine.run(x, 1).unwrap().to_vec()).collect();
        assert_eq!(engine.run(&xs, batch).unwrap(), alone, "{}", case.name);
        let mut engine = engine.with_threads(3).unwrap();
        assert_eq!(engine.run(&xs, batch).unwrap(), alone, "{}", case.name);
        assert_eq!(engine.run(&xs[..2 * width], 2).unwrap(), &alone[..2 * alone.len() / batch], "{}", case.name);
    }
}

/// Enough work for several threads to take part.
#[test]
fn threads_share_a_large_batch() {
    let mut b = Builder::image("image", 3, 20, 20);
    b.conv2d_same("a", 24, 3, 1).relu().conv2d_same("b", 24, 3, 2).relu().global_avg_pool().linear("out", 4);
    let case = Case::new("wide", b.build().unwrap(), 1);
    check(&case, 5);
    let xs = flat(&random_input(&case.net, 4, 41));
    let mut engine = Engine::new(&case.net, &case.weights).unwrap();
    let alone = engine.run(&xs, 41).unwrap().to_vec();
    for threads in [1, 2, 4] {
        let mut engine = Engine::new(&case.net, &case.weights).unwrap().with_threads(threads).unwrap();
        assert_eq!(engine.run(&xs, 41).unwrap(), alone);
    }
}

#[test]
fn predictions_are_the_first_largest_outputs() {
    let case = &cases::cases()[10];
    let xs = random_input(&case.net, 5, 9);
    let expected: Vec<u32> = case.forward(&xs).argmax(1).unwrap().to_vec1().unwrap();
    let found = Engine::new(&case.net, &case.weights).unwrap().predict(&flat(&xs), 9).unwrap();
    assert_eq!(found, expected.iter().map(|&class| class as usize).collect::<Vec<_>>());
}

#[test]
fn bad_input_is_an_error() {
    let case = &cases::cases()[0];
    let engine = || Engine::new(&case.net, &case.weights).unwrap();
    let error = engine().run(&[0.0; 5], 2).unwrap_err().to_string();
    assert_eq!(error, "found 5 input values for a batch of 2, expected 396");
    assert!(engine().run(&[], usize::MAX).is_err());
    assert!(engine().run(&[], 0).unwrap_err().to_string().starts_with("the batch has shape [0, "));
    assert!(matches!(engine().with_threads(0), Err(Error::Threads { found: 0, .. })));

    let mut other = Builder::features("xs", 3);
    other.linear("other", 2);
    assert!(matches!(Engine::new(&other.build().unwrap(), &case.weights), Err(Error::Net(_))));

    let mut huge = Builder::image("image", 1, 1 << 14, 1 << 14); // as large as can be; the zeros around it are too many
    huge.conv2d_same("conv0", 1, 3, 2);
    let net = huge.build().unwrap();
    let weights = cases::common::random_params(&net, 1).detached();
    assert!(matches!(Engine::new(&net, &weights), Err(Error::TooLarge { .. })));
}

/// A clone has buffers of its own, so both run at once.
#[test]
fn clones_share_the_weights() {
    let case = &cases::cases()[12];
    let engine = Engine::new(&case.net, &case.weights).unwrap();
    let xs = flat(&random_input(&case.net, 3, 40));
    let expected = engine.clone().run(&xs, 40).unwrap().to_vec();
    assert!(engine.memory() > 0 && engine.memory() == engine.clone().memory());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(engine.clone().run(&xs, 40).unwrap(), expected));
        }
    });
}

#[test]
fn a_file_is_read_and_run() {
    let case = &cases::cases()[0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = Model::new(case.net.clone(), case.weights.clone()).unwrap();
    model.save(&path, &Card::default(), Existing::Keep).unwrap();
    let xs = flat(&random_input(&case.net, 3, 2));
    let expected = Engine::new(&case.net, &case.weights).unwrap().run(&xs, 2).unwrap().to_vec();
    assert_eq!(Engine::load(&path).unwrap().run(&xs, 2).unwrap(), expected);
    assert!(matches!(Engine::load(folder.path().join("none")), Err(Error::Net(_))));
}
