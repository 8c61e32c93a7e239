//! One number for each channel: (b, c, h, w) -> (b, c), or (b, c, 1, 1).

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::Rules;
use super::facts::even;
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::{Place, Result, Shape, Unit};

/// Which number stands for a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// The mean of its values.
    #[default]
    Mean,
    /// The largest.
    Max,
}

/// Mean or largest value of each channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlobalPool {
    /// Which number stands for a channel.
    #[serde(default, skip_serializing_if = "is_mean")]
    pub kind: PoolKind,
    /// Whether the output is an image of one position, and not features.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}

fn is_mean(kind: &PoolKind) -> bool {
    *kind == PoolKind::Mean
}

impl Rules for GlobalPool {
    fn kind(&self) -> &'static str {
        match self.kind {
            PoolKind::Mean => "average pool",
            PoolKind::Max => "global max pool",
        }
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs[0] {
            Shape::Image(c, ..) if self.keep => Ok(Shape::Image(c, 1, 1)),
            Shape::Image(c, ..) => Ok(Shape::Features(c)),
            found => Err(super::wrong(self, "a large enough image (c, h, w)", found)),
        }
    }

    fn unit(&self, unit: Unit, _: bool) -> Unit {
        even(unit)
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        at.each(inputs[0], false, |xs: &Tensor, _| {
            let ys = match self.kind {
                PoolKind::Mean => l0_ops::global_avg_pool(xs)?,
                PoolKind::Max => l0_ops::global_max_pool(xs)?,
            };
            if self.keep { ys.unsqueeze(2)?.unsqueeze(3) } else { Ok(ys) }
        })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let (kind, stem) = match self.kind {
            PoolKind::Mean => ("GlobalAveragePool", "mean"),
            PoolKind::Max => ("GlobalMaxPool", "max"),
        };
        if self.keep {
            return Ok(graph.operator(kind, place.name, inputs, &[]));
        }
        let pooled = graph.operator(kind, &format!("{}.{stem}", place.name), inputs, &[]);
        Ok(graph.operator("Flatten", place.name, &[pooled], &[("axis", 1.into())]))
    }
}
