//! Convolutions and transposed ones.

use super::constant::Constant;
use super::draft::{Chain, Content, Moved, Outcome, ValueId};
use super::kernel::{Kernel, extent, groups};
use super::operator::Operator;
use super::wire::Reason;
use crate::Pair;
use crate::layers::{Conv2d, ConvTranspose2d, Linear};

/// A convolution; one of 1x1 over features that the graph sees as an image is a linear layer.
pub(super) fn conv(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (groups, kernel) = (groups(op)?, Kernel::of(op)?);
    let ([out, per_group, ..], side) = (kernel.dims, kernel.side);
    let (stride, dilation) = (op.pair("strides")?, op.pair("dilations")?);
    let (stride, dilation) = (stride.unwrap_or(Pair::ONE), dilation.unwrap_or(Pair::ONE));
    if let Some((of, channels)) = features_as_image(op)? {
        let plain = side == Pair::ONE && groups == 1 && per_group == channels;
        let padding = op.padding((1, 1), side, stride)?;
        if !plain || padding != Default::default() {
            return Err("features as an image, expected a kernel of 1x1 there".into());
        }
        return linear(of, out, &kernel);
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

/// A convolution of 1x1 over features is a linear layer.
fn linear(of: ValueId, out: usize, kernel: &Kernel) -> Result<Outcome, Reason> {
    let bias = kernel.has_bias(out)?;
    let mut values = kernel.values.clone();
    values[0].1 = values[0].1.reshaped(vec![out, kernel.dims[1]])?;
    let view = Constant::ints(vec![out, 1, 1], Constant::count(out))?;
    let chain = Chain::of(vec![of], Linear { out, bias }, values);
    Ok(Chain { view: Some(view), ..chain }.into())
}

/// Features that the graph sees as an image of one position: what they are of, and how many.
fn features_as_image(op: &Operator<'_>) -> Result<Option<(ValueId, usize)>, Reason> {
    let step = op.draft.step(op.any_value(0)?);
    match (&step.content, &step.dims[..]) {
        (Content::Moved(moved), &[c, 1, 1]) if op.draft.is_all_of(moved) => Ok(Some((moved.of, c))),
        (Content::Moved(Moved { whole: false, .. }), &[_, 1, 1]) => {
            Err("a part of the features, or features in another order, as an image".into())
        }
        _ => Ok(None),
    }
}

/// A transposed convolution of one group.
pub(super) fn conv_transpose(op: &Operator<'_>) -> Result<Outcome, Reason> {
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
    let (stride, dilation) = (stride.unwrap_or(Pair::ONE), dilation.unwrap_or(Pair::ONE));
    let padding = op.padding((h, w), extent(kernel.side, dilation), stride)?;
    let bias = kernel.has_bias(out)?;
    let layer = ConvTranspose2d { out, kernel: kernel.side, stride, padding, output_padding, dilation, bias };
    Ok(Chain::of(vec![input], layer, kernel.values).into())
}
