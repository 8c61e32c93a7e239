//! Batch normalisation: `ys = (xs - mean) / sqrt(var + eps) scale + shift` for each unit, statistics over the batch and
//! all positions in training, running ones afterwards.
//!
//! In training, a channel that is the same everywhere has its own value as mean, so it becomes `shift`. Afterwards it
//! becomes `shift + (c - running_mean) scale / sqrt(running_var + eps)`.

use candle_core::Tensor;
use l0_ops::{BatchNormed, Epilogue, Selection};
use serde::{Deserialize, Serialize};

use super::facts::{Declared, then_relu};
use super::{Dependence, Rules, Work};
use crate::forward::{At, Flow, beside};
use crate::onnx::Graph;
use crate::weights::Values;
use crate::{Mode, Place, Result, Role, Shape, Unit};

/// What a BatchNorm makes of a channel that is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedChannels {
    /// What the formula says: a constant, `shift` in training and `shift - mean * scale / sqrt(var + eps)` afterwards.
    Constant,
    /// A closed channel stays zero, and leaves the statistics alone. A channel can then not be closed for some examples
    /// alone: [`Net::forward`](crate::Net::forward) refuses a [`Mask::PerExample`](crate::Mask::PerExample) on such
    /// channels.
    Zero,
}

/// Batch normalisation per unit. A batch of one example of features, or of an image of one position, becomes its
/// shift, teaches the running mean, and leaves the running variance as it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the newest batch in the running statistics.
    pub momentum: f64,
    /// What becomes of closed channels.
    pub closed: ClosedChannels,
}

impl Default for BatchNorm {
    /// PyTorch's constants; closed channels become what the formula says.
    fn default() -> Self {
        Self { eps: 1e-5, momentum: 0.1, closed: ClosedChannels::Constant }
    }
}

/// Scale, shift, running mean and running variance of some units.
struct Parts {
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    var: Tensor,
}

impl Rules for BatchNorm {
    fn kind(&self) -> &'static str {
        "batch norm"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let Self { eps, momentum, .. } = self;
        if *eps > 0.0 && (0.0..=1.0).contains(momentum) {
            return Ok(inputs[0]);
        }
        Err(format!("batch norm expects eps > 0 and 0 <= momentum <= 1, found {eps} and {momentum}"))
    }

    fn parameters(&self, inputs: &[Shape], _: Shape) -> Vec<Declared> {
        let each = |leaf, role, value| Declared::each(leaf, role, inputs[0].units(), value);
        vec![
            each("weight", Role::Norm, 1.0),
            each("bias", Role::Norm, 0.0),
            each("running_mean", Role::Statistic, 0.0),
            each("running_var", Role::Statistic, 1.0),
        ]
    }

    fn unit(&self, unit: Unit, _: bool) -> Unit {
        match (unit, self.closed) {
            (Unit::Zero, ClosedChannels::Constant) => Unit::Constant,
            (unit, _) => unit,
        }
    }

    fn work(&self, _: &[Shape], output: Shape) -> Option<Work> {
        Some(Work::unit(2, 2 * output.positions()))
    }

    fn depends(&self, values: &Values, from: &Dependence) -> Result<Vec<bool>> {
        from.scaled(values)
    }

    fn fuse(&self, so_far: Epilogue, next: Epilogue) -> Option<Epilogue> {
        then_relu(so_far, next)
    }

    fn fuses_sum(&self) -> bool {
        true
    }

    fn row_dim(&self) -> Option<usize> {
        Some(0)
    }

    fn bias(&self) -> Option<bool> {
        Some(true)
    }

    fn keeps_closed_zero(&self) -> bool {
        self.closed == ClosedChannels::Zero
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let input = at.aligned(inputs[0])?;
        match at.mode {
            Mode::Eval => self.evaluate(at, &input),
            Mode::Train(_) => self.train(at, &input),
        }
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let stored = graph.stored(place.name, &["weight", "bias", "running_mean", "running_var"])?;
        let inputs = [inputs, &stored].concat();
        Ok(graph.operator("BatchNormalization", place.name, &inputs, &[("epsilon", (self.eps as f32).into())]))
    }
}

impl BatchNorm {
    /// The parameters of the units of `selection`.
    fn parts(at: &At, selection: &Selection) -> Result<Parts> {
        let part = |leaf| -> Result<Tensor> { Ok(l0_ops::take(at.value(leaf)?, 0, selection)?) };
        Ok(Parts {
            scale: part("weight")?,
            shift: part("bias")?,
            mean: part("running_mean")?,
            var: part("running_var")?,
        })
    }

    /// The same, with 0 for scale and shift of closed units that are computed to fill a tile, where they stay zero.
    fn parts_of_open(&self, at: &At, kept: &Selection) -> Result<Parts> {
        let parts = Self::parts(at, kept)?;
        let open: Vec<f32> = kept.iter().map(|unit| f32::from(u8::from(!at.layer.is_filler(unit)))).collect();
        if !self.keeps_closed_zero() || !open.contains(&0.0) {
            return Ok(parts);
        }
        let open = Tensor::new(open, parts.scale.device())?;
        let all = Selection::all(kept.len());
        let masked = |values: &Tensor| l0_ops::select_vector(values, &all, Some(&open));
        Ok(Parts { scale: masked(&parts.scale)?, shift: masked(&parts.shift)?, ..parts })
    }

    /// Normalises with the running statistics.
    fn evaluate(&self, at: &At, input: &Flow) -> Result<Flow> {
        let (kept, eps, after) = (at.kept(), self.eps, at.after());
        let normed = |xs: &Tensor| -> Result<Tensor> {
            let p = Self::parts(at, kept)?;
            Ok(l0_ops::batch_norm(xs, &p.scale, &p.shift, &p.mean, &p.var, eps, after)?)
        };
        let computed = input.computed.as_ref().map(normed).transpose()?;
        let all = Self::parts(at, &Selection::all(kept.total()))?;
        let constant = |given: Option<&Tensor>| {
            let factor = (&all.scale / (&all.var + eps)?.sqrt()?)?;
            match given {
                Some(c) => {
                    let centred = c.broadcast_sub(&beside(&all.mean, c)?)?;
                    centred.broadcast_mul(&beside(&factor, c)?)?.broadcast_add(&beside(&all.shift, c)?)
                }
                None => &all.shift - (&all.mean * factor)?,
            }
        };
        let constants = Self::constants(at, constant, input)?;
        Ok(Flow { computed, kept: kept.clone(), constants, scale: None })
    }

    /// Normalises with the statistics of this batch; also says what the running statistics learn.
    fn train(&self, at: &mut At, input: &Flow) -> Result<Flow> {
        let (kept, eps, after) = (at.kept(), self.eps, at.after());
        let shift = at.value("bias")?;
        let constants = Self::constants(at, |_| Ok(shift.clone()), input)?;
        let normed = |xs: &Tensor| -> Result<BatchNormed> {
            let p = self.parts_of_open(at, kept)?;
            Ok(l0_ops::batch_norm_train(xs, &p.scale, &p.shift, eps, after)?)
        };
        let normed = input.computed.as_ref().map(normed).transpose()?;
        let learns = at.learning(self.keeps_closed_zero());
        let update = at.taught(self.momentum, &learns, input, normed.as_ref())?;
        let made = Flow { computed: normed.map(|normed| normed.ys), kept: kept.clone(), constants, scale: None };
        at.statistics.extend(update);
        Ok(made)
    }

    fn constants(
        at: &At,
        value: impl Fn(Option<&Tensor>) -> candle_core::Result<Tensor>,
        input: &Flow,
    ) -> Result<Option<Tensor>> {
        if at.layer.constants().is_empty() {
            return Ok(None);
        }
        let ys = value(input.constants.as_ref())?;
        let ys = if at.epilogue.relu { l0_ops::relu(&ys)? } else { ys };
        at.layer.masked_constants(Some(ys))
    }
}
