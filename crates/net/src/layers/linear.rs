//! `ys = xs W^T + b`: xs (b, in), W (out, in), b (out,) -> (b, out).

use candle_core::Tensor;
use l0_ops::Epilogue;
use serde::{Deserialize, Serialize};

use super::facts::{Declared, nonzero_rows, then_relu};
use super::{Dependence, LinearMap, Per, Reads, Rules, Sources, SpaceOf, Work};
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::weights::Values;
use crate::{Place, Result, Shape, Unit};

/// `ys = xs W^T + b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Number of output features.
    pub out: usize,
    /// Whether there is a b.
    pub bias: bool,
}

impl Rules for Linear {
    fn kind(&self) -> &'static str {
        "linear"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs[0] {
            Shape::Features(_) if self.out > 0 => Ok(Shape::Features(self.out)),
            found @ Shape::Image(..) => {
                Err(format!("{}; a flatten or a global_pool comes before it", super::wrong(self, "(features)", found)))
            }
            found => Err(super::wrong(self, "(features) and one output or more", found)),
        }
    }

    fn parameters(&self, inputs: &[Shape], _: Shape) -> Vec<Declared> {
        let fan_in = inputs[0].units();
        let weight = Declared::weight(vec![self.out, fan_in], fan_in);
        std::iter::once(weight).chain(self.bias.then(|| Declared::bias(vec![self.out]))).collect()
    }

    fn space(&self, _: &[Shape]) -> SpaceOf {
        SpaceOf::Own
    }

    fn reads(&self, _: &[Shape], _: Shape) -> Reads {
        Reads::All
    }

    fn becomes(&self, from: &Sources) -> Vec<Unit> {
        from.mixed(1, self.bias, false)
    }

    fn work(&self, _: &[Shape], output: Shape) -> Option<Work> {
        Some(Work::affine(Per::Pair(1), 1, 1, self.bias, output))
    }

    fn depends(&self, values: &Values, from: &Dependence) -> Result<Vec<bool>> {
        nonzero_rows(values.of("weight")?, from.inputs[0], false)
    }

    fn fuse(&self, so_far: Epilogue, next: Epilogue) -> Option<Epilogue> {
        then_relu(so_far, next)
    }

    fn is_affine(&self) -> bool {
        true
    }

    fn row_dim(&self) -> Option<usize> {
        Some(0)
    }

    fn bias(&self) -> Option<bool> {
        Some(self.bias)
    }

    fn set_bias(&mut self, bias: bool) {
        self.bias = bias;
    }

    fn linear_map(&self) -> Option<&dyn LinearMap> {
        Some(self)
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        at.linear_map(self, inputs[0])
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let stored = graph.weight_and_bias(place.name, self.bias)?;
        Ok(graph.operator("Gemm", place.name, &[inputs, &stored].concat(), &[("transB", 1.into())]))
    }
}

impl LinearMap for Linear {
    fn is_uneven(&self) -> bool {
        false
    }

    fn summed(&self, weight: &Tensor) -> candle_core::Result<Tensor> {
        Ok(weight.clone())
    }

    fn apply(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        epilogue: Epilogue,
    ) -> candle_core::Result<Tensor> {
        if epilogue.relu { l0_ops::linear_relu(xs, weight, bias) } else { l0_ops::linear(xs, weight, bias) }
    }
}
