//! Every layer there is, in random networks: what an engine gives is what the forward pass gives.
#![allow(missing_docs)]

#[path = "../../net/tests/common/mod.rs"]
mod common;

use common::{difference, random_input, random_params, stream};
use l0_infer::Engine;
use l0_net::layers::{
    Add, AvgPool2d, BatchNorm, Bias, Border, Concat, Conv2d, ConvTranspose2d, Dropout, Flatten, GlobalPool, Identity,
    Input, Layer, Linear, MaxPool2d, Mul, PRelu, Pad, PadUnits, PoolKind, Softmax, Stride, Take, Upsample,
    UpsampleMode,
};
use l0_net::{Activation, Margins, Masks, Mode, Net, Node, Pair, Shape, Sides};
use l0_rng::Stream;

const BATCH: usize = 3;

/// The largest difference between an engine and the forward pass, in units of the largest output; every example on its
/// own gives the same bits.
fn differs(name: &str, net: &Net, seed: u64) -> f32 {
    let weights = random_params(net, seed).detached();
    let xs = random_input(net, seed, BATCH);
    let expected = net.forward(&weights, &xs, &Masks::none(net), Mode::Eval).unwrap().ys;
    let flat: Vec<f32> = xs.flatten_all().unwrap().to_vec1().unwrap();
    let mut engine = Engine::new(net, &weights).unwrap_or_else(|e| panic!("{name}: {e}"));
    let ys = engine.run(&flat, BATCH).unwrap().to_vec();
    let alone = flat.chunks(engine.input_len()).flat_map(|x| engine.run(x, 1).unwrap().to_vec()).collect::<Vec<_>>();
    assert_eq!(ys, alone, "{name} depends on the batch");
    let ys = candle_core::Tensor::from_vec(ys, expected.dims(), xs.device()).unwrap();
    difference(&expected, &ys)
}

fn activation(r: &mut Stream) -> Activation {
    [
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.1 },
        Activation::RELU6,
        Activation::Clip { min: -0.5, max: 0.7 },
        Activation::Sigmoid,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.4 },
        Activation::HardSwish,
        Activation::Silu,
        Activation::Gelu { tanh: false },
        Activation::Gelu { tanh: true },
        Activation::Tanh,
        Activation::Elu { alpha: 0.7 },
    ][r.below(12)]
}

fn pair(r: &mut Stream, least: usize, range: usize) -> Pair {
    Pair { h: least + r.below(range), w: least + r.below(range) }
}

fn sides(r: &mut Stream, range: usize) -> Sides {
    [0; 4].map(|_| r.below(range)).into()
}

fn conv(r: &mut Stream, c: usize) -> Layer {
    let groups = [1, 1, 1, c, if c.is_multiple_of(2) { 2 } else { 1 }][r.below(5)];
    let out = if groups == c && r.below(3) > 0 { c } else { groups * (1 + r.below(4)) };
    let conv = Conv2d::new(out, pair(r, 1, 4)).stride(pair(r, 1, 3)).padding(sides(r, 4)).groups(groups);
    Conv2d { bias: r.below(2) == 0, ..conv.dilation(pair(r, 1, 2)) }.into()
}

fn plain_conv(r: &mut Stream) -> Layer {
    let kernel = [1, 3, 3, 5][r.below(4)];
    let out = [3, 8, 9, 17, 24][r.below(5)];
    Conv2d { bias: r.below(2) == 0, ..Conv2d::new(out, kernel).padding(kernel / 2) }.into()
}

fn transposed(r: &mut Stream) -> Layer {
    let conv = ConvTranspose2d::new(1 + r.below(5), pair(r, 1, 4), pair(r, 1, 3));
    let more = pair(r, 0, 2);
    ConvTranspose2d { padding: sides(r, 2), output_padding: more, dilation: pair(r, 1, 3), ..conv }.into()
}

fn max_pool(r: &mut Stream) -> Layer {
    let plain = MaxPool2d::new([2, 3][r.below(2)]);
    let stride = Some(pair(r, 1, 3));
    let any = MaxPool2d { size: pair(r, 1, 4), stride, padding: sides(r, 2), ceil: r.below(2) == 0 };
    if r.below(2) == 0 { plain.into() } else { any.into() }
}

fn mean_pool(r: &mut Stream) -> Layer {
    let stride = if r.below(2) == 0 { None } else { Some(pair(r, 1, 3)) };
    let pool = AvgPool2d { stride, padding: sides(r, 2), ceil: r.below(2) == 0, ..AvgPool2d::new(pair(r, 1, 4)) };
    AvgPool2d { count_include_pad: r.below(2) == 0, ..pool }.into()
}

fn upsample(r: &mut Stream) -> Layer {
    let bilinear = UpsampleMode::Bilinear { align_corners: r.below(2) == 0 };
    let mode = if r.below(2) == 0 { UpsampleMode::Nearest } else { bilinear };
    Upsample { factor: pair(r, 1, 3), mode }.into()
}

fn border(r: &mut Stream) -> Layer {
    let Sides { top, left, bottom, right } = sides(r, 2);
    Border { margins: Margins { top, left, bottom, right } }.into()
}

/// A layer for an image or features, which may not fit.
fn any_layer(r: &mut Stream, shape: Shape) -> Layer {
    let n = shape.units();
    match r.below(24) {
        0 | 1 => conv(r, n),
        2 | 3 => plain_conv(r),
        4 => transposed(r),
        5 => max_pool(r),
        6 => mean_pool(r),
        7..=9 => activation(r).into(),
        10 => PRelu.into(),
        11 | 12 => BatchNorm::default().into(),
        13 => Bias { per_position: r.below(2) == 0 }.into(),
        14 => border(r),
        15 => Pad { padding: sides(r, 3) }.into(),
        16 => Stride { start: pair(r, 0, 2), step: pair(r, 1, 3) }.into(),
        17 => PadUnits { before: r.below(3), after: r.below(3) }.into(),
        18 => Take { units: (0..1 + r.below(2 * n)).map(|_| r.below(n) as u32).collect() }.into(),
        19 => upsample(r),
        20 => Softmax.into(),
        21 => [Layer::from(Dropout { p: 0.5 }), Identity.into()][r.below(2)].clone(),
        22 => Linear { out: 1 + r.below(40), bias: r.below(2) == 0 }.into(),
        _ => GlobalPool { kind: [PoolKind::Mean, PoolKind::Max][r.below(2)], keep: r.below(3) > 0 }.into(),
    }
}

/// Nodes that may be combined with the newest one.
fn joined(r: &mut Stream, nodes: &[Node], shapes: &[Shape]) -> (Layer, Vec<usize>) {
    let last = nodes.len() - 1;
    let layer = [Layer::from(Add), Mul.into(), Concat.into()][r.below(3)].clone();
    let fits = |id: &usize| layer.output("fits", &[shapes[*id], shapes[last]]).is_ok();
    let others: Vec<usize> = (0..last).filter(fits).collect();
    let most = if layer == Mul.into() { 1 } else { 3 };
    let mut inputs: Vec<usize> =
        (0..most).filter(|_| !others.is_empty()).map(|_| others[r.below(others.len())]).collect();
    inputs.push(last);
    (layer, inputs)
}

fn random_net(seed: u64) -> Net {
    let mut r = stream(seed, "every layer");
    let side = |r: &mut Stream| [1, 1 + r.below(4), 4 + r.below(14)][r.below(3)];
    let shape = vec![1 + r.below(10), side(&mut r), side(&mut r)];
    let mut nodes = vec![Node { name: "x".into(), layer: Input { shape: shape.clone() }.into(), inputs: vec![] }];
    let mut shapes = vec![Shape::Image(shape[0], shape[1], shape[2])];
    for _ in 0..30 {
        let newest = shapes[shapes.len() - 1];
        let (layer, inputs) = match r.below(5) {
            0 => joined(&mut r, &nodes, &shapes),
            _ => (any_layer(&mut r, newest), vec![nodes.len() - 1]),
        };
        let read: Vec<Shape> = inputs.iter().map(|&id| shapes[id]).collect();
        let name = format!("bn{}", nodes.len());
        match layer.output(&name, &read) {
            Ok(made) if made.units() * made.positions() < 20_000 && nodes.len() < 12 => {
                shapes.push(made);
                nodes.push(Node { name, layer, inputs });
            }
            _ => {}
        }
    }
    Net::new(nodes).unwrap()
}

#[test]
fn random_networks() {
    let mut worst = (0.0, 0);
    for seed in 0..600 {
        let net = random_net(seed);
        let found = differs(&format!("random {seed}"), &net, seed);
        let kinds: Vec<&str> = net.nodes().iter().map(|node| node.layer.kind()).collect();
        assert!(found < 1e-5, "random {seed} differs by {found}: {kinds:?}");
        worst = if found > worst.0 { (found, seed) } else { worst };
    }
    println!("largest difference {worst:?}");
}

/// One layer on an image or features.
fn alone(layer: impl Into<Layer>, shape: Shape) -> Option<Net> {
    let input = Node { name: "x".into(), layer: Input { shape: shape.dims() }.into(), inputs: vec![] };
    let node = Node { name: "bn".into(), layer: layer.into(), inputs: vec![0] };
    Net::new(vec![input, node]).ok()
}

#[test]
fn every_layer_alone() {
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..2000 {
        let mut r = stream(seed, "alone");
        let side = |r: &mut Stream| [1, 2, 1 + r.below(20)][r.below(3)];
        let image = Shape::Image(1 + r.below(9), side(&mut r), side(&mut r));
        let shape = [image, Shape::Features(1 + r.below(50))][usize::from(r.below(4) == 0)];
        let layer = if r.below(30) == 0 { Flatten.into() } else { any_layer(&mut r, shape) };
        let kind = layer.kind();
        if let Some(net) = alone(layer.clone(), shape) {
            let found = differs(kind, &net, seed);
            assert!(found < 3e-6, "{layer:?} on {shape} differs by {found}");
            let worst = seen.entry(kind).or_insert(0f32);
            *worst = worst.max(found);
        }
    }
    seen.iter().for_each(|(kind, worst)| println!("{kind}: {worst:e}"));
    assert!(seen.len() > 30, "{seen:?}");
}

/// Descriptions come from files: no number in them makes an engine panic, hang or take room without end.
#[test]
fn extreme_settings() {
    let far = 1usize << 40;
    let wide = |padding: usize, stride: usize| Conv2d::new(2, 3).padding(padding).stride(stride);
    let transposed = |stride, dilation| ConvTranspose2d { dilation, ..ConvTranspose2d::new(2, 2, stride) };
    let sides = Sides { top: far - 1, left: 0, bottom: 0, right: far - 1 };
    let pool = MaxPool2d { size: far.into(), stride: Some(far.into()), padding: sides, ceil: true };
    let mean = AvgPool2d { stride: Some(1.into()), padding: sides, ..AvgPool2d::new(far) };
    let layers: Vec<Layer> = vec![
        wide(1, far).into(),
        wide(far, far).into(),
        wide(500, 2000).into(),
        transposed((1, far).into(), Pair::ONE).into(),
        ConvTranspose2d { padding: [far - 3, 0, 0, 0].into(), ..transposed((far, 1).into(), Pair::ONE) }.into(),
        ConvTranspose2d { padding: far.into(), ..transposed(Pair::ONE, (2 * far).into()) }.into(),
        ConvTranspose2d { padding: [0, 0, far, far].into(), ..transposed(Pair::ONE, far.into()) }.into(),
        pool.into(),
        AvgPool2d { count_include_pad: true, ..mean }.into(),
        mean.into(),
        Stride { start: 0.into(), step: usize::MAX.into() }.into(),
    ];
    let mut run = 0;
    for layer in layers {
        for shape in [Shape::Image(2, 1, 1), Shape::Image(1, 3, 2)] {
            let Some(net) = alone(layer.clone(), shape) else { continue };
            run += 1;
            let weights = random_params(&net, 1).detached();
            let xs = vec![1.0; shape.units() * shape.positions()];
            match Engine::new(&net, &weights) {
                Ok(mut engine) => assert!(engine.run(&xs, 1).unwrap().iter().all(|y| y.is_finite()), "{layer:?}"),
                Err(error) => assert!(error.to_string().contains("more than"), "{layer:?}: {error}"),
            }
        }
    }
    // Both images by three of the layers, one of them by a fourth; a network of any other is refused.
    assert_eq!(run, 7);
}
