//! Temporary: the layers as `layers.md` describes them, until they are in this crate.
#![allow(missing_docs)]

use serde::Serialize;

use super::wire::Reason;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Pair {
    pub(crate) h: usize,
    pub(crate) w: usize,
}

impl From<usize> for Pair {
    fn from(n: usize) -> Self {
        Self { h: n, w: n }
    }
}

impl From<(usize, usize)> for Pair {
    fn from((h, w): (usize, usize)) -> Self {
        Self { h, w }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Sides {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) bottom: usize,
    pub(crate) right: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Linear {
    pub(crate) out: usize,
    pub(crate) bias: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Conv2d {
    pub(crate) out: usize,
    pub(crate) kernel: Pair,
    pub(crate) stride: Pair,
    pub(crate) padding: Sides,
    pub(crate) dilation: Pair,
    pub(crate) groups: usize,
    pub(crate) bias: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ConvTranspose2d {
    pub(crate) out: usize,
    pub(crate) kernel: Pair,
    pub(crate) stride: Pair,
    pub(crate) padding: Sides,
    pub(crate) output_padding: Pair,
    pub(crate) dilation: Pair,
    pub(crate) bias: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct BatchNorm {
    pub(crate) eps: f64,
    pub(crate) momentum: f64,
    pub(crate) closed: crate::ClosedMaps,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) enum Activation {
    Relu,
    LeakyRelu { slope: f32 },
    Clip { min: f32, max: f32 },
    Sigmoid,
    HardSigmoid { alpha: f32, beta: f32 },
    HardSwish,
    Silu,
    Gelu { tanh: bool },
    Tanh,
    Elu { alpha: f32 },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct MaxPool2d {
    pub(crate) size: Pair,
    pub(crate) stride: Option<Pair>,
    pub(crate) padding: Sides,
    pub(crate) ceil: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct AvgPool2d {
    pub(crate) size: Pair,
    pub(crate) stride: Option<Pair>,
    pub(crate) padding: Sides,
    pub(crate) ceil: bool,
    pub(crate) count_include_pad: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum PoolKind {
    Mean,
    Max,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) enum UpsampleMode {
    Nearest,
    Bilinear { align_corners: bool },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Input {
    pub(crate) shape: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PRelu;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct GlobalPool {
    pub(crate) kind: PoolKind, pub(crate) keep: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Flatten;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Add;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Mul;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Concat;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Take {
    pub(crate) units: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Bias {
    pub(crate) per_position: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PadUnits {
    pub(crate) before: usize, pub(crate) after: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Pad {
    pub(crate) padding: Sides,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Stride {
    pub(crate) start: Pair, pub(crate) step: Pair,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Upsample {
    pub(crate) factor: Pair, pub(crate) mode: UpsampleMode,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Softmax;

macro_rules! layers { ($($n:ident),*) => {
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) enum Layer { $($n($n)),* }
$(impl From<$n> for Layer { fn from(l: $n) -> Self { Self::$n(l) } })*
} }
layers!(Input, Linear, Conv2d, ConvTranspose2d, BatchNorm, Activation, PRelu, MaxPool2d, AvgPool2d, GlobalPool, Flatten, Add, Mul, Concat, Take, Bias, PadUnits, Pad, Stride, Upsample, Softmax);

fn side(n: usize, extent: usize, pads: usize, stride: usize, ceil: bool, start: usize) -> Result<usize, Reason> {
    let room = n.saturating_add(pads).checked_sub(extent).ok_or("a window larger than the image")?;
    if stride == 0 || extent == 0 {
        return Err("a window or step of 0".into());
    }
    let floor = room / stride + 1;
    let more = ceil && room % stride != 0 && floor * stride < n + start;
    Ok(floor + usize::from(more))
}

impl Layer {
    pub(crate) fn kind(&self) -> String {
        let found = format!("{self:?}");
        let found = found.trim_start_matches("Activation(");
        found.split(['(', ' ', '{']).next().unwrap_or_default().trim_end_matches(')').to_lowercase()
    }

    pub(crate) fn is_affine(&self) -> bool {
        matches!(self, Self::Linear(_) | Self::Conv2d(_) | Self::ConvTranspose2d(_))
    }

    pub(crate) fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, Reason> {
        let image = || match *inputs[0] {
            [c, h, w] => Ok((c, h, w)),
            _ => Err(format!("an image expected, found {:?}", inputs[0])),
        };
        Ok(match self {
            Self::Input(Input { shape }) => shape.clone(),
            Self::Linear(l) => vec![l.out],
            Self::Conv2d(l) => {
                let (_, h, w) = image()?;
                let (eh, ew) = (l.dilation.h * (l.kernel.h - 1) + 1, l.dilation.w * (l.kernel.w - 1) + 1);
                let p = l.padding;
                vec![
                    l.out,
                    side(h, eh, p.top + p.bottom, l.stride.h, false, 0)?,
                    side(w, ew, p.left + p.right, l.stride.w, false, 0)?,
                ]
            }
            Self::ConvTranspose2d(l) => {
                let (_, h, w) = image()?;
                let p = l.padding;
                let side = |n: usize, s: usize, d: usize, k: usize, o: usize, p: usize| {
                    ((n - 1) * s + d * (k - 1) + 1 + o).checked_sub(p).filter(|&n| n > 0).ok_or("nothing left")
                };
                vec![
                    l.out,
                    side(h, l.stride.h, l.dilation.h, l.kernel.h, l.output_padding.h, p.top + p.bottom)?,
                    side(w, l.stride.w, l.dilation.w, l.kernel.w, l.output_padding.w, p.left + p.right)?,
                ]
            }
            Self::MaxPool2d(MaxPool2d { size, stride, padding: p, ceil })
            | Self::AvgPool2d(AvgPool2d { size, stride, padding: p, ceil, .. }) => {
                let (c, h, w) = image()?;
                let stride = stride.unwrap_or(*size);
                vec![
                    c,
                    side(h, size.h, p.top + p.bottom, stride.h, *ceil, p.top)?,
                    side(w, size.w, p.left + p.right, stride.w, *ceil, p.left)?,
                ]
            }
            Self::GlobalPool(GlobalPool { keep, .. }) => {
                let (c, ..) = image()?;
                if *keep { vec![c, 1, 1] } else { vec![c] }
            }
            Self::Flatten(_) => vec![inputs[0].iter().product()],
            Self::Mul(_) if inputs[0].len() < inputs[1].len() || inputs[0].iter().product::<usize>() < inputs[1].iter().product() => inputs[1].to_vec(),
            Self::Concat(_) => {
                let mut dims = inputs[0].to_vec();
                if inputs.iter().any(|i| i[1..] != dims[1..]) {
                    return Err(format!("puts together {inputs:?}"));
                }
                dims[0] = inputs.iter().map(|i| i[0]).sum();
                dims
            }
            Self::Add(_) if inputs.iter().any(|i| *i != inputs[0]) => return Err(format!("adds {inputs:?}")),
            Self::Take(Take { units }) => [&[units.len()], &inputs[0][1..]].concat(),
            Self::PadUnits(PadUnits { before, after }) => [&[inputs[0][0] + before + after], &inputs[0][1..]].concat(),
            Self::Pad(Pad { padding: p }) => {
                let (c, h, w) = image()?;
                vec![c, h + p.top + p.bottom, w + p.left + p.right]
            }
            Self::Stride(Stride { start, step }) => {
                let (c, h, w) = image()?;
                vec![c, (h - start.h).div_ceil(step.h), (w - start.w).div_ceil(step.w)]
            }
            Self::Upsample(Upsample { factor, .. }) => {
                let (c, h, w) = image()?;
                vec![c, h * factor.h, w * factor.w]
            }
            _ => inputs[0].to_vec(),
        })
    }
}
