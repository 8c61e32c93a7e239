//! Convolutions and linear layers.

use super::constant::{Constant, Values};
use super::draft::{Chain, Content, Moved, Outcome};
use super::operator::Operator;
use super::wire::Reason;
use crate::Pair;
use crate::layers::{Conv2d, ConvTranspose2d, Linear};

/// A kernel of four dimensions (a, b, kh, kw), its side lengths and the bias if there is one.
struct Kernel {
    dims: [usize; 4],
    side: Pair,
    values: Values,
}

impl Kernel {
    fn of(op: &Operator<'_>) -> Result<Self, Reason> {
        let weight = op.stored(1, "weight")?;
        let dims: [usize; 4] = weight.dims().try_into().map_err(|_| {
            format!("a weight of shape {:?}, expected four dimensions: only images are convolved", weight.dims())
        })?;
        let side = Pair { h: dims[2], w: dims[3] };
        if dims.contains(&0) || op.pair("kernel_shape")?.is_some_and(|said| said != side) {
            return Err(format!("a weight of shape {dims:?}, which does not fit its kernel_shape"));
        }
        let mut values = vec![("weight", weight.clone())];
        values.extend(op.constant(2, "bias")?.map(|bias| ("bias", bias.clone())));
        Ok(Self { dims, side, values })
    }

    /// Checks the bias of a layer of `out` channels; whether there is one.
    fn has_bias(&self, out: usize) -> Result<bool, Reason> {
        match self.values.get(1) {
            Some((_, bias)) if bias.dims() != [out] => {
                Err(format!("a bias of shape {:?}, expected [{out}]", bias.dims()))
            }
            bias => Ok(bias.is_some()),
        }
    }
}

/// How far a window reaches.
fn extent(side: Pair, dilation: Pair) -> Pair {
    let reach = |side: usize, dilation: usize| (side - 1).saturating_mul(dilation).saturating_add(1);
    Pair { h: reach(side.h, dilation.h), w: reach(side.w, dilation.w) }
}

fn groups(op: &Operator<'_>) -> Result<usize, Reason> {
    let groups = op.int("group")?.unwrap_or(1);
    usize::try_from(groups).ok().filter(|&groups| groups > 0).ok_or_else(|| format!("{groups} groups"))
}

pub(super) fn conv2d(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (groups, kernel) = (groups(op)?, Kernel::of(op)?);
    let ([out, per_group, ..], side) = (kernel.dims, kernel.side);
    let (stride, dilation) = (op.pair("strides")?, op.pair("dilations")?);
    let (stride, dilation) = (stride.unwrap_or(1.into()), dilation.unwrap_or(1.into()));
    if let Some((of, index, channels)) = gate(op)? {
        let plain = side == Pair::from(1) && groups == 1 && per_group == channels;
        let padding = op.padding((1, 1), side, stride)?;
        if !plain || padding != Default::default() {
            return Err("features as an image, expected a kernel of 1x1 there".into());
        }
        return linear_gate(of, index, out, &kernel);
    }
    let (input, [c, h, w]) = op.image()?;
    if per_group.checked_mul(groups) != Some(c) || out % groups != 0 {
        return Err(format!("{c} channels in {groups} groups and a weight of shape {:?}", kernel.dims));
    }
    let padding = op.padding((h, w), extent(side, dilation), stride)?;
    let bias = kernel.has_bias(out)?;
    let layer = Conv2d { out, kernel: side, stride, padding, dilation, groups, bias };
    Ok(Chain::of(vec![input], layer, kernel.values).into())
}

/// Features that the graph sees as an image of one position: what they are of, how, and how many.
fn gate<'a>(op: &Operator<'a>) -> Result<Option<(usize, &'a Constant, usize)>, Reason> {
    let step = op.draft.step(op.any_value(0)?);
    Ok(match (&step.content, &step.dims[..]) {
        (Content::Moved(Moved { of, index, whole: false }), &[c, 1, 1]) => Some((*of, index, c)),
        _ => None,
    })
}

/// A convolution of 1x1 over features is a linear layer.
fn linear_gate(of: usize, index: &Constant, out: usize, kernel: &Kernel) -> Result<Outcome, Reason> {
    if !super::shapes::is_counting(index) {
        return Err("features in another order as an image".into());
    }
    let bias = kernel.has_bias(out)?;
    let mut values = kernel.values.clone();
    values[0].1 = values[0].1.reshaped(vec![out, kernel.dims[1]])?;
    let view = Constant::ints(vec![out, 1, 1], super::shapes::counting(out))?;
    let chain = Chain::of(vec![of], Linear { out, bias }, values);
    Ok(Chain { view: Some(view), ..chain }.into())
}

pub(super) fn conv_transpose2d(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (input, [c, h, w]) = op.image()?;
    let kernel = Kernel::of(op)?;
    let [n_in, out, ..] = kernel.dims;
    if groups(op)? != 1 || n_in != c {
        return Err(format!(
            "{c} channels in {} groups and a weight of shape {:?}, expected one group",
            groups(op)?,
            kernel.dims
        ));
    }
    if op.ints("output_shape")?.is_some() || op.text("auto_pad")?.is_some_and(|pad| pad.starts_with("SAME")) {
        return Err("an output_shape or padding SAME; export it with pads and output_padding".into());
    }
    let output_padding = match op.ints("output_padding")? {
        Some(&[h, w]) if h >= 0 && w >= 0 => Pair { h: h as usize, w: w as usize },
        Some(found) if !found.is_empty() => return Err(format!("output_padding {found:?}, expected two numbers")),
        _ => Pair { h: 0, w: 0 },
    };
    let (stride, dilation) = (op.pair("strides")?, op.pair("dilations")?);
    let (stride, dilation) = (stride.unwrap_or(1.into()), dilation.unwrap_or(1.into()));
    let padding = op.padding((h, w), extent(kernel.side, dilation), stride)?;
    let bias = kernel.has_bias(out)?;
    let layer = ConvTranspose2d { out, kernel: kernel.side, stride, padding, output_padding, dilation, bias };
    Ok(Chain::of(vec![input], layer, kernel.values).into())
}

/// `alpha A B + beta C`, either matrix transposed.
pub(super) fn gemm(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (alpha, beta) = (op.float("alpha")?.unwrap_or(1.0), op.float("beta")?.unwrap_or(1.0));
    if op.flag("transA")? {
        return Err("a transposed batch (transA)".into());
    }
    let weight = scaled(op.stored(1, "weight")?, alpha)?;
    let weight = if op.flag("transB")? { weight } else { transposed(op, &weight)? };
    let bias = op.constant(2, "bias")?.map(|bias| scaled(bias, beta)).transpose()?;
    linear(op, weight, bias)
}

pub(super) fn matmul(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let weight = transposed(op, op.stored(1, "weight")?)?;
    linear(op, weight, None)
}

fn transposed(op: &Operator<'_>, weight: &Constant) -> Result<Constant, Reason> {
    match weight.dims().len() {
        2 => weight.transposed(&[1, 0], op.room),
        _ => Err(format!("a weight of shape {:?}, expected two dimensions", weight.dims())),
    }
}

fn scaled(xs: &Constant, by: f32) -> Result<Constant, Reason> {
    if by == 1.0 {
        return Ok(xs.clone());
    }
    let values = xs.as_floats()?.iter().map(|x| x * by).collect();
    Constant::floats(xs.dims().to_vec(), values, xs.name())
}

fn linear(op: &Operator<'_>, weight: Constant, bias: Option<Constant>) -> Result<Outcome, Reason> {
    let (input, features) = op.features()?;
    let out = match *weight.dims() {
        [out, n_in] if n_in == features => out,
        _ => return Err(format!("{features} features and a weight of shape (out, in) {:?}", weight.dims())),
    };
    let bias = bias.map(|bias| match *bias.dims() {
        [] | [1] | [1, 1] => bias.spread(out),
        [n] | [1, n] if n == out => bias.spread(out),
        _ => Err(format!("a bias of shape {:?}, expected [{out}]", bias.dims())),
    });
    let mut values = vec![("weight", weight)];
    values.extend(bias.transpose()?.map(|bias| ("bias", bias)));
    Ok(Chain::of(vec![input], Linear { out, bias: values.len() > 1 }, values).into())
}
