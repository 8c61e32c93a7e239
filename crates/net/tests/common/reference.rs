//! The network in full: masks multiplied, nothing left out, composed of plain operations.

use candle_core::{Device, Tensor};
use l0_net::layers::{BatchNorm, Bias, GlobalPool, Pad, PoolKind, Upsample, UpsampleMode};
use l0_net::{Activation, ClosedChannels, Layer, Mask, Masks, Net, Pair, Plan, Sides, Unit, Weights};
use l0_ops::{After, ConvSettings, TransposedSettings, Window, portable};

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
        let of = |leaf: &str| w.get(&format!("{}.{leaf}", node.name)).ok().cloned();
        let inputs: Vec<&Tensor> = node.inputs.iter().map(|&input| &made[input]).collect();
        let ys = match &node.layer {
            Layer::Input(_) => xs.clone(),
            Layer::BatchNorm(norm) => {
                let ys = normalised(norm, inputs[0], &of, training)?;
                match norm.closed {
                    ClosedChannels::Zero => ys.broadcast_mul(&per_unit(&open(&plan, node.inputs[0])?, ys.rank())?)?,
                    ClosedChannels::Constant => ys,
                }
            }
            layer => match with_values(layer, inputs[0], &of)? {
                Some(ys) => ys,
                None => without_values(layer, &inputs)?,
            },
        };
        let mask = masks.get(net.space(id)).filter(|_| makes_space(&node.layer, &inputs));
        made.push(masked(ys, mask)?);
    }
    Ok(made)
}

/// Whether a layer makes the space of its output, so that the mask of that is applied to it.
fn makes_space(layer: &Layer, inputs: &[&Tensor]) -> bool {
    match layer {
        Layer::Conv2d(c) => c.groups == 1 || c.groups != c.out || inputs[0].dims()[1] != c.groups,
        Layer::Input(_) | Layer::Linear(_) | Layer::ConvTranspose2d(_) | Layer::Flatten(_) => true,
        Layer::Take(_) | Layer::Identity(_) | Layer::Concat(_) | Layer::PadUnits(_) | Layer::Softmax(_) => true,
        _ => false,
    }
}

fn masked(ys: Tensor, mask: Option<&Mask>) -> candle_core::Result<Tensor> {
    match mask {
        Some(Mask::Shared(z)) => ys.broadcast_mul(&per_unit(z, ys.rank())?),
        Some(Mask::PerExample(z)) => {
            let mut dims = ys.dims().to_vec();
            dims[2..].fill(1);
            ys.broadcast_mul(&z.reshape(dims)?)
        }
        None => Ok(ys),
    }
}

/// The value of a parameter of a layer.
type Of<'a> = dyn Fn(&str) -> Option<Tensor> + 'a;

fn normalised(norm: &BatchNorm, x: &Tensor, of: &Of, training: bool) -> candle_core::Result<Tensor> {
    let value = |leaf| of(leaf).unwrap();
    let (scale, shift) = (value("weight"), value("bias"));
    if training {
        return Ok(portable::batch_norm_train(x, &scale, &shift, norm.eps, After::NONE)?.ys);
    }
    portable::batch_norm(x, &scale, &shift, &value("running_mean"), &value("running_var"), norm.eps, After::NONE)
}

/// The output of a layer that has parameters, normalisations aside.
fn with_values(layer: &Layer, x: &Tensor, of: &Of) -> candle_core::Result<Option<Tensor>> {
    let (value, bias) = (|leaf| of(leaf).unwrap(), of("bias"));
    Ok(Some(match layer {
        Layer::Linear(_) => portable::linear(x, &value("weight"), bias.as_ref())?,
        Layer::Conv2d(c) => {
            let settings = ConvSettings {
                stride: (c.stride.h, c.stride.w),
                padding: c.padding.array(),
                dilation: (c.dilation.h, c.dilation.w),
                groups: c.groups,
            };
            l0_ops::conv(x, &value("weight"), bias.as_ref(), &settings, ALONE)?
        }
        Layer::ConvTranspose2d(c) => {
            let settings = TransposedSettings {
                stride: (c.stride.h, c.stride.w),
                padding: c.padding.array(),
                output_padding: (c.output_padding.h, c.output_padding.w),
                dilation: (c.dilation.h, c.dilation.w),
                groups: 1,
            };
            l0_ops::conv_transpose(x, &value("weight"), bias.as_ref(), &settings)?
        }
        Layer::Scale(_) => {
            let wide = |leaf| per_unit(&value(leaf), x.rank());
            x.broadcast_mul(&wide("weight")?)?.broadcast_add(&wide("bias")?)?
        }
        Layer::PRelu(_) => {
            let slope = per_unit(&value("slope"), x.rank())?;
            (x.relu()? - x.neg()?.relu()?.broadcast_mul(&slope)?)?
        }
        Layer::Bias(Bias { per_position: true }) => x.broadcast_add(&value("bias"))?,
        Layer::Bias(_) => x.broadcast_add(&per_unit(&value("bias"), x.rank())?)?,
        Layer::Border(border) => {
            let (h, w) = (x.dim(2)?, x.dim(3)?);
            x.broadcast_add(&border.margins.expand(&value("bias"), h, w).unwrap())?
        }
        _ => return Ok(None),
    }))
}

/// The output of a layer that has none.
fn without_values(layer: &Layer, inputs: &[&Tensor]) -> candle_core::Result<Tensor> {
    let x = inputs[0];
    match layer {
        Layer::Activation(activation) => activated(*activation, x),
        Layer::MaxPool2d(p) => l0_ops::max_pool(x, &window(p.size, p.stride, p.padding, p.ceil)),
        Layer::AvgPool2d(p) => l0_ops::avg_pool(x, &window(p.size, p.stride, p.padding, p.ceil), p.count_include_pad),
        Layer::GlobalPool(GlobalPool { kind, keep }) => {
            let ys = match kind {
                PoolKind::Mean => portable::global_avg_pool(x)?,
                PoolKind::Max => l0_ops::global_max_pool(x)?,
            };
            if *keep { ys.unsqueeze(2)?.unsqueeze(3) } else { Ok(ys) }
        }
        Layer::Flatten(_) => x.flatten_from(1),
        Layer::Add(_) => inputs[1..].iter().try_fold(x.clone(), |sum, &term| sum + term),
        Layer::Mul(_) => {
            let rank = x.rank().max(inputs[1].rank());
            let wide = |x: &Tensor| if x.rank() < rank { x.unsqueeze(2)?.unsqueeze(3) } else { Ok(x.clone()) };
            wide(x)?.broadcast_mul(&wide(inputs[1])?)
        }
        Layer::Concat(_) => Tensor::cat(inputs, 1),
        Layer::PadUnits(p) => x.pad_with_zeros(1, p.before, p.after),
        Layer::Pad(Pad { padding: p }) => x.pad_with_zeros(2, p.top, p.bottom)?.pad_with_zeros(3, p.left, p.right),
        Layer::Stride(s) => l0_ops::stride(x, (s.start.h, s.start.w), (s.step.h, s.step.w)),
        Layer::Upsample(Upsample { factor, mode }) => match mode {
            UpsampleMode::Nearest => l0_ops::upsample_nearest(x, (factor.h, factor.w)),
            UpsampleMode::Bilinear { align_corners } => {
                l0_ops::upsample_bilinear(x, (factor.h, factor.w), *align_corners)
            }
        },
        Layer::Softmax(_) => softmax(x),
        Layer::Dropout(_) | Layer::Identity(_) => Ok(x.clone()),
        Layer::Take(take) => x.index_select(&Tensor::new(take.units.as_slice(), x.device())?, 1),
        Layer::Input(_) | Layer::BatchNorm(_) | Layer::Linear(_) | Layer::Conv2d(_) => unreachable!("computed above"),
        Layer::ConvTranspose2d(_) | Layer::PRelu(_) | Layer::Scale(_) => unreachable!("likewise"),
        Layer::Bias(_) | Layer::Border(_) => unreachable!("likewise"),
    }
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
        Activation::Quantise(grid) => {
            let (least, most) = grid.codes();
            let codes =
                ((x / f64::from(grid.scale))?.round()? + f64::from(grid.zero))?.clamp(least as f32, most as f32)?;
            (codes - f64::from(grid.zero))? * f64::from(grid.scale)
        }
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
