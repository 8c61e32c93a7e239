//! What the gated layers are made of, and the questions that all of them answer. There are no others: their tensors and
//! gates belong together in ways that only this crate can check.

use candle_core::{Result, Tensor, bail};
use candle_nn::ModuleT;

use crate::layer::Noise;
use crate::{Gate, Granularity, LayerConfig, Penalty, Sampling, Side};

/// The tensors and settings of a gated layer, checked against each other when it is made.
#[derive(Debug, Clone)]
pub struct Parts {
    pub(crate) weight: Tensor,
    pub(crate) bias: Option<Tensor>,
    pub(crate) gate: Gate,
    pub(crate) cfg: LayerConfig,
    pub(crate) noise: Noise,
    pub(crate) side: Side,
}

/// The dimension of a weight (out, in, ..) that holds the units of a side.
fn unit_dim(side: Side) -> usize {
    match side {
        Side::Input => 1,
        Side::Output | Side::Coupled => 0,
    }
}

impl Parts {
    /// Weight (out, in, ..), bias (out,), gates in the shape of the weight or one for each unit of `side`.
    pub(crate) fn new(
        weight: Tensor,
        bias: Option<Tensor>,
        gate: Gate,
        cfg: LayerConfig,
        side: Side,
        name: &str,
    ) -> Result<Self> {
        let gated = gate.log_alpha().dims();
        let units = weight.dim(unit_dim(side))?;
        match cfg.granularity {
            Granularity::Unit if gated != [units] => {
                let what = if side == Side::Input { "inputs" } else { "output channels" };
                bail!("gate has {} units but the layer has {units} {what}", gate.units())
            }
            Granularity::Weight if gated != weight.dims() => {
                bail!("gates have shape {gated:?} but the weight has {:?}", weight.dims())
            }
            _ => {}
        }
        let outputs = weight.dim(0)?;
        if let Some(bias) = bias.as_ref().filter(|bias| bias.dims() != [outputs]) {
            bail!("bias has shape {:?} but the layer has {outputs} outputs", bias.dims())
        }
        let cfg = LayerConfig { bias: bias.is_some(), ..cfg };
        Ok(Self { weight, bias, gate, cfg, noise: Noise::new(cfg.gate.seed, name), side })
    }

    /// The bias, if it is switched together with weights.
    fn gated_bias(&self) -> Option<&Tensor> {
        let with_units = self.side == Side::Output && self.cfg.granularity == Granularity::Unit;
        self.bias.as_ref().filter(|_| with_units)
    }

    /// Whether `z` holds gates for each example, of which there must then be `batch`, or one set for all.
    pub(crate) fn per_example(&self, z: &Tensor, batch: usize) -> Result<bool> {
        let each = z.rank() > self.gate.log_alpha().rank();
        if each && z.dim(0)? != batch {
            bail!("found gates for {} examples but a batch of {batch}", z.dim(0)?)
        }
        Ok(each)
    }

    /// The gates for a batch of `examples`: drawn in training, at their test values otherwise.
    pub(crate) fn gates(&self, examples: usize, train: bool) -> Result<Tensor> {
        if !train {
            return self.gate.test_values(self.cfg.estimator);
        }
        let examples = (self.cfg.sampling == Sampling::Example).then_some(examples);
        self.gate.sample(&self.gate.noise(examples, &mut self.noise.advance())?)
    }
}

/// What only the layers of this crate have.
pub trait Made {
    /// What the layer is made of.
    fn parts(&self) -> &Parts;
}

/// A layer with gates, one of this crate's own: [`L0Linear`](crate::L0Linear) or [`L0Conv2d`](crate::L0Conv2d). Totals
/// over a network are sums over its layers.
pub trait GatedLayer: ModuleT + Made {
    /// Weight before gating, (out, in) or (out, in, k, k).
    fn weight(&self) -> &Tensor {
        &self.parts().weight
    }

    /// Bias, (out,).
    fn bias(&self) -> Option<&Tensor> {
        self.parts().bias.as_ref()
    }

    /// The gates, one for each unit or in the shape of the weight.
    fn gate(&self) -> &Gate {
        &self.parts().gate
    }

    /// How the layer was set up.
    fn config(&self) -> &LayerConfig {
        &self.parts().cfg
    }

    /// Where the noise of training comes from; put its step back when a run is resumed.
    fn noise(&self) -> &Noise {
        &self.parts().noise
    }

    /// How many numbers have a gate: the sum of |g|, a channel's bias counted.
    fn gated_weights(&self) -> usize {
        self.weight().elem_count() + self.parts().gated_bias().map_or(0, Tensor::elem_count)
    }

    /// |g|, how many numbers one gate switches.
    fn group_size(&self) -> usize {
        self.gated_weights() / self.gate().units()
    }

    /// The units that are left in evaluation, counted from 0: input units of a linear layer, output channels of a
    /// convolution. With a gate for each weight it is those that have an open one, and channels whose bias, which no
    /// such gate switches, is not 0.
    ///
    /// # Errors
    /// As for [`Gate::test_values`].
    fn kept(&self) -> Result<Vec<u32>> {
        let dim = unit_dim(self.parts().side);
        let z = self.gate().test_values(self.config().estimator)?;
        let open = match self.config().granularity {
            Granularity::Unit => z.ne(0.0)?,
            Granularity::Weight => z.transpose(0, dim)?.flatten_from(1)?.ne(0.0)?.max(1)?,
        };
        let open = match self.bias().filter(|_| self.parts().side == Side::Output) {
            Some(bias) if self.parts().gated_bias().is_none() => open.maximum(&bias.detach().ne(0.0)?)?,
            _ => open,
        };
        let open: Vec<u8> = open.to_vec1()?;
        Ok((0..).zip(open).filter(|(_, open)| *open != 0).map(|(unit, _)| unit).collect())
    }

    /// What the layer adds to the objective of [`penalty`](crate::penalty), a scalar; decay of a bias that has no gate
    /// included.
    ///
    /// # Errors
    /// If Candle fails; the shapes were checked when the layer was made.
    fn penalty(&self, penalty: &Penalty) -> Result<Tensor> {
        let Parts { weight, bias, gate, cfg, side, .. } = self.parts();
        let gated_bias = self.parts().gated_bias();
        let gated = match cfg.granularity {
            Granularity::Weight => penalty.each_weight(gate, weight)?,
            Granularity::Unit => {
                let members: Vec<_> =
                    std::iter::once((weight, unit_dim(*side))).chain(gated_bias.map(|bias| (bias, 0))).collect();
                penalty.groups(gate, self.group_size(), &members)?
            }
        };
        let plain_bias = bias.as_ref().filter(|_| gated_bias.is_none());
        match penalty.ungated(plain_bias.as_slice())? {
            Some(ungated) => gated + ungated,
            None => Ok(gated),
        }
    }
}
