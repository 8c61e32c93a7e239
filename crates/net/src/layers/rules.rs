//! What a network asks of a layer. What a layer is told of the network is in the arguments, and no more.

use candle_core::Tensor;
use l0_ops::{Epilogue, Selection};

use super::facts::{Declared, Dependence, Reads, Sources, SpaceOf, Work};
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::weights::Values;
use crate::{Place, Result, Shape, Unit};

/// What is known of a layer.
///
/// Most layers act unit by unit, read one input and hold nothing; what is said here holds for those.
pub(crate) trait Rules {
    /// The name in tables.
    fn kind(&self) -> &'static str;

    /// How many inputs the layer reads, at least and at most.
    fn arity(&self) -> (usize, usize) {
        (1, 1)
    }

    /// The shape of the output, or what is wrong.
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// The parameters, in order.
    fn parameters(&self, _inputs: &[Shape], _output: Shape) -> Vec<Declared> {
        Vec::new()
    }

    /// Whose space of units the output has.
    fn space(&self, _inputs: &[Shape]) -> SpaceOf {
        SpaceOf::Inputs
    }

    /// Of which units of its inputs each unit is made.
    fn reads(&self, _inputs: &[Shape], _output: Shape) -> Reads {
        Reads::Same
    }

    /// What becomes of one unit.
    fn unit(&self, unit: Unit, _training: bool) -> Unit {
        unit
    }

    /// What becomes of all units.
    fn becomes(&self, from: &Sources) -> Vec<Unit> {
        from.each(|unit| self.unit(unit, from.training))
    }

    /// What the layer costs, if it has parameters.
    fn work(&self, _inputs: &[Shape], _output: Shape) -> Option<Work> {
        None
    }

    /// Which units depend on the network's input, read from the values of parameters.
    fn depends(&self, _values: &Values, from: &Dependence) -> Result<Vec<bool>> {
        Ok(from.each())
    }

    /// What is computed at once if this layer also does the work of the next one.
    fn fuse(&self, _so_far: Epilogue, _next: Epilogue) -> Option<Epilogue> {
        None
    }

    /// Whether the layer can add another value to its own at once, before anything else.
    fn fuses_sum(&self) -> bool {
        false
    }

    /// Whether the layer is a sum of its inputs and nothing else.
    fn is_sum(&self) -> bool {
        false
    }

    /// What this layer is to the one before it, if that can do its work at once with its own.
    fn epilogue(&self) -> Option<Epilogue> {
        None
    }

    /// Whether the layer is a linear map with a weight: a linear layer or a convolution.
    fn is_affine(&self) -> bool {
        false
    }

    /// The dimension of the weight along which the output's units lie, for layers into which a scale and a shift of
    /// each unit of their output can be multiplied.
    fn row_dim(&self) -> Option<usize> {
        None
    }

    /// Whether a bias is added, and the same layer with or without one.
    fn bias(&self) -> Option<bool> {
        None
    }

    /// Sets whether a bias is added, where there is a choice.
    fn set_bias(&mut self, _bias: bool) {}

    /// Whether the layer is a linear map of all its units, which takes the scales of masks into its weights.
    fn linear_map(&self) -> Option<&dyn LinearMap> {
        None
    }

    /// Whether the mask of the space that the layer makes is multiplied into its weights.
    fn weighs_output(&self) -> bool {
        self.linear_map().is_some()
    }

    /// Whether a unit that is closed stays zero although the formula says otherwise.
    fn keeps_closed_zero(&self) -> bool {
        false
    }

    /// Runs the layer on the computed units and the constants beside them.
    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow>;

    /// Writes the layer's operators; the name of its output.
    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String>;
}

/// A linear map of all units of its input, without the bias.
pub(crate) trait LinearMap: Rules {
    /// Whether the weight is (inputs, outputs, ..) and not (outputs, inputs, ..).
    fn is_transposed(&self) -> bool {
        false
    }

    /// Whether an input that is the same at every position makes an output that is not.
    fn is_uneven(&self) -> bool;

    /// The sum of the weights of each pair, (outputs, inputs), for a map that is not uneven.
    fn summed(&self, weight: &Tensor) -> candle_core::Result<Tensor>;

    /// `xs W + b`, then what `epilogue` says; the bias is (outputs,) or (outputs, h', w').
    fn apply(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        epilogue: Epilogue,
    ) -> candle_core::Result<Tensor>;

    /// The rows and columns of the weight, scaled by the masks of outputs and inputs.
    fn select(
        &self,
        weight: &Tensor,
        [outputs, inputs]: [&Selection; 2],
        [z, scale]: [Option<&Tensor>; 2],
    ) -> candle_core::Result<Tensor> {
        if self.is_transposed() {
            l0_ops::select(weight, inputs, outputs, scale, z)
        } else {
            l0_ops::select(weight, outputs, inputs, z, scale)
        }
    }
}

/// "conv2d expects ..., found (3)".
pub(crate) fn wrong(layer: &dyn Rules, expected: &str, found: Shape) -> String {
    format!("{} expects {expected}, found {found}", layer.kind())
}
