//! What arguments of operations must be: errors say what was found and what was expected. [`portable`](crate::portable)
//! refuses in the same words as the kernels.

use candle_core::{DType, Result, Tensor, bail};

use crate::cpu::{expect_dims, expect_rank};
use crate::selection::Selection;
use crate::settings::{After, Window};

/// The dimensions of images, (b, c, h, w).
pub(crate) fn images(op: &str, xs: &Tensor) -> Result<(usize, usize, usize, usize)> {
    expect_rank(op, "xs", xs, &[4])?;
    xs.dims4()
}

/// Images with at least one number in each plane.
pub(crate) fn pixels(op: &str, xs: &Tensor) -> Result<(usize, usize, usize, usize)> {
    let (b, c, h, w) = images(op, xs)?;
    if h * w == 0 {
        bail!("{op}: xs has shape {:?}, expected images of at least one pixel", xs.dims())
    }
    Ok((b, c, h, w))
}

/// Height and width of `planes` larger planes, if so many numbers can be counted.
pub(crate) fn size(op: &str, planes: usize, side: (Option<usize>, Option<usize>)) -> Result<(usize, usize)> {
    let numbers = |h: usize, w: usize| h.checked_mul(w)?.checked_mul(planes.max(1))?.checked_mul(size_of::<f32>());
    match side {
        (Some(h), Some(w)) if numbers(h, w).is_some_and(|bytes| bytes < isize::MAX as usize) => Ok((h, w)),
        _ => bail!("{op}: the result is larger than any memory, expected smaller images, padding or factors"),
    }
}

/// The result of pooling by windows.
pub(crate) fn window(op: &str, xs: &Tensor, window: &Window) -> Result<(usize, usize)> {
    let (_, _, h, w) = images(op, xs)?;
    match window.output(h, w) {
        Some(output) => Ok(output),
        None => bail!(
            "{op}: found windows of {:?} by strides of {:?} and padding {:?} on an image of {h}x{w}, expected strides of 1 or more, less padding than a window on each side, and at least one window",
            window.size,
            window.stride,
            window.padding
        ),
    }
}

/// The result of [`pad`](crate::pad).
pub(crate) fn pad(xs: &Tensor, [top, left, bottom, right]: [usize; 4]) -> Result<(usize, usize)> {
    let (b, c, h, w) = images("pad", xs)?;
    let side = |n: usize, before, after| n.checked_add(before)?.checked_add(after);
    size("pad", b * c, (side(h, top, bottom), side(w, left, right)))
}

/// The result of [`stride`](crate::stride).
pub(crate) fn stride(xs: &Tensor, start: (usize, usize), step: (usize, usize)) -> Result<(usize, usize)> {
    let (_, _, h, w) = images("stride", xs)?;
    if start.0 >= h || start.1 >= w || step.0 == 0 || step.1 == 0 {
        bail!(
            "stride: found start {start:?} and step {step:?}, expected a start in an image of {h}x{w}, steps of 1 or more"
        )
    }
    Ok(((h - start.0).div_ceil(step.0), (w - start.1).div_ceil(step.1)))
}

/// The result of an upsampling.
pub(crate) fn upsample(op: &str, xs: &Tensor, factor: (usize, usize)) -> Result<(usize, usize)> {
    let (b, c, h, w) = images(op, xs)?;
    if factor.0 == 0 || factor.1 == 0 {
        bail!("{op}: found factors {factor:?}, expected 1 or more")
    }
    size(op, b * c, (h.checked_mul(factor.0), w.checked_mul(factor.1)))
}

/// An error unless all have the dimensions of the first but for their units.
pub(crate) fn concat(parts: &[&Tensor]) -> Result<()> {
    let Some(first) = parts.first() else { bail!("concat: found no tensor, expected at least one") };
    if first.rank() < 2 {
        bail!("concat: the first tensor has shape {:?}, expected units in dimension 1", first.dims())
    }
    for (at, part) in parts.iter().enumerate() {
        let mut expected = first.dims().to_vec();
        expected[1] = part.dims().get(1).copied().unwrap_or(expected[1]);
        expect_dims("concat", &format!("tensor {at}"), part, &expected)?;
    }
    Ok(())
}

/// Whether the second factor of a product is one number for each channel of the first, (b, c) or (b, c, 1, 1), and not
/// a tensor of the same shape.
pub(crate) fn is_gate(xs: &Tensor, gate: &Tensor) -> Result<bool> {
    if xs.dims() == gate.dims() {
        return Ok(false);
    }
    if let &[b, c, _, _] = xs.dims() {
        if gate.dims() != [b, c] && gate.dims() != [b, c, 1, 1] {
            let found = gate.dims();
            bail!("mul: b has shape {found:?}, expected {:?}, [{b}, {c}] or [{b}, {c}, 1, 1]", xs.dims())
        }
        return Ok(true);
    }
    expect_dims("mul", "b", gate, xs.dims()).map(|()| false)
}

/// An error unless there is a slope for each unit in dimension 1.
pub(crate) fn prelu(xs: &Tensor, slope: &Tensor) -> Result<()> {
    units("prelu", xs)?;
    expect_dims("prelu", "slope", slope, &[xs.dims()[1]])
}

/// An error unless there are units in dimension 1.
pub(crate) fn units(op: &str, xs: &Tensor) -> Result<()> {
    if xs.rank() < 2 {
        bail!("{op}: xs has shape {:?}, expected units in dimension 1", xs.dims())
    }
    Ok(())
}

/// Shapes: xs (b, i), weight (o, i), bias (o,).
pub(crate) fn linear(op: &str, xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    expect_rank(op, "xs", xs, &[2])?;
    expect_rank(op, "weight", weight, &[2])?;
    let (i, o) = (xs.dim(1)?, weight.dim(0)?);
    expect_dims(op, "weight", weight, &[o, i])?;
    bias.map_or(Ok(()), |bias| expect_dims(op, "bias", bias, &[o]))
}

/// Labels on another device than the CPU are not looked at: that would wait for the device.
pub(crate) fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<()> {
    expect_rank("cross_entropy", "logits", logits, &[2])?;
    let (b, classes) = logits.dims2()?;
    expect_dims("cross_entropy", "labels", labels, &[b])?;
    if labels.dtype() != DType::U32 {
        bail!("cross_entropy: labels are {:?}, expected U32", labels.dtype())
    }
    if b == 0 || classes == 0 {
        bail!("cross_entropy: logits have shape {:?}, expected at least one example and class", logits.dims())
    }
    let labels = if labels.device().is_cpu() { labels.to_vec1::<u32>()? } else { Vec::new() };
    match labels.iter().find(|&&label| label as usize >= classes) {
        Some(label) => bail!("cross_entropy: found label {label}, expected labels below {classes}"),
        None => Ok(()),
    }
}

/// An error unless the shapes are equal and `p` is a probability below 1.
pub(crate) fn dropout(xs: &Tensor, noise: &Tensor, p: f32) -> Result<()> {
    expect_dims("dropout", "noise", noise, xs.dims())?;
    if !(0.0..1.0).contains(&p) {
        bail!("dropout: p is {p}, expected 0 <= p < 1")
    }
    Ok(())
}

pub(crate) fn norm(op: &str, xs: &Tensor, vectors: &[(&str, &Tensor)], after: After) -> Result<()> {
    expect_rank(op, "xs", xs, &[2, 4])?;
    after.plus.map_or(Ok(()), |plus| expect_dims(op, "plus", plus, xs.dims()))?;
    vectors.iter().try_for_each(|(what, v)| expect_dims(op, what, v, &[xs.dims()[1]]))
}

/// An error unless selections and scales have the numbers of rows and columns of the weight, (o, i, ..).
pub(crate) fn select(
    weight: &Tensor,
    rows: &Selection,
    cols: &Selection,
    row_scale: Option<&Tensor>,
    col_scale: Option<&Tensor>,
) -> Result<()> {
    if weight.rank() < 2 || weight.dims()[..2] != [rows.total(), cols.total()] {
        let dims = weight.dims();
        bail!("select: weight has shape {dims:?}, expected [{}, {}, ..]", rows.total(), cols.total())
    }
    for (what, scale, units) in [("row scale", row_scale, rows), ("column scale", col_scale, cols)] {
        if let Some(scale) = scale {
            expect_dims("select", what, scale, &[units.total()])?;
        }
    }
    Ok(())
}

pub(crate) fn select_vector(vector: &Tensor, rows: &Selection, scale: Option<&Tensor>) -> Result<()> {
    expect_dims("select_vector", "vector", vector, &[rows.total()])?;
    scale.map_or(Ok(()), |scale| expect_dims("select_vector", "scale", scale, &[rows.total()]))
}

/// The dimensions of `xs`, (b, c, h, w), if they hold a window of side `size`.
pub(crate) fn max_pool2d(xs: &Tensor, size: usize) -> Result<(usize, usize, usize, usize)> {
    expect_rank("max_pool2d", "xs", xs, &[4])?;
    let (b, c, h, w) = xs.dims4()?;
    if size == 0 || h < size || w < size {
        bail!("max_pool2d: found an image of {h}x{w}, expected at least one window of side {size} (1 or more)")
    }
    Ok((b, c, h, w))
}
