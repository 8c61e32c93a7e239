//! Dropout: in training, values are 0 with probability `p` and scaled by 1 / (1 - p) otherwise.

use serde::{Deserialize, Serialize};

use super::Rules;
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::{Mode, Place, Result, Shape, Unit};

/// In training, values are zero with probability `p` and scaled by 1 / (1 - p) otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// The share of values dropped.
    pub p: f64,
}

impl Rules for Dropout {
    fn kind(&self) -> &'static str {
        "dropout"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if (0.0..1.0).contains(&self.p) {
            Ok(inputs[0])
        } else {
            Err(format!("dropout expects 0 <= p < 1, found {}", self.p))
        }
    }

    /// A constant that is dropped for some examples is none.
    fn unit(&self, unit: Unit, training: bool) -> Unit {
        if training && unit == Unit::Constant { Unit::Computed } else { unit }
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        match at.mode {
            Mode::Eval => at.aligned(inputs[0]),
            Mode::Train(noise) => {
                let xs = at.expanded(0, inputs[0])?;
                let noise = noise(at.name());
                at.computed(|_| l0_ops::dropout_from(&xs, noise.clone(), self.p as f32))
            }
        }
    }

    fn to_onnx(&self, _: &mut Graph, _: &Place, inputs: &[String]) -> Result<String> {
        Ok(inputs[0].clone())
    }
}
