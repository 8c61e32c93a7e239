//! The numbers of a convolution, and what its arguments must be.

use candle_core::{Result, Tensor, bail};

use crate::check::size;
use crate::cpu::{expect_dims, expect_rank};
use crate::maxima::Windows;
use crate::settings::{ConvSettings, Epilogue, TransposedSettings};

/// The numbers of a convolution, named as in the equation at the top of [`conv`](super). Channels are those of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) b: usize,
    pub(crate) groups: usize,
    pub(crate) ic: usize,
    pub(crate) ih: usize,
    pub(crate) iw: usize,
    pub(crate) oc: usize,
    pub(crate) kh: usize,
    pub(crate) kw: usize,
    /// Each of these is for rows and for columns. A stride may lead far beyond the image: who makes room for a stride
    /// holds it to what is met.
    pub(crate) stride: (usize, usize),
    pub(crate) dilation: (usize, usize),
    /// Zeros above and left of the image, and below and right of it.
    pub(crate) before: (usize, usize),
    pub(crate) after: (usize, usize),
    pub(crate) oh: usize,
    pub(crate) ow: usize,
    pub(crate) relu: bool,
    pub(crate) pool: usize,
    /// Whether the bias has a number for each position of each channel, and not one for each channel.
    pub(crate) bias_map: bool,
    pub(crate) path: Path,
}

/// The ways to compute a convolution (docs/decisions/010-direct-convolution.md).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path {
    /// As matrix products, image by image.
    Products,
    /// Eight images side by side.
    Direct,
    /// Plane by plane, where each channel is read by its own kernels alone.
    Depthwise,
}

impl Path {
    /// Below four images most of a vector of eight would be idle. Pooling after a depthwise convolution is not fused.
    fn choose(b: usize, groups: usize, ic: usize, pool: usize) -> Self {
        match b {
            _ if groups > 1 && ic == 1 && pool == 1 => Self::Depthwise,
            0..4 => Self::Products,
            _ => Self::Direct,
        }
    }
}

impl Geometry {
    /// Numbers of the input channels of a group.
    pub(crate) fn group_image(&self) -> usize {
        self.ic * self.ih * self.iw
    }

    /// Numbers of an input image.
    pub(crate) fn image(&self) -> usize {
        self.groups * self.group_image()
    }

    /// Output channels of all groups.
    pub(crate) fn maps(&self) -> usize {
        self.groups * self.oc
    }

    /// Weights of an output channel.
    pub(crate) fn depth(&self) -> usize {
        self.ic * self.kh * self.kw
    }

    /// Weights of a group.
    pub(crate) fn weights(&self) -> usize {
        self.oc * self.depth()
    }

    /// Numbers of the bias of a channel.
    pub(crate) fn bias_plane(&self) -> usize {
        if self.bias_map { self.oh * self.ow } else { 1 }
    }

    /// Numbers of a plane of ys.
    pub(crate) fn pooled(&self) -> usize {
        (self.oh / self.pool) * (self.ow / self.pool)
    }

    /// Numbers of the result of an image.
    pub(crate) fn out(&self) -> usize {
        self.maps() * self.pooled()
    }

    /// Stride and padding, if they are the same on all sides and the kernel has neither gaps nor groups.
    #[cfg(feature = "cuda")]
    pub(crate) fn square(&self) -> Option<(usize, usize)> {
        let ((stride, other), (padding, left)) = (self.stride, self.before);
        let same = stride == other && padding == left && self.before == self.after;
        (same && self.dilation == (1, 1) && self.groups == 1).then_some((stride, padding))
    }

    /// The windows of the pooling.
    pub(crate) fn windows(&self) -> Windows {
        Windows { size: self.pool, h: self.oh, w: self.ow }
    }

    /// Of checked arguments of [`conv`](super::conv).
    pub(crate) fn of(
        xs: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        settings: &ConvSettings,
        epilogue: Epilogue,
    ) -> Result<Self> {
        expect_rank("conv2d", "xs", xs, &[4])?;
        expect_rank("conv2d", "weight", weight, &[4])?;
        let ((b, ic, ih, iw), (oc, _, kh, kw)) = (xs.dims4()?, weight.dims4()?);
        let ConvSettings { stride, padding: [top, left, bottom, right], dilation, groups } = *settings;
        if groups == 0 || !ic.is_multiple_of(groups) || !oc.is_multiple_of(groups) {
            bail!("conv2d: found {groups} groups, expected a number that divides {ic} input and {oc} output channels")
        }
        let ic = ic / groups;
        expect_dims("conv2d", "weight", weight, &[oc, ic, kh, kw])?;
        let rows = side(ih, (top, bottom), kh, stride.0, dilation.0);
        let columns = side(iw, (left, right), kw, stride.1, dilation.1);
        let (Some(oh), Some(ow)) = (rows, columns) else {
            let (h, w) = (ih.saturating_add(top).saturating_add(bottom), iw.saturating_add(left).saturating_add(right));
            let (stride, gaps) = (pair(stride), if dilation == (1, 1) { "".into() } else { dilated(dilation) });
            bail!(
                "conv2d: found a kernel of {kh}x{kw}{gaps} and stride {stride} on a padded image of {h}x{w}, expected 1 or more of each and a kernel that fits"
            )
        };
        size("conv2d", b * oc, (Some(oh), Some(ow)))?;
        size("conv2d", b * ic * groups, (Some(ih + top + bottom), Some(iw + left + right)))?;
        let bias_map = bias.is_some_and(|bias| bias.rank() == 3);
        if let Some(bias) = bias {
            expect_dims("conv2d", "bias", bias, &[oc, oh, ow][..if bias_map { 3 } else { 1 }])?;
        }
        let Epilogue { relu, max_pool: pool } = epilogue;
        if pool == 0 || oh < pool || ow < pool {
            bail!("conv2d: found outputs of {oh}x{ow}, expected at least one pooling window of side {pool} (1 or more)")
        }
        let oc = oc / groups;
        let (before, after) = ((top, left), (bottom, right));
        let path = Path::choose(b, groups, ic, pool);
        Ok(Self {
            b,
            groups,
            ic,
            ih,
            iw,
            oc,
            kh,
            kw,
            stride,
            dilation,
            before,
            after,
            oh,
            ow,
            relu,
            pool,
            bias_map,
            path,
        })
    }

    /// The convolution whose gradient with respect to its images is the transposed convolution of these checked
    /// arguments: its images are the results of that, its outputs the images.
    pub(crate) fn transposed(
        xs: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        settings: &TransposedSettings,
    ) -> Result<Self> {
        expect_rank("conv_transpose", "xs", xs, &[4])?;
        expect_rank("conv_transpose", "weight", weight, &[4])?;
        let ((b, oc, oh, ow), (_, ic, kh, kw)) = (xs.dims4()?, weight.dims4()?);
        let TransposedSettings { stride, padding: [top, left, bottom, right], output_padding, dilation, groups } =
            *settings;
        if groups == 0 || !oc.is_multiple_of(groups) {
            bail!("conv_transpose: found {groups} groups, expected a number that divides {oc} input channels")
        }
        expect_dims("conv_transpose", "weight", weight, &[oc, ic, kh, kw])?;
        let rows = transposed_side(oh, (top, bottom), kh, stride.0, dilation.0, output_padding.0);
        let columns = transposed_side(ow, (left, right), kw, stride.1, dilation.1, output_padding.1);
        let (Some(ih), Some(iw)) = (rows, columns) else {
            bail!(
                "conv_transpose: found an image of {oh}x{ow}, a kernel of {kh}x{kw}, stride {}{}, padding {:?} and output padding {}, expected 1 or more of each number but paddings, and a result that has pixels",
                pair(stride),
                dilated(dilation),
                settings.padding,
                pair(output_padding)
            )
        };
        size("conv_transpose", b * ic * groups, (Some(ih), Some(iw)))?;
        let bias_map = bias.is_some_and(|bias| bias.rank() == 3);
        if let Some(bias) = bias {
            expect_dims("conv_transpose", "bias", bias, &[ic * groups, ih, iw][..if bias_map { 3 } else { 1 }])?;
        }
        let oc = oc / groups;
        let (before, after, relu, pool, bias_map) = ((top, left), (bottom, right), false, 1, false);
        let path = Path::choose(b, groups, ic, 1);
        Ok(Self {
            b,
            groups,
            ic,
            ih,
            iw,
            oc,
            kh,
            kw,
            stride,
            dilation,
            before,
            after,
            oh,
            ow,
            relu,
            pool,
            bias_map,
            path,
        })
    }
}

/// "2", or "2x1" for two numbers that differ.
fn pair((rows, columns): (usize, usize)) -> String {
    if rows == columns { rows.to_string() } else { format!("{rows}x{columns}") }
}

fn dilated(dilation: (usize, usize)) -> String {
    format!(", dilation {}", pair(dilation))
}

/// Rows from the first to the last of a kernel.
fn extent(k: usize, dilation: usize) -> Option<usize> {
    k.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)
}

/// Outputs along a side.
fn side(n: usize, (before, after): (usize, usize), k: usize, stride: usize, dilation: usize) -> Option<usize> {
    let room = n.checked_add(before)?.checked_add(after)?.checked_sub(extent(k, dilation)?)?;
    (dilation > 0).then_some(room.checked_div(stride)? + 1)
}

/// Outputs of a transposed convolution along a side.
fn transposed_side(
    n: usize,
    (before, after): (usize, usize),
    k: usize,
    stride: usize,
    dilation: usize,
    more: usize,
) -> Option<usize> {
    let spread = n.checked_sub(1)?.checked_mul(stride)?.checked_add(extent(k, dilation)?)?.checked_add(more)?;
    let n = spread.checked_sub(before.checked_add(after)?)?;
    (stride > 0 && dilation > 0 && n > 0).then_some(n)
}
