//! What a network asks of a layer.

use candle_core::{DType, Tensor};
use l0_ops::{Epilogue, Selection};

use crate::compact::{Held, Walk};
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::params::Values;
use crate::{Layer, Node, NodeId, Result, Role, Shape, Unit};

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
    fn fuse(&self, _so_far: Epilogue, _next: &Layer) -> Option<Epilogue> {
        None
    }

    /// Whether the layer is a linear map with a weight: a linear layer or a convolution.
    fn is_affine(&self) -> bool {
        false
    }

    /// The dimension of the weight along which the output's units lie, for layers into which a scale and a shift of each
    /// unit of their output can be multiplied.
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

    /// Writes what is left of the layer.
    fn compact(&self, walk: &mut Walk, id: NodeId, inputs: &[NodeId]) -> Result<Held> {
        walk.unit_by_unit(id, inputs[0])
    }

    /// Writes the layer's operators; the name of its output.
    fn to_onnx(&self, graph: &mut Graph, node: &Node, inputs: &[String]) -> Result<String>;
}

/// A parameter that a layer has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declared {
    /// The end of its name: "weight" of "conv1.weight".
    pub(crate) leaf: &'static str,
    pub(crate) role: Role,
    pub(crate) shape: Vec<usize>,
    pub(crate) init: Init,
}

/// First values of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    /// He's normal initialisation.
    Normal {
        /// How many inputs a unit has.
        fan_in: usize,
    },
    /// All the same.
    Constant(f32),
}

impl Declared {
    /// A weight with rows of `fan_in` numbers.
    pub(crate) fn weight(shape: Vec<usize>, fan_in: usize) -> Self {
        Self { leaf: "weight", role: Role::Weight, shape, init: Init::Normal { fan_in } }
    }

    /// A bias, 0 at first.
    pub(crate) fn bias(shape: Vec<usize>) -> Self {
        Self { leaf: "bias", role: Role::Bias, shape, init: Init::Constant(0.0) }
    }

    /// A value for each unit.
    pub(crate) fn each(leaf: &'static str, role: Role, units: usize, value: f32) -> Self {
        Self { leaf, role, shape: vec![units], init: Init::Constant(value) }
    }
}

/// Whose space of units an output has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpaceOf {
    /// Its own: masks are applied here.
    Own,
    /// That of the inputs, which thereby share one.
    Inputs,
    /// That of one input; the others keep theirs.
    Input(usize),
}

/// Of which units of its inputs each unit of an output is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Of all units of all inputs.
    All,
    /// Of all units of its group: so many groups of equal size.
    Groups(usize),
    /// Of the unit at its place in every input.
    Same,
    /// Of one position of a unit of its input, which has so many.
    Positions(usize),
    /// Of one unit of one input, (input, unit), or of nothing: then it is 0.
    One(Vec<Option<(usize, usize)>>),
}

impl Reads {
    /// Whether every unit is made of one unit of each input at most.
    pub(crate) fn is_unit_by_unit(&self) -> bool {
        !matches!(self, Self::All | Self::Groups(_))
    }
}

/// The units of a layer's inputs, before it says what becomes of them.
pub(crate) struct Sources<'a> {
    pub(crate) inputs: Vec<&'a [Unit]>,
    pub(crate) reads: &'a Reads,
    /// Units of the output.
    pub(crate) units: usize,
    pub(crate) training: bool,
}

impl Sources<'_> {
    /// Each unit is `f` of the unit that it is made of; of several inputs, the first counts.
    pub(crate) fn each(&self, f: impl Fn(Unit) -> Unit) -> Vec<Unit> {
        let first = self.inputs.first().copied().unwrap_or_default();
        match self.reads {
            Reads::Positions(n) => (0..self.units).map(|unit| f(first[unit / n])).collect(),
            Reads::One(sources) => {
                let source = |&(input, unit): &(usize, usize)| self.inputs[input][unit];
                sources.iter().map(|from| f(from.as_ref().map_or(Unit::Zero, source))).collect()
            }
            _ => first.iter().map(|&unit| f(unit)).collect(),
        }
    }

    /// Units that are linear maps of all units of their group, plus a bias. A constant is uneven where zero padding or
    /// the phases of a stride come in.
    pub(crate) fn mixed(&self, groups: usize, bias: bool, uneven: bool) -> Vec<Unit> {
        let (input, size) = (self.inputs[0], self.units / groups);
        let groups = input.chunks(input.len() / groups);
        groups.flat_map(|group| std::iter::repeat_n(mixture(group, bias, uneven), size)).collect()
    }
}

/// A linear map of `input`, plus a bias.
pub(crate) fn mixture(input: &[Unit], bias: bool, uneven: bool) -> Unit {
    let any = |unit| input.contains(&unit);
    match () {
        () if any(Unit::Computed) => Unit::Computed,
        () if any(Unit::Pattern) || (uneven && any(Unit::Constant)) => Unit::Pattern,
        () if bias || any(Unit::Constant) => Unit::Constant,
        () => Unit::Zero,
    }
}

/// The sum of two units; also their product, where neither is zero.
pub(crate) fn sum(a: Unit, b: Unit) -> Unit {
    match (a, b) {
        (Unit::Computed, _) | (_, Unit::Computed) => Unit::Computed,
        (Unit::Pattern, _) | (_, Unit::Pattern) => Unit::Pattern,
        (Unit::Zero, Unit::Zero) => Unit::Zero,
        _ => Unit::Constant,
    }
}

/// What a unit becomes when each of its positions becomes a unit, or all of them one number.
pub(crate) fn even(unit: Unit) -> Unit {
    if unit == Unit::Pattern { Unit::Constant } else { unit }
}

/// What a unit becomes where what comes from outside of the image is zero.
pub(crate) fn uneven(unit: Unit) -> Unit {
    if unit == Unit::Constant { Unit::Pattern } else { unit }
}

/// Which units of a layer's inputs depend on the network's input.
pub(crate) struct Dependence<'a> {
    pub(crate) inputs: Vec<&'a [bool]>,
    pub(crate) reads: &'a Reads,
    pub(crate) units: usize,
}

impl Dependence<'_> {
    /// Each unit depends on it if one of those does that it is made of.
    pub(crate) fn each(&self) -> Vec<bool> {
        let any = |units: &[bool]| units.contains(&true);
        let depends = |unit: usize| match self.reads {
            Reads::All => self.inputs.iter().any(|input| any(input)),
            Reads::Groups(groups) => {
                let (input, group) = (self.inputs[0], unit * groups / self.units);
                let size = input.len() / groups;
                any(&input[group * size..(group + 1) * size])
            }
            Reads::Same => self.inputs.iter().any(|input| input[unit]),
            Reads::Positions(n) => self.inputs[0][unit / n],
            Reads::One(sources) => sources[unit].is_some_and(|(input, unit)| self.inputs[input][unit]),
        };
        (0..self.units).map(depends).collect()
    }
}

/// The work of a layer, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    /// Weights, for each pair of an output and an input of a group, or for each output.
    pub(crate) weights: usize,
    pub(crate) per: Per,
    /// Other trained values of each output.
    pub(crate) values: usize,
    /// How often each weight is used.
    pub(crate) positions: usize,
    /// Floating point operations of each output beside the multiply-accumulates.
    pub(crate) extra: usize,
}

/// What weights are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Per {
    /// Pairs of an output and an input of its group; so many groups.
    Pair(usize),
    /// Outputs.
    Unit,
}

impl Work {
    /// A layer without weights.
    pub(crate) fn unit(values: usize, extra: usize) -> Self {
        Self { weights: 0, per: Per::Unit, values, positions: 0, extra }
    }

    /// A layer of weights: `area` for each pair, used at so many positions, and a bias that is added to each output.
    pub(crate) fn affine(per: Per, area: usize, positions: usize, bias: bool, output: Shape) -> Self {
        let bias = usize::from(bias);
        Self { weights: area, per, values: bias, positions, extra: bias * output.positions() }
    }
}

/// A linear map of all units of its input, without the bias.
pub(crate) trait LinearMap {
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

    /// The same layer with so many outputs.
    fn with_outputs(&self, outputs: usize, bias: bool) -> Layer;
}

/// Whether each row of a weight, (rows, cols, ..) or the other way round, reads one of the units `depends` with a number
/// that is not 0.
pub(super) fn nonzero_rows(weight: &Tensor, depends: &[bool], transposed: bool) -> Result<Vec<bool>> {
    let weight = if transposed { weight.transpose(0, 1)? } else { weight.clone() };
    let sizes = weight.to_dtype(DType::F32)?.abs()?.contiguous()?;
    let sizes = sizes.reshape((weight.dim(0)?, depends.len(), ()))?.max(2)?.to_vec2::<f32>()?;
    let reads = |row: &Vec<f32>| row.iter().zip(depends).any(|(&size, &depends)| depends && size != 0.0);
    Ok(sizes.iter().map(reads).collect())
}
