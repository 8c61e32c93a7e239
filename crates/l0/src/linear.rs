//! A fully connected layer whose input units can be switched off.
//!
//! `y = (x * z) W^T + b`, with one hard concrete gate z_j in \[0, 1\] for each input unit j, or `y = x (W * z)^T + b`
//! with one for each weight. The bias has no gate.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use l0::{Gate, HardConcrete, L0Linear, LayerConfig};
//! # fn main() -> candle_core::Result<()> {
//! let cpu = &Device::Cpu;
//! let weight = Tensor::new(&[[1f32, 10.0, 100.0]], cpu)?; // (out 1, in 3)
//! // At test time these gates are 1, 1/2 and 0 (eq. 13): 2 * 1 + 2 * 10 / 2 + 2 * 100 * 0 = 12.
//! let gate = Gate::new(Tensor::new(&[3f32, 0.0, -3.0], cpu)?, HardConcrete::default())?;
//! let layer = L0Linear::new(weight, None, gate, LayerConfig::default())?;
//! let ys = layer.forward_t(&Tensor::full(2f32, (1, 3), cpu)?, false)?;
//! assert_eq!(ys.to_vec2::<f32>()?, [[12.0]]);
//! # Ok(())
//! # }
//! # use candle_nn::ModuleT;
//! ```

use candle_core::{Result, Tensor, bail};
use candle_nn::{Linear, ModuleT, VarBuilder};
use l0_ops::Selection;

use crate::gated::{Made, Parts};
use crate::layer::{Noise, open_gates};
use crate::{Gate, GatedLayer, Granularity, LayerConfig, Side, gate, init, shrink};

/// A gated fully connected layer; `forward_t(xs, true)` draws gates, `forward_t(xs, false)` takes their test values.
#[derive(Debug, Clone)]
pub struct L0Linear(Parts);

/// A new layer with parameters "weight" (He normal), "bias" (0) and "log_alpha" in `vb`, whose prefix names its noise.
///
/// # Errors
/// If a size is 0, the configuration cannot mean anything, or `vb` holds other shapes.
pub fn l0_linear(in_dim: usize, out_dim: usize, cfg: LayerConfig, vb: VarBuilder) -> Result<L0Linear> {
    init::expect_sizes("a gated linear layer", &[("inputs", in_dim), ("outputs", out_dim)])?;
    let deviation = (2.0 / in_dim as f64).sqrt();
    let weight = init::normal(&vb, (out_dim, in_dim), "weight", 0.0, deviation, cfg.gate.seed)?;
    let bias = if cfg.bias { Some(vb.get_with_hints(out_dim, "bias", candle_nn::init::ZERO)?) } else { None };
    let gate = match cfg.granularity {
        Granularity::Unit => gate(in_dim, &cfg.gate, vb.clone())?,
        Granularity::Weight => gate((out_dim, in_dim), &cfg.gate, vb.clone())?,
    };
    Ok(L0Linear::new(weight, bias, gate, cfg)?.with_noise(Noise::new(cfg.gate.seed, vb.prefix())))
}

impl L0Linear {
    /// A layer of these tensors: weight (out, in), bias (out,), gates (in,) or (out, in). Its noise is called "linear";
    /// give layers of one network names of their own by [`L0Linear::with_noise`].
    ///
    /// # Errors
    /// If the shapes do not belong together.
    pub fn new(weight: Tensor, bias: Option<Tensor>, gate: Gate, cfg: LayerConfig) -> Result<Self> {
        weight.dims2()?;
        Ok(Self(Parts::new(weight, bias, gate, cfg, Side::Input, "linear")?))
    }

    /// The same layer with its noise from another address.
    pub fn with_noise(self, noise: Noise) -> Self {
        Self(Parts { noise, ..self.0 })
    }

    /// The training pass with given noise instead of the layer's own, in the shape of the gates or (b, that shape):
    /// (b, .., in) -> (b, .., out).
    ///
    /// # Errors
    /// If shapes do not match.
    pub fn forward_with_noise(&self, xs: &Tensor, noise: &Tensor) -> Result<Tensor> {
        self.forward_with_gates(xs, &self.0.gate.sample(noise)?)
    }

    /// The layer with given gate values, in the shape of the gates or (b, that shape): (b, .., in) -> (b, .., out).
    fn forward_with_gates(&self, xs: &Tensor, z: &Tensor) -> Result<Tensor> {
        let (out_dim, in_dim) = self.0.weight.dims2()?;
        let dims = xs.dims();
        let (Some((&last, lead)), true) = (dims.split_last(), dims.len() > 1) else {
            bail!("a linear layer takes (b, .., in), found {dims:?}")
        };
        if last != in_dim {
            bail!("input has {last} features but the layer has {in_dim} inputs")
        }
        let ys = match (self.0.cfg.granularity, self.0.per_example(z, dims[0])?) {
            (Granularity::Unit, false) => self.open_inputs(&xs.reshape(((), in_dim))?, z)?,
            (Granularity::Unit, true) => {
                self.plain_pass(&scale_examples(xs, z)?.reshape(((), in_dim))?, &self.0.weight)?
            }
            (Granularity::Weight, false) => self.plain_pass(&xs.reshape(((), in_dim))?, &(&self.0.weight * z)?)?,
            (Granularity::Weight, true) if dims[0] == 0 => Tensor::zeros((0, out_dim), xs.dtype(), xs.device())?,
            (Granularity::Weight, true) => self.weight_per_example(xs, z)?,
        };
        ys.reshape([lead, &[out_dim]].concat())
    }

    fn plain_pass(&self, xs: &Tensor, weight: &Tensor) -> Result<Tensor> {
        l0_ops::linear(xs, weight, self.0.bias.as_ref())
    }

    /// Closed inputs left out of the product: exact, as they add nothing, forward or backward.
    fn open_inputs(&self, xs: &Tensor, z: &Tensor) -> Result<Tensor> {
        let (out_dim, open) = (self.0.weight.dim(0)?, open_gates(z)?);
        if open.is_empty() {
            let zeros = Tensor::zeros((xs.dim(0)?, out_dim), xs.dtype(), xs.device())?;
            return match &self.0.bias {
                Some(bias) => zeros.broadcast_add(bias),
                None => Ok(zeros),
            };
        }
        let weight = l0_ops::select(&self.0.weight, &Selection::all(out_dim), &open, None, Some(z))?;
        self.plain_pass(&l0_ops::take(xs, 1, &open)?, &weight)
    }

    /// A weight of its own for each example: xs (b, .., in), z (b, out, in) -> (rows, out).
    fn weight_per_example(&self, xs: &Tensor, z: &Tensor) -> Result<Tensor> {
        let (out_dim, in_dim) = self.0.weight.dims2()?;
        let weights = z.broadcast_mul(&self.0.weight)?.transpose(1, 2)?.contiguous()?; // (b, in, out)
        let xs = xs.reshape((xs.dim(0)?, (), in_dim))?; // (b, rows, in)
        let ys = xs.matmul(&weights)?.reshape(((), out_dim))?;
        match &self.0.bias {
            Some(bias) => ys.broadcast_add(bias),
            None => Ok(ys),
        }
    }

    /// A plain Candle layer of the same shape that computes what this one does in evaluation.
    ///
    /// # Errors
    /// As for [`Gate::test_values`].
    pub fn to_plain(&self) -> Result<Linear> {
        let z = self.0.gates(0, false)?; // (in,) or (out, in)
        let weight = self.0.weight.detach().broadcast_mul(&z)?;
        Ok(Linear::new(weight, self.0.bias.as_ref().map(Tensor::detach)))
    }

    /// A plain, smaller Candle layer of the inputs and outputs in the lists, as in [`shrink`]: inputs as
    /// [`GatedLayer::kept`] lists them, or fewer if less is made of them; outputs that are read.
    ///
    /// # Errors
    /// As for [`L0Linear::to_plain`] and [`shrink::linear`].
    pub fn shrunk(&self, inputs: &[u32], outputs: &[u32]) -> Result<Linear> {
        shrink::linear(&self.to_plain()?, inputs, outputs)
    }
}

/// xs (b, .., in) times z (b, in).
fn scale_examples(xs: &Tensor, z: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; xs.rank()];
    (shape[0], shape[xs.rank() - 1]) = z.dims2()?;
    xs.broadcast_mul(&z.reshape(shape)?)
}

impl ModuleT for L0Linear {
    /// (b, .., in) -> (b, .., out).
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        self.forward_with_gates(xs, &self.0.gates(xs.dim(0)?, train)?)
    }
}

impl GatedLayer for L0Linear {}

impl Made for L0Linear {
    fn parts(&self) -> &Parts {
        &self.0
    }
}

#[cfg(test)]
mod tests;
