//! What layers say of themselves: parameters, spaces, what each unit is made of and becomes, and what it costs.

use candle_core::{DType, Tensor};
use l0_ops::Epilogue;

use crate::weights::Values;
use crate::{Result, Role, Shape, Unit};

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
    /// Of a layer that scales each unit: those whose scale is not 0 and that depend on it before.
    pub(crate) fn scaled(&self, values: &Values) -> Result<Vec<bool>> {
        let scale = values.of("weight")?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        Ok(scale.iter().zip(self.inputs[0]).map(|(&scale, &depends)| depends && scale != 0.0).collect())
    }

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

/// What is computed at once if a layer that comes before ReLU does its work, too.
pub(super) fn then_relu(so_far: Epilogue, next: Epilogue) -> Option<Epilogue> {
    (next.relu && so_far == Epilogue { relu: false, max_pool: 1 }).then_some(next)
}

/// Whether each row of a weight, (rows, cols, ..) or the other way round, reads one of the units `depends` with a
/// number that is not 0.
pub(super) fn nonzero_rows(weight: &Tensor, depends: &[bool], transposed: bool) -> Result<Vec<bool>> {
    let weight = if transposed { weight.transpose(0, 1)? } else { weight.clone() };
    let sizes = weight.to_dtype(DType::F32)?.abs()?.contiguous()?;
    let sizes = sizes.reshape((weight.dim(0)?, depends.len(), ()))?.max(2)?.to_vec2::<f32>()?;
    let reads = |row: &Vec<f32>| row.iter().zip(depends).any(|(&size, &depends)| depends && size != 0.0);
    Ok(sizes.iter().map(reads).collect())
}
