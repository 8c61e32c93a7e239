//! Random small networks, random masks, and a reference that computes everything in full size, layer by layer.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test binary uses its part

mod graphs;

use candle_core::{Device, Tensor, Var};
#[allow(unused_imports)]
pub use graphs::*;
use l0_net::layers::{BatchNorm, Bias, Conv2d, GlobalPool, Pad, PoolKind, Upsample, UpsampleMode};
use l0_net::{
    Activation, Builder, ClosedMaps, Layer, Mask, Masks, Net, Pair, Params, Plan, Role, Sides, Unit, Weights,
};
use l0_ops::{ConvSettings, TransposedSettings, Window, portable};
use l0_rng::{Purpose, Stream};

pub type Any = Result<(), Box<dyn std::error::Error>>;

/// How many random cases to try: `L0_CASES` where it is set, else `few`.
pub fn cases(few: usize) -> usize {
    std::env::var("L0_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(few)
}

pub fn stream(seed: u64, name: &str) -> Stream {
    Stream::new(seed, Purpose::Other, 0, 0, name)
}

/// A chain or a residual network of convolutions and linear layers, with or without normalisation.
pub fn random_net(seed: u64) -> Net {
    let mut r = stream(seed, "net");
    let width = |r: &mut Stream| 2 + r.below(5);
    let closed = if r.below(2) == 0 { ClosedMaps::Constant } else { ClosedMaps::Zero };
    if r.below(4) == 0 {
        let mut b = Builder::features("input", 3 + r.below(6));
        for i in 0..1 + r.below(3) {
            b.linear(&format!("fc{i}"), width(&mut r)).relu();
        }
        b.linear("out", 3);
        return b.build().unwrap();
    }
    let mut b = Builder::image("input", 1 + r.below(3), 8 + r.below(3), 8 + r.below(3));
    b.layer("conv0", conv(width(&mut r), 3, 1, r.below(2), r.below(2) == 0));
    if r.below(2) == 0 {
        b.closed_maps(closed).batch_norm("bn0");
    }
    b.relu();
    for i in 0..r.below(3) {
        let residual = r.below(2) == 0;
        let (skip, c) = (b.tip(), width(&mut r));
        b.layer(&format!("conv{i}a"), conv(c, 3, 1, 1, r.below(2) == 0));
        if r.below(3) > 0 {
            b.closed_maps(closed).batch_norm(&format!("bn{i}a"));
        }
        b.relu();
        if residual {
            let (out, stride) = (width(&mut r), 1 + r.below(2));
            b.layer(&format!("conv{i}b"), conv(out, 3, stride, 1, r.below(2) == 0));
            if r.below(2) == 0 {
                b.identity();
            }
            let main = b.tip();
            b.at(skip).layer(&format!("short{i}"), conv(out, 1, stride, 0, r.below(2) == 0)).add(main);
            b.closed_maps(closed).batch_norm(&format!("bn{i}b")).relu();
        }
    }
    match r.below(3) {
        0 => b.avg_pool(),
        1 => b.max_pool2d(2).flatten("features").linear("fc", width(&mut r)).relu(),
        _ => b.flatten("features"),
    };
    b.linear("out", 3);
    b.build().unwrap()
}

fn conv(out: usize, kernel: usize, stride: usize, padding: usize, bias: bool) -> Layer {
    Conv2d { bias, ..Conv2d::new(out, kernel).stride(stride).padding(padding) }.into()
}

/// Parameters that are nowhere 0 or 1 by default, so that nothing is equal by accident.
pub fn random_params(net: &Net, seed: u64) -> Params {
    let params = Params::init(net, seed, &Device::Cpu).unwrap();
    for p in params.iter() {
        let n = p.var.elem_count();
        let mut r = stream(seed, &p.name);
        let values: Vec<f32> = match p.role {
            Role::Weight => continue,
            Role::Statistic if p.name.ends_with("var") => r.uniforms(n).iter().map(|u| 0.5 + u).collect(),
            _ => r.normals(n).iter().map(|z| 0.3 * z + if p.name.starts_with("bn") { 0.5 } else { 0.0 }).collect(),
        };
        p.var.set(&Tensor::from_vec(values, p.var.dims(), &Device::Cpu).unwrap()).unwrap();
    }
    params
}

/// Masks of random spaces: `share` of the units open in the mean; 0 closes all, 1 opens all.
pub fn random_masks(net: &Net, seed: u64, share: f32, all_spaces: bool) -> (Masks, Vec<Option<Var>>) {
    let mut r = stream(seed, "masks");
    let mut masks = Masks::none(net);
    let mut vars = Vec::new();
    for (id, space) in net.spaces().iter().enumerate() {
        if space.name == "out" || (!all_spaces && r.below(3) == 0) {
            vars.push(None);
            continue;
        }
        let z: Vec<f32> =
            (0..space.units).map(|_| if r.uniform() < share { 0.25 + 0.75 * r.uniform() } else { 0.0 }).collect();
        let z = Var::from_vec(z, space.units, &Device::Cpu).unwrap();
        masks.set(net, id, Mask::Shared(z.as_tensor().clone())).unwrap();
        vars.push(Some(z));
    }
    (masks, vars)
}

pub fn random_input(net: &Net, seed: u64, batch: usize) -> Tensor {
    let mut dims = net.shape(0).dims();
    dims.insert(0, batch);
    let n = dims.iter().product();
    Tensor::from_vec(stream(seed, "input").normals(n), dims, &Device::Cpu).unwrap()
}

/// The output of the network with masks multiplied in full size, nothing left out.
pub fn reference(net: &Net, w: &Weights, xs: &Tensor, masks: &Masks, training: bool) -> candle_core::Result<Tensor> {
    Ok(reference_nodes(net, w, xs, masks, training)?.swap_remove(net.output()))
}

/// The same for the output of every node.
pub fn reference_nodes(
    net: &Net,
    w: &Weights,
    xs: &Tensor,
    masks: &Masks,
    training: bool,
) -> candle_core::Result<Vec<Tensor>> {
    let mut made: Vec<Tensor> = Vec::new();
    let plan = Plan::new(net, masks, training);
    for (id, node) in net.nodes().iter().enumerate() {
        let of = |leaf: &str| w.get(&format!("{}.{leaf}", node.name)).ok();
        let input = |i: usize| &made[node.inputs[i]];
        let ys = match &node.layer {
            Layer::Input(_) => xs.clone(),
            Layer::Linear(_) => portable::linear(input(0), of("weight").unwrap(), of("bias"))?,
            Layer::Conv2d(c) => {
                let settings = ConvSettings {
                    stride: (c.stride.h, c.stride.w),
                    padding: c.padding.array(),
                    dilation: (c.dilation.h, c.dilation.w),
                    groups: c.groups,
                };
                l0_ops::conv(input(0), of("weight").unwrap(), of("bias"), &settings, ALONE)?
            }
            Layer::ConvTranspose2d(c) => {
                let settings = TransposedSettings {
                    stride: (c.stride.h, c.stride.w),
                    padding: c.padding.array(),
                    output_padding: (c.output_padding.h, c.output_padding.w),
                    dilation: (c.dilation.h, c.dilation.w),
                    groups: 1,
                };
                l0_ops::conv_transpose(input(0), of("weight").unwrap(), of("bias"), &settings)?
            }
            Layer::BatchNorm(BatchNorm { eps, closed, .. }) => {
                let (scale, shift) = (of("weight").unwrap(), of("bias").unwrap());
                let ys = if training {
                    portable::batch_norm_train(input(0), scale, shift, *eps, false)?.ys
                } else {
                    let (mean, var) = (of("running_mean").unwrap(), of("running_var").unwrap());
                    portable::batch_norm(input(0), scale, shift, mean, var, *eps, false)?
                };
                if *closed == ClosedMaps::Zero {
                    ys.broadcast_mul(&per_unit(&open(&plan, node.inputs[0])?, ys.rank())?)?
                } else {
                    ys
                }
            }
            Layer::Activation(Activation::Relu) => portable::relu(input(0))?,
            Layer::Activation(other) => activated(*other, input(0))?,
            Layer::Scale(_) => {
                let wide = |leaf| per_unit(of(leaf).unwrap(), input(0).rank());
                input(0).broadcast_mul(&wide("weight")?)?.broadcast_add(&wide("bias")?)?
            }
            Layer::PRelu(_) => {
                let slope = per_unit(of("slope").unwrap(), input(0).rank())?;
                (input(0).relu()? - input(0).neg()?.relu()?.broadcast_mul(&slope)?)?
            }
            Layer::MaxPool2d(p) => l0_ops::max_pool(input(0), &window(p.size, p.stride, p.padding, p.ceil))?,
            Layer::AvgPool2d(p) => {
                let window = window(p.size, p.stride, p.padding, p.ceil);
                l0_ops::avg_pool_window(input(0), &window, p.count_include_pad)?
            }
            Layer::GlobalPool(GlobalPool { kind, keep }) => {
                let ys = match kind {
                    PoolKind::Mean => portable::avg_pool(input(0))?,
                    PoolKind::Max => l0_ops::global_max_pool(input(0))?,
                };
                if *keep { ys.unsqueeze(2)?.unsqueeze(3)? } else { ys }
            }
            Layer::Flatten(_) => input(0).flatten_from(1)?,
            Layer::Add(_) => node.inputs[1..].iter().try_fold(input(0).clone(), |sum, &i| sum + &made[i])?,
            Layer::Mul(_) => {
                let rank = input(0).rank().max(input(1).rank());
                let wide = |x: &Tensor| if x.rank() < rank { x.unsqueeze(2)?.unsqueeze(3) } else { Ok(x.clone()) };
                wide(input(0))?.broadcast_mul(&wide(input(1))?)?
            }
            Layer::Concat(_) => Tensor::cat(&node.inputs.iter().map(|&i| &made[i]).collect::<Vec<_>>(), 1)?,
            Layer::PadUnits(p) => input(0).pad_with_zeros(1, p.before, p.after)?,
            Layer::Pad(Pad { padding: p }) => {
                input(0).pad_with_zeros(2, p.top, p.bottom)?.pad_with_zeros(3, p.left, p.right)?
            }
            Layer::Stride(s) => l0_ops::stride(input(0), (s.start.h, s.start.w), (s.step.h, s.step.w))?,
            Layer::Upsample(Upsample { factor, mode }) => match mode {
                UpsampleMode::Nearest => l0_ops::upsample_nearest(input(0), (factor.h, factor.w))?,
                UpsampleMode::Bilinear { align_corners } => {
                    l0_ops::upsample_bilinear(input(0), (factor.h, factor.w), *align_corners)?
                }
            },
            Layer::Softmax(_) => softmax(input(0))?,
            Layer::Dropout(_) | Layer::Identity(_) => input(0).clone(),
            Layer::Take(take) => input(0).index_select(&Tensor::new(take.units.as_slice(), xs.device())?, 1)?,
            Layer::Bias(Bias { per_position: true }) => input(0).broadcast_add(of("bias").unwrap())?,
            Layer::Border(border) => {
                let (h, w) = (input(0).dim(2)?, input(0).dim(3)?);
                input(0).broadcast_add(&border.margins.expand(of("bias").unwrap(), h, w).unwrap())?
            }
            Layer::Bias(_) => input(0).broadcast_add(&per_unit(of("bias").unwrap(), input(0).rank())?)?,
        };
        let makes = match &node.layer {
            Layer::Conv2d(c) => c.groups == 1 || !(c.groups == c.out && c.groups == input(0).dim(1)?),
            Layer::Input(_) | Layer::Linear(_) | Layer::ConvTranspose2d(_) | Layer::Flatten(_) => true,
            Layer::Take(_) | Layer::Identity(_) | Layer::Concat(_) | Layer::PadUnits(_) | Layer::Softmax(_) => true,
            _ => false,
        };
        made.push(match masks.get(net.space(id)) {
            Some(Mask::Shared(z)) if makes => ys.broadcast_mul(&per_unit(z, ys.rank())?)?,
            Some(Mask::PerExample(z)) if makes => {
                let mut dims = ys.dims().to_vec();
                dims[2..].fill(1);
                ys.broadcast_mul(&z.reshape(dims)?)?
            }
            _ => ys,
        });
    }
    Ok(made)
}

const ALONE: l0_ops::Epilogue = l0_ops::Epilogue { relu: false, max_pool: 1 };

fn window(size: Pair, stride: Option<Pair>, padding: Sides, ceil: bool) -> Window {
    let tuple = |pair: Pair| (pair.h, pair.w);
    Window { size: tuple(size), stride: tuple(stride.unwrap_or(size)), padding: padding.array(), ceil }
}

fn sigmoid(x: &Tensor) -> candle_core::Result<Tensor> {
    // exp(-x) could overflow, and has no gradient then
    ((x * 0.5)?.tanh()? + 1.0)? * 0.5
}

fn softmax(x: &Tensor) -> candle_core::Result<Tensor> {
    let y = x.broadcast_sub(&x.max_keepdim(1)?)?.exp()?;
    y.broadcast_div(&y.sum_keepdim(1)?)
}

/// Activations composed of Candle's operations.
fn activated(activation: Activation, x: &Tensor) -> candle_core::Result<Tensor> {
    let hard = |x: &Tensor, alpha: f32, beta: f32| x.affine(alpha.into(), beta.into())?.clamp(0f32, 1f32);
    match activation {
        Activation::Relu => portable::relu(x),
        Activation::LeakyRelu { slope } => x.relu()? - (x.neg()?.relu()? * f64::from(slope))?,
        Activation::Clip { min, max } => x.clamp(min, max),
        Activation::Sigmoid => sigmoid(x),
        Activation::HardSigmoid { alpha, beta } => hard(x, alpha, beta),
        Activation::HardSwish => x * hard(x, 1.0 / 6.0, 0.5)?,
        Activation::Silu => x * sigmoid(x)?,
        Activation::Gelu { tanh: true } => {
            let inner = ((x + (x.powf(3.0)? * 0.044715)?)? * (2.0 / std::f64::consts::PI).sqrt())?;
            x * ((inner.tanh()? + 1.0)? * 0.5)?
        }
        Activation::Gelu { tanh: false } => x * (((x * 0.5f64.sqrt())?.erf()? + 1.0)? * 0.5)?,
        Activation::Tanh => x.tanh(),
        Activation::Elu { alpha } => {
            x.relu()? + (x.minimum(&x.zeros_like()?)?.exp()?.affine(alpha.into(), -f64::from(alpha)))?
        }
    }
}

fn per_unit(z: &Tensor, rank: usize) -> candle_core::Result<Tensor> {
    let mut dims = vec![1; rank];
    dims[1] = z.elem_count();
    z.reshape(dims)
}

/// 0 for units that masks close, whatever the input, 1 for all others.
fn open(plan: &Plan, node: usize) -> candle_core::Result<Tensor> {
    let open: Vec<f32> = plan.units(node).iter().map(|&unit| if unit == Unit::Zero { 0.0 } else { 1.0 }).collect();
    Tensor::new(open, &Device::Cpu)
}

/// Largest absolute difference, in units of the largest value; not a number if one of them is none.
pub fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (a, b) = (flat(a), flat(b));
    let scale = a.iter().fold(1f32, |m, x| m.max(x.abs()));
    let largest = |most: f32, d: f32| if most.is_nan() || d <= most { most } else { d };
    a.iter().zip(&b).map(|(x, y)| (x - y).abs()).fold(0.0, largest) / scale
}
