//! Random small networks, random masks, and a reference that computes everything in full size, layer by layer.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test binary uses its part

mod graphs;
mod reference;

use candle_core::{Device, Tensor, Var};
#[allow(unused_imports)]
pub use graphs::*;
use l0_net::layers::Conv2d;
use l0_net::{Builder, ClosedChannels, Layer, Mask, Masks, Net, Params, Role};
use l0_rng::{Purpose, Stream};
#[allow(unused_imports)]
pub use reference::{reference, reference_nodes};

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
    let closed = if r.below(2) == 0 { ClosedChannels::Constant } else { ClosedChannels::Zero };
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
        b.closed_channels(closed).batch_norm("bn0");
    }
    b.relu();
    for i in 0..r.below(3) {
        let residual = r.below(2) == 0;
        let (skip, c) = (b.tip(), width(&mut r));
        b.layer(&format!("conv{i}a"), conv(c, 3, 1, 1, r.below(2) == 0));
        if r.below(3) > 0 {
            b.closed_channels(closed).batch_norm(&format!("bn{i}a"));
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
            b.closed_channels(closed).batch_norm(&format!("bn{i}b")).relu();
        }
    }
    match r.below(3) {
        0 => b.global_avg_pool(),
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

/// Largest absolute difference, in units of the largest value of `a`, or of 1 where that is smaller; not a number if one
/// of them is none.
pub fn difference(a: &Tensor, b: &Tensor) -> f32 {
    off_by(a, b) / largest(a).max(1.0)
}

/// Largest absolute difference; not a number if one of them is none.
pub fn off_by(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let larger = |most: f32, d: f32| if most.is_nan() || d <= most { most } else { d };
    flat(a).iter().zip(&flat(b)).map(|(x, y)| (x - y).abs()).fold(0.0, larger)
}

/// Largest absolute value.
pub fn largest(a: &Tensor) -> f32 {
    flat(a).iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn flat(a: &Tensor) -> Vec<f32> {
    a.flatten_all().unwrap().to_vec1().unwrap()
}
