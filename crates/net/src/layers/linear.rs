//! `ys = xs W^T + b`: xs (b, in), W (out, in), b (out,) -> (b, out).

use candle_core::Tensor;
use l0_ops::Epilogue;
use serde::{Deserialize, Serialize};

use super::facts::{Declared, nonzero_rows, then_relu};
use super::{Dependence, LinearMap, Per, Reads, Rules, Sources, SpaceOf, Work};
use crate::compact::{Held, Walk};
use crate::forward::{At, Flow};
use crate::onnx::{Chain, Constant, Content, Graph, Kernel, Moved, Operator, Outcome, Reason};
use crate::weights::Values;
use crate::{Layer, Node, NodeId, Result, Shape, Unit};

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

    fn compact(&self, walk: &mut Walk, id: NodeId, inputs: &[NodeId]) -> Result<Held> {
        walk.linear_map(id, self, inputs[0])
    }

    fn to_onnx(&self, graph: &mut Graph, node: &Node, inputs: &[String]) -> Result<String> {
        let stored = graph.weight_and_bias(&node.name, self.bias)?;
        Ok(graph.operator("Gemm", &node.name, &[inputs, &stored].concat(), &[("transB", 1.into())]))
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

    fn with_outputs(&self, out: usize, bias: bool) -> Layer {
        Self { out, bias }.into()
    }
}

/// From ONNX.
impl Linear {
    /// `alpha A B + beta C`, either matrix transposed.
    pub(crate) fn read_gemm(op: &Operator<'_>) -> Result<Outcome, Reason> {
        let (alpha, beta) = (op.float("alpha")?.unwrap_or(1.0), op.float("beta")?.unwrap_or(1.0));
        if op.flag("transA")? {
            return Err("a transposed batch (transA)".into());
        }
        let weight = scaled(op.stored(1, "weight")?, alpha)?;
        let weight = if op.flag("transB")? { weight } else { transposed(op, &weight)? };
        let bias = op.constant(2, "bias")?.map(|bias| scaled(bias, beta)).transpose()?;
        Self::read(op, weight, bias)
    }

    /// A product with a stored matrix.
    pub(crate) fn read_matmul(op: &Operator<'_>) -> Result<Outcome, Reason> {
        let weight = transposed(op, op.stored(1, "weight")?)?;
        Self::read(op, weight, None)
    }

    fn read(op: &Operator<'_>, weight: Constant, bias: Option<Constant>) -> Result<Outcome, Reason> {
        let (input, features) = op.features()?;
        let out = match *weight.dims() {
            [out, n_in] if n_in == features => out,
            _ => return Err(format!("{features} features and a weight of shape (out, in) {:?}", weight.dims())),
        };
        let bias = bias.map(|bias| match *bias.dims() {
            [] | [1] | [1, 1] => bias.spread(out),
            [n] | [1, n] if n == out => bias.spread(out),
            _ => Err(format!("a bias of shape {:?}, expected [{out}]", bias.dims())),
        });
        let mut values = vec![("weight", weight)];
        values.extend(bias.transpose()?.map(|bias| ("bias", bias)));
        Ok(Chain::of(vec![input], Self { out, bias: values.len() > 1 }, values).into())
    }

    /// A convolution of 1x1 over features is a linear layer.
    pub(super) fn read_kernel((of, index): (usize, &Constant), out: usize, kernel: &Kernel) -> Result<Outcome, Reason> {
        if !index.is_counting() {
            return Err("features in another order as an image".into());
        }
        let bias = kernel.has_bias(out)?;
        let mut values = kernel.values.clone();
        values[0].1 = values[0].1.reshaped(vec![out, kernel.dims[1]])?;
        let view = Constant::ints(vec![out, 1, 1], Constant::count(out))?;
        let chain = Chain::of(vec![of], Self { out, bias }, values);
        Ok(Chain { view: Some(view), ..chain }.into())
    }
}

/// Features that the graph sees as an image of one position: what they are of, how, and how many.
pub(super) fn features_as_image<'a>(op: &Operator<'a>) -> Result<Option<(usize, &'a Constant, usize)>, Reason> {
    let step = op.draft.step(op.any_value(0)?);
    Ok(match (&step.content, &step.dims[..]) {
        (Content::Moved(Moved { of, index, whole: false }), &[c, 1, 1]) => Some((*of, index, c)),
        _ => None,
    })
}

fn transposed(op: &Operator<'_>, weight: &Constant) -> Result<Constant, Reason> {
    match weight.dims().len() {
        2 => weight.transposed(&[1, 0], op.room),
        _ => Err(format!("a weight of shape {:?}, expected two dimensions", weight.dims())),
    }
}

fn scaled(xs: &Constant, by: f32) -> Result<Constant, Reason> {
    if by == 1.0 {
        return Ok(xs.clone());
    }
    let values = xs.as_floats()?.iter().map(|x| x * by).collect();
    Constant::floats(xs.dims().to_vec(), values, xs.name())
}
