//! Convolution with bias and ReLU: cuDNN's three convolutions, and our kernels around them.

use std::sync::OnceLock;

use candle_core::{Result, Tensor, bail};

use super::graph::{Operands, Part, Shape, convolve};
use super::launch::{Grid, Kind, address, at, cast, device, flag, fresh, int, last, launch, long, seen, transpose};
use super::norm::column_sums;
use super::pointwise;
use crate::chain;
use crate::gradients::Backward;
use crate::portable;
use crate::settings::Epilogue;

struct Conv {
    shape: Shape,
    relu: bool,
    /// The filters in the type of the images, (o, k, k, i), kept for the way back.
    filters: OnceLock<Tensor>,
}

/// As [`crate::conv2d_epilogue`], of checked arguments.
pub(crate) fn conv2d_epilogue(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    (stride, padding): (usize, usize),
    (oh, ow): (usize, usize),
    epilogue: Epilogue,
) -> Result<Tensor> {
    let ((b, ic, ih, iw), (oc, _, kh, kw)) = (xs.dims4()?, weight.dims4()?);
    let (kind, tf32) = (Kind::of(xs)?, crate::device::is_tf32_allowed());
    let shape = Shape { b, ic, ih, iw, oc, kh, kw, stride, padding, oh, ow, kind, tf32 };
    let conv = Conv { shape, relu: epilogue.relu, filters: OnceLock::new() };
    let ys = conv.forward(xs, weight, bias)?;
    let args = [Some(xs), Some(weight), bias].into_iter().flatten().cloned().collect();
    let ys = chain::made(args, conv, ys)?;
    if epilogue.max_pool > 1 { portable::max_pool2d(&ys, epilogue.max_pool) } else { Ok(ys) }
}

impl Conv {
    fn forward(&self, xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let (s, device) = (&self.shape, device(xs)?);
        let (xs, filters) = (last(xs)?, filters(weight, s)?);
        let ys = fresh(&device, s.kind, (s.b, s.oh, s.ow, s.oc))?;
        convolve(&device, s, Part::Forward, operands(&xs, &filters, &ys)?)?;
        let _ = self.filters.set(filters);
        match bias {
            Some(bias) => add_bias(&ys, &bias.detach(), self.relu)?,
            None if self.relu => return pointwise::rectified(&ys),
            None => {}
        }
        Ok(ys)
    }
}

impl Backward for Conv {
    fn backward(&self, args: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let (s, device) = (&self.shape, device(grad)?);
        let Some(filters) = self.filters.get() else { bail!("conv2d: backward before forward") };
        let (xs, g) = (last(&args[0])?, cast(&last(grad)?, s.kind)?);
        let g = if self.relu { pointwise::closed(&last(ys)?, &g)? } else { g };
        let [wants_xs, wants_weight] = [args[0].track_op(), args[1].track_op()];
        let images = || -> Result<Tensor> {
            let dxs = fresh(&device, s.kind, (s.b, s.ih, s.iw, s.ic))?;
            convolve(&device, s, Part::Images, operands(&dxs, filters, &g)?)?;
            seen(dxs)
        };
        let weight = || -> Result<Tensor> {
            let dw = fresh(&device, s.kind, (s.oc, s.kh, s.kw, s.ic))?;
            convolve(&device, s, Part::Filters, operands(&xs, &dw, &g)?)?;
            weight_of(&dw, s, args[1].is_contiguous())
        };
        let bias = args.get(2).filter(|bias| bias.track_op()).map(|bias| bias_gradient(&g, bias));
        Ok(vec![wants_xs.then(images).transpose()?, wants_weight.then(weight).transpose()?, bias.transpose()?])
    }
}

fn operands(xs: &Tensor, filters: &Tensor, ys: &Tensor) -> Result<Operands> {
    Ok(Operands { xs: address(xs)?, filters: address(filters)?, ys: address(ys)? })
}

/// A weight, (o, i, k, k), as (o, k, k, i) in the type of the images.
fn filters(weight: &Tensor, s: &Shape) -> Result<Tensor> {
    let weight = weight.detach();
    let view = weight.permute((0, 2, 3, 1))?;
    if view.is_contiguous() {
        return cast(&view, s.kind);
    }
    let weight = weight.contiguous()?;
    let to = fresh(&device(&weight)?, s.kind, (s.oc, s.kh, s.kw, s.ic))?;
    transpose(&to, &weight, s.oc, s.ic, s.kh * s.kw)?;
    Ok(to)
}

/// Filters as the weight that they are, in `f32`: contiguous, or as a view of what they are.
fn weight_of(filters: &Tensor, s: &Shape, contiguous: bool) -> Result<Tensor> {
    if !contiguous {
        return seen(cast(filters, Kind::F32)?);
    }
    let to = fresh(&device(filters)?, Kind::F32, (s.oc, s.ic, s.kh, s.kw))?;
    transpose(&to, filters, s.oc, s.kh * s.kw, s.ic)?;
    Ok(to)
}

/// Adds a bias, (c,) or (c, h, w), to images (b, h, w, c) in place, then ReLU if asked.
fn add_bias(ys: &Tensor, bias: &Tensor, then_relu: bool) -> Result<()> {
    let (b, h, w, c) = ys.dims4()?;
    let (bias, period) = match bias.rank() {
        3 => (bias.permute((1, 2, 0))?.contiguous()?, h * w),
        _ => (bias.contiguous()?, 1),
    };
    let rows = b * h * w;
    let data = [at(ys)?, at(ys)?, Kind::of(ys)?.arg(), at(&bias)?];
    let sizes = [long(rows), int(c), int(period), flag(then_relu)];
    launch(&device(ys)?, "add_bias", Grid::each(rows * c.div_ceil(8)), &[&data[..], &sizes].concat())
}

/// The sum of g, (b, h, w, c), over the batch, and over the positions unless the bias is (c, h, w).
fn bias_gradient(g: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (b, h, w, c) = g.dims4()?;
    if bias.rank() == 3 {
        let sums = column_sums(g, b, h * w * c)?; // (h w c,)
        return sums.reshape((h, w, c))?.permute((2, 0, 1))?.contiguous();
    }
    column_sums(g, b * h * w, c)
}
