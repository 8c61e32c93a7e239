//! Passes its input on under a space of its own. Before a sum it keeps the space of a branch apart from the one that
//! the terms share: a unit closed before it leaves the sum, and a unit closed behind it leaves all terms.

use serde::{Deserialize, Serialize};

use super::{Rules, SpaceOf};
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::{Place, Result, Shape};

/// Passes its input on under a space of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity;

impl Rules for Identity {
    fn kind(&self) -> &'static str {
        "identity"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn space(&self, _: &[Shape]) -> SpaceOf {
        SpaceOf::Own
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let input = at.varying(0, inputs[0])?;
        at.entered(at.aligned(&input)?)
    }

    fn to_onnx(&self, _: &mut Graph, _: &Place, inputs: &[String]) -> Result<String> {
        Ok(inputs[0].clone())
    }
}
