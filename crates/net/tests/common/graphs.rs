//! Random graphs of all layers.

use l0_net::layers::*;
use l0_net::{Activation, ClosedChannels, Layer, Net, Node, Pair, Shape, Sides};
use l0_rng::Stream;

use super::stream;

/// A random activation.
pub fn activation(r: &mut Stream) -> Activation {
    match r.below(12) {
        0 => Activation::LeakyRelu { slope: 0.1 },
        1 => Activation::RELU6,
        2 => Activation::Clip { min: 0.25, max: 1.5 },
        3 => Activation::Sigmoid,
        4 => Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
        5 => Activation::HardSwish,
        6 => Activation::Silu,
        7 => Activation::Gelu { tanh: r.below(2) == 0 },
        8 => Activation::Tanh,
        9 => Activation::Elu { alpha: 0.7 },
        _ => Activation::Relu,
    }
}

fn pair(r: &mut Stream, most: usize) -> Pair {
    (1 + r.below(most), 1 + r.below(most)).into()
}

fn sides(r: &mut Stream) -> Sides {
    [r.below(2), r.below(3), r.below(2), r.below(2)].into()
}

fn conv(r: &mut Stream, c: usize) -> Layer {
    let groups = match r.below(5) {
        0 => c, // depthwise, or in groups of one input
        1 if c.is_multiple_of(2) => 2,
        _ => 1,
    };
    let out = if r.below(3) == 0 { c } else { groups * (1 + r.below(3)) };
    let conv = Conv2d { groups, bias: r.below(2) == 0, ..Conv2d::new(out, pair(r, 3)) };
    conv.stride(pair(r, 2)).padding(sides(r)).dilation(if r.below(4) == 0 { pair(r, 2) } else { 1.into() }).into()
}

fn image_layer(r: &mut Stream, c: usize, closed: ClosedChannels) -> Layer {
    let stride = if r.below(2) == 0 { None } else { Some(pair(r, 2)) };
    let (ceil, padding) = (r.below(2) == 0, Sides::from([r.below(2), 0, 0, r.below(2)]));
    match r.below(19) {
        0 => ConvTranspose2d {
            padding: sides(r),
            dilation: pair(r, 2),
            bias: r.below(2) == 0,
            ..ConvTranspose2d::new(1 + r.below(4), pair(r, 3), pair(r, 2))
        }
        .into(),
        1 | 2 => BatchNorm { closed, ..BatchNorm::default() }.into(),
        3 => PRelu.into(),
        4 => MaxPool2d { size: (2, 2).into(), stride, padding, ceil }.into(),
        5 => AvgPool2d { size: (2, 2).into(), stride, padding, ceil, count_include_pad: r.below(2) == 0 }.into(),
        6 => Take { units: (0..1 + r.below(c + 1)).map(|_| r.below(c) as u32).collect() }.into(),
        7 => Bias { per_position: r.below(2) == 0 }.into(),
        8 => PadUnits { before: r.below(3), after: r.below(2) }.into(),
        9 => Pad { padding: sides(r) }.into(),
        10 => Stride { start: (r.below(2), r.below(2)).into(), step: pair(r, 2) }.into(),
        11 => Upsample { factor: pair(r, 2), mode: UpsampleMode::Nearest }.into(),
        12 => Upsample { factor: pair(r, 2), mode: UpsampleMode::Bilinear { align_corners: r.below(2) == 0 } }.into(),
        13 => Identity.into(),
        14 | 15 => activation(r).into(),
        16 => Scale.into(),
        _ => conv(r, c),
    }
}

/// A graph that grows by layers that its nodes accept: branches, sums, products, concatenations, an image or features
/// out.
pub fn random_graph(seed: u64) -> Net {
    let mut r = stream(seed, "graph");
    let closed = if r.below(2) == 0 { ClosedChannels::Constant } else { ClosedChannels::Zero };
    let input = Input { shape: vec![1 + r.below(4), 5 + r.below(4), 4 + r.below(4)] };
    let mut nodes = vec![Node { name: "input".into(), layer: input.into(), inputs: vec![] }];
    let mut net = Net::new(nodes.clone()).unwrap();
    let mut tries = 0;
    while nodes.len() < 5 + r.below(8) && tries < 60 {
        tries += 1;
        let (at, shape) = (nodes.len() - 1, net.shape(nodes.len() - 1));
        let near = at - r.below(4).min(at);
        let like = |net: &Net, a: usize, b: usize| net.shape(a).with_units(1) == net.shape(b).with_units(1);
        let others: Vec<usize> = (0..=at).filter(|&other| like(&net, other, at)).collect();
        let other = others[r.below(others.len())];
        let (layer, inputs): (Layer, Vec<usize>) = match r.below(8) {
            0 => (Add.into(), if r.below(4) == 0 { vec![at, other, at] } else { vec![at, other] }),
            1 => (Mul.into(), vec![at, other]),
            2 => (Concat.into(), vec![other, at]),
            3 => {
                // Squeeze and excitation: a number for each channel, of the image itself.
                let kind = if r.below(2) == 0 { PoolKind::Mean } else { PoolKind::Max };
                let pool = GlobalPool { kind, keep: r.below(2) == 0 };
                let name = |what: &str| format!("{what}{at}");
                let keep = pool.keep;
                nodes.push(Node { name: name("squeeze"), layer: pool.into(), inputs: vec![at] });
                let c = shape.units();
                let excite: Layer =
                    if keep { Conv2d::new(c, 1).into() } else { Linear { out: c, bias: r.below(2) == 0 }.into() };
                nodes.push(Node { name: name("excite"), layer: excite, inputs: vec![at + 1] });
                nodes.push(Node { name: name("gate"), layer: Activation::Sigmoid.into(), inputs: vec![at + 2] });
                (Mul.into(), vec![at, at + 3])
            }
            _ => (image_layer(&mut r, net.shape(near).units(), closed), vec![near]),
        };
        let before = nodes.len();
        nodes.push(Node { name: format!("{}{before}", layer.kind().replace(' ', "_")), layer, inputs });
        match Net::new(nodes.clone()) {
            Ok(grown) if small(&grown) => net = grown,
            _ => nodes.truncate(at + 1),
        }
    }
    ended(&mut r, nodes, &net)
}

/// Whether its last output stays small enough for thousands of such graphs.
fn small(net: &Net) -> bool {
    net.shape(net.output()).dims().iter().product::<usize>() <= 2500 && net.shape(net.output()).units() <= 12
}

fn ended(r: &mut Stream, mut nodes: Vec<Node>, net: &Net) -> Net {
    let image = matches!(net.shape(net.output()), Shape::Image(..));
    let end: &[Layer] = match r.below(6) {
        0..=2 if !image => &[],
        3 if !image => &[Layer::Linear(LAST), Layer::Softmax(Softmax)],
        _ if !image => &[Layer::Linear(LAST)],
        0 => &[],
        1 => &[Layer::Softmax(Softmax)],
        2 => &[Layer::GlobalPool(GlobalPool { kind: PoolKind::Max, keep: false }), Layer::Softmax(Softmax)],
        3 => &[Layer::GlobalPool(GlobalPool { kind: PoolKind::Mean, keep: false }), Layer::Linear(LAST)],
        _ => &[Layer::Flatten(Flatten), Layer::Linear(LAST), Layer::Softmax(Softmax)],
    };
    for layer in end {
        let name = if layer.is_affine() { "out".into() } else { format!("end{}", nodes.len()) };
        let inputs = vec![nodes.len() - 1];
        nodes.push(Node { name, layer: layer.clone(), inputs });
    }
    Net::new(nodes).unwrap()
}

const LAST: Linear = Linear { out: 3, bias: true };
