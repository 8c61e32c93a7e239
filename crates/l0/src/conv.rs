//! A convolution whose output channels can be switched off.
//!
//! `y_o = z_o (x * W_o + b_o)`, with `*` a cross-correlation and one hard concrete gate z_o in \[0, 1\] for each
//! channel o, which switches its bias too; or one gate for each weight, which leaves the bias alone.
//!
//! The authors' code drops the bias in training but not in evaluation; here both compute the formula.

use candle_core::{Result, Tensor, bail};
use candle_nn::{Conv2d, Conv2dConfig, ModuleT, VarBuilder};
use l0_ops::Selection;

use crate::gated::{Made, Parts};
use crate::layer::{Noise, open_gates};
use crate::{Gate, GatedLayer, Granularity, LayerConfig, Side, gate, init, shrink};

/// A gated convolution; `forward_t(xs, true)` draws gates, `forward_t(xs, false)` takes their test values.
#[derive(Debug, Clone)]
pub struct L0Conv2d {
    parts: Parts,
    config: Conv2dConfig,
}

/// A new layer with square windows of side `kernel` and parameters "weight" (He normal), "bias" (0) and "log_alpha" in
/// `vb`, whose prefix names its noise.
///
/// # Errors
/// If a size is 0, `vb` holds other shapes, or dilation or groups are not 1.
pub fn l0_conv2d(
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
    config: Conv2dConfig,
    cfg: LayerConfig,
    vb: VarBuilder,
) -> Result<L0Conv2d> {
    let sizes =
        [("input channels", in_channels), ("output channels", out_channels), ("pixels of a kernel's side", kernel)];
    init::expect_sizes("a gated convolution", &sizes)?;
    let shape = (out_channels, in_channels, kernel, kernel);
    let deviation = (2.0 / (in_channels * kernel * kernel) as f64).sqrt();
    let weight = init::normal(&vb, shape, "weight", 0.0, deviation, cfg.gate.seed)?;
    let bias = if cfg.bias { Some(vb.get_with_hints(out_channels, "bias", candle_nn::init::ZERO)?) } else { None };
    let gate = match cfg.granularity {
        Granularity::Unit => gate(out_channels, &cfg.gate, vb.clone())?,
        Granularity::Weight => gate(shape, &cfg.gate, vb.clone())?,
    };
    let layer = L0Conv2d::new(weight, bias, gate, config, cfg)?;
    Ok(layer.with_noise(Noise::new(cfg.gate.seed, vb.prefix())))
}

impl L0Conv2d {
    /// A layer of these tensors: weight (out, in, k, k), bias (out,), gates (out,) or in the shape of the weight. Its
    /// noise is called "conv2d"; give layers of one network names of their own by [`L0Conv2d::with_noise`].
    ///
    /// # Errors
    /// If the shapes do not belong together, the stride is 0, or dilation or groups are not 1.
    pub fn new(
        weight: Tensor,
        bias: Option<Tensor>,
        gate: Gate,
        config: Conv2dConfig,
        cfg: LayerConfig,
    ) -> Result<Self> {
        weight.dims4()?;
        let Conv2dConfig { stride, dilation, groups, .. } = config;
        if stride == 0 {
            bail!("a convolution needs a stride of at least 1, found 0")
        }
        if (dilation, groups) != (1, 1) {
            bail!("a gated convolution has dilation 1 and 1 group, found dilation {dilation} and {groups} groups")
        }
        Ok(Self { parts: Parts::new(weight, bias, gate, cfg, Side::Output, "conv2d")?, config })
    }

    /// The same layer with its noise from another address.
    pub fn with_noise(self, noise: Noise) -> Self {
        Self { parts: Parts { noise, ..self.parts }, ..self }
    }

    /// Stride and padding, as Candle has them.
    pub fn conv_config(&self) -> &Conv2dConfig {
        &self.config
    }

    /// The training pass with given noise instead of the layer's own, in the shape of the gates or (b, that shape):
    /// (b, in, h, w) -> (b, out, h', w').
    ///
    /// # Errors
    /// If shapes do not match.
    pub fn forward_with_noise(&self, xs: &Tensor, noise: &Tensor) -> Result<Tensor> {
        self.forward_with_gates(xs, &self.parts.gate.sample(noise)?)
    }

    /// The layer with given gate values, in the shape of the gates or (b, that shape).
    fn forward_with_gates(&self, xs: &Tensor, z: &Tensor) -> Result<Tensor> {
        let (batch, channels, ..) = xs.dims4()?;
        if channels != self.parts.weight.dim(1)? {
            bail!("input has {channels} channels but the layer has {} input channels", self.parts.weight.dim(1)?)
        }
        match (self.parts.cfg.granularity, self.parts.per_example(z, batch)?) {
            (Granularity::Unit, false) => self.open_maps(xs, z),
            (Granularity::Unit, true) => {
                let (batch, channels) = z.dims2()?;
                let ys = self.convolve(xs, &self.parts.weight, self.parts.bias.as_ref())?;
                ys.broadcast_mul(&z.reshape((batch, channels, 1, 1))?)
            }
            (Granularity::Weight, false) => self.convolve(xs, &(&self.parts.weight * z)?, self.parts.bias.as_ref()),
            (Granularity::Weight, true) if batch == 0 => {
                self.convolve(xs, &self.parts.weight, self.parts.bias.as_ref())
            }
            (Granularity::Weight, true) => {
                let of_example = |i: usize| {
                    self.convolve(&xs.narrow(0, i, 1)?, &(&self.parts.weight * z.get(i)?)?, self.parts.bias.as_ref())
                };
                Tensor::cat(&(0..batch).map(of_example).collect::<Result<Vec<_>>>()?, 0)
            }
        }
    }

    fn convolve(&self, xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        l0_ops::conv2d(xs, weight, bias, self.config.stride, self.config.padding)
    }

    /// Closed channels are not computed but filled with zeros: exact, forward and backward.
    fn open_maps(&self, xs: &Tensor, z: &Tensor) -> Result<Tensor> {
        let (out_channels, in_channels, kh, kw) = self.parts.weight.dims4()?;
        let open = open_gates(z)?;
        let (batch, _, h, w) = xs.dims4()?;
        let full = (batch, out_channels, self.out_size(h, kh)?, self.out_size(w, kw)?);
        if open.is_empty() {
            return Tensor::zeros(full, xs.dtype(), xs.device());
        }
        let weight = l0_ops::select(&self.parts.weight, &open, &Selection::all(in_channels), Some(z), None)?;
        let bias = self.parts.bias.as_ref().map(|bias| l0_ops::select_vector(bias, &open, Some(z))).transpose()?;
        let ys = self.convolve(xs, &weight, bias.as_ref())?;
        match open.indices() {
            Some(kept) => {
                let zeros = Tensor::zeros(full, xs.dtype(), xs.device())?;
                zeros.index_add(&Tensor::new(kept, xs.device())?, &ys.contiguous()?, 1)
            }
            None => Ok(ys),
        }
    }

    /// Pixels of a side of the output.
    fn out_size(&self, size: usize, kernel: usize) -> Result<usize> {
        let Conv2dConfig { stride, padding, .. } = self.config;
        match (size + 2 * padding).checked_sub(kernel) {
            Some(room) => Ok(room / stride + 1),
            None => bail!("a window of {kernel} does not fit on {size} pixels with padding {padding}"),
        }
    }

    /// A plain Candle layer of the same shape that computes what this one does in evaluation.
    ///
    /// # Errors
    /// As for [`Gate::test_values`].
    pub fn to_plain(&self) -> Result<Conv2d> {
        let z = self.parts.gates(0, false)?;
        let (weight, bias) = (self.parts.weight.detach(), self.parts.bias.as_ref().map(Tensor::detach));
        let (weight, bias) = match self.parts.cfg.granularity {
            Granularity::Unit => {
                let per_map = z.reshape((z.elem_count(), 1, 1, 1))?;
                (weight.broadcast_mul(&per_map)?, bias.map(|bias| bias * &z).transpose()?)
            }
            Granularity::Weight => ((weight * z)?, bias),
        };
        Ok(Conv2d::new(weight, bias, self.config))
    }

    /// A plain, smaller Candle layer of the input and output channels in the lists, as in [`shrink`]: inputs that are
    /// made, outputs as [`GatedLayer::kept`] lists them, or fewer if not all are read.
    ///
    /// # Errors
    /// As for [`L0Conv2d::to_plain`] and [`shrink::conv2d`].
    pub fn shrunk(&self, inputs: &[u32], outputs: &[u32]) -> Result<Conv2d> {
        shrink::conv2d(&self.to_plain()?, inputs, outputs)
    }
}

impl ModuleT for L0Conv2d {
    /// (b, in, h, w) -> (b, out, h', w') with h' = (h + 2 padding - k) / stride + 1.
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        self.forward_with_gates(xs, &self.parts.gates(xs.dim(0)?, train)?)
    }
}

impl GatedLayer for L0Conv2d {}

impl Made for L0Conv2d {
    fn parts(&self) -> &Parts {
        &self.parts
    }
}

#[cfg(test)]
mod tests;
