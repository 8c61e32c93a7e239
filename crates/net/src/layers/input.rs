//! What a network is given.

use serde::{Deserialize, Serialize};

use super::{Reads, Rules, Sources, SpaceOf};
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::{Place, Result, Shape, Unit};

/// What the network is given, without the batch: (features,) or (c, h, w).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The shape of one example.
    pub shape: Vec<usize>,
}

impl Rules for Input {
    fn kind(&self) -> &'static str {
        "input"
    }

    fn arity(&self) -> (usize, usize) {
        (0, 0)
    }

    fn shape(&self, _: &[Shape]) -> Result<Shape, String> {
        let found = &self.shape;
        let problem =
            || format!("an input is (features) or (c, h, w), all positive and of reasonable size, found {found:?}");
        Shape::of(found).ok_or_else(problem)
    }

    fn space(&self, _: &[Shape]) -> SpaceOf {
        SpaceOf::Own
    }

    fn reads(&self, _: &[Shape], _: Shape) -> Reads {
        Reads::All
    }

    fn becomes(&self, from: &Sources) -> Vec<Unit> {
        vec![Unit::Computed; from.units]
    }

    fn depends(&self, _: &crate::weights::Values, from: &super::Dependence) -> Result<Vec<bool>> {
        Ok(vec![true; from.units])
    }

    fn forward(&self, at: &mut At, _: &[&Flow]) -> Result<Flow> {
        let kept = at.entering(&l0_ops::Selection::all(at.kept().total()));
        let computed = (!kept.is_empty()).then(|| l0_ops::take(at.batch, 1, &kept)).transpose()?;
        at.entered(Flow { computed, kept, constants: None, scale: None })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, _: &[String]) -> Result<String> {
        Ok(graph.fresh(place.name))
    }
}
