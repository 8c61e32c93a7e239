//! Convolution, that is cross-correlation, in full: stride, padding on four sides, dilation, groups.
//!
//! `ys[o, y, x] = b[o] + sum over i of its group, u, v of W[o, i, u, v] xs[i, s y + d u - p, s x + d v - p]`: xs
//! (b, in, h, w), W (out, in / groups, kh, kw), b (out,) -> (b, out, h', w'), h' = (h + pads - d (kh - 1) - 1) / s + 1.
//!
//! Three cases differ in what a closed channel means. With one group every output reads every input. A depthwise
//! convolution (as many groups as inputs and outputs) acts channel by channel: a channel lives and dies with its input,
//! whose space it shares. Other groups are kept whole or closed as a whole, so that what is left is a valid
//! convolution.

use candle_core::Tensor;
use l0_ops::{ConvSettings, Epilogue, Selection};
use serde::{Deserialize, Serialize};

use super::facts::{Declared, mixture, nonzero_rows, then_relu};
use super::{Dependence, LinearMap, Per, Reads, Rules, Sources, SpaceOf, Work};
use crate::forward::{At, Flow, scatter, within};
use crate::geometry::{Pair, Sides};
use crate::onnx::Graph;
use crate::weights::Values;
use crate::{Place, Result, Shape, Unit};

/// Cross-correlation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Number of output channels.
    pub out: usize,
    /// Sides of the kernel.
    pub kernel: Pair,
    /// Steps of the kernel.
    #[serde(default = "Pair::one")]
    pub stride: Pair,
    /// Zeros added on each side.
    #[serde(default)]
    pub padding: Sides,
    /// Distances between the kernel's rows and columns.
    #[serde(default = "Pair::one", skip_serializing_if = "Pair::is_one")]
    pub dilation: Pair,
    /// How many parts inputs and outputs are divided into: each part of the outputs reads one of the inputs.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// Whether there is a bias.
    pub bias: bool,
}

/// Most positions of an image with the zeros around it: they are laid out in memory.
const MOST_PADDED: usize = 4 * Shape::LIMIT;

pub(super) fn one() -> usize {
    1
}

pub(super) fn is_one(n: &usize) -> bool {
    *n == 1
}

impl Conv2d {
    /// A convolution of stride 1 with a bias, without padding.
    pub fn new(out: usize, kernel: impl Into<Pair>) -> Self {
        let (stride, dilation) = (Pair::ONE, Pair::ONE);
        Self { out, kernel: kernel.into(), stride, padding: 0.into(), dilation, groups: 1, bias: true }
    }

    /// With another stride.
    pub fn stride(self, stride: impl Into<Pair>) -> Self {
        Self { stride: stride.into(), ..self }
    }

    /// With zeros around the image.
    pub fn padding(self, padding: impl Into<Sides>) -> Self {
        Self { padding: padding.into(), ..self }
    }

    /// With distances between the kernel's rows and columns.
    pub fn dilation(self, dilation: impl Into<Pair>) -> Self {
        Self { dilation: dilation.into(), ..self }
    }

    /// In groups.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Without a bias.
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// Whether each output channel is made of the input channel at its place, of `inputs`.
    pub fn is_depthwise(&self, inputs: usize) -> bool {
        self.groups > 1 && self.groups == inputs && self.groups == self.out
    }

    fn settings(&self, groups: usize) -> ConvSettings {
        ConvSettings {
            stride: self.stride.tuple(),
            padding: self.padding.array(),
            dilation: self.dilation.tuple(),
            groups,
        }
    }

    fn pads(&self) -> bool {
        !self.padding.is_empty()
    }

    /// Height and width of the output, if there is any.
    fn sides(&self, h: usize, w: usize) -> Option<(usize, usize)> {
        // Descriptions come from files: no number in them may overflow.
        let side = |n: usize, kernel: usize, stride: usize, dilation: usize| {
            let reach = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
            Some(n.checked_sub(reach)?.checked_div(stride)? + 1)
        };
        let sane = |&(h, w): &(usize, usize)| h.checked_mul(w).is_some_and(|n| n <= MOST_PADDED);
        let (h, w) = self.padding.around(h, w).filter(sane)?;
        Some((
            side(h, self.kernel.h, self.stride.h, self.dilation.h)?,
            side(w, self.kernel.w, self.stride.w, self.dilation.w)?,
        ))
    }
}

impl Rules for Conv2d {
    fn kind(&self) -> &'static str {
        if self.groups == 1 { "conv2d" } else { "grouped conv2d" }
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let Shape::Image(c, h, w) = inputs[0] else {
            return Err(super::wrong(self, "a large enough image (c, h, w)", inputs[0]));
        };
        let Self { out, kernel, stride, dilation, groups, .. } = self;
        if *groups == 0 || c % groups != 0 || out % groups != 0 {
            let expected = format!("inputs and outputs ({out}) that its {groups} groups divide");
            return Err(super::wrong(self, &expected, inputs[0]));
        }
        let sides = self.sides(h, w).filter(|_| *out > 0 && !dilation.has_zero());
        sides.map(|(h, w)| Shape::Image(*out, h, w)).ok_or_else(|| {
            let expected = match () {
                () if *out == 0 => "one output or more (is 0)".into(),
                () if kernel.has_zero() => format!("a kernel of 1 or more (is {kernel})"),
                () if stride.has_zero() => format!("a stride of 1 or more (is {stride})"),
                () if dilation.has_zero() => format!("a dilation of 1 or more (is {dilation})"),
                () => format!("an image that its {kernel} kernel fits into, padded"),
            };
            super::wrong(self, &expected, inputs[0])
        })
    }

    fn parameters(&self, inputs: &[Shape], _: Shape) -> Vec<Declared> {
        let (per_group, kernel) = (inputs[0].units() / self.groups, self.kernel);
        let weight = Declared::weight(vec![self.out, per_group, kernel.h, kernel.w], per_group * kernel.area());
        std::iter::once(weight).chain(self.bias.then(|| Declared::bias(vec![self.out]))).collect()
    }

    fn space(&self, inputs: &[Shape]) -> SpaceOf {
        if self.is_depthwise(inputs[0].units()) { SpaceOf::Inputs } else { SpaceOf::Own }
    }

    fn reads(&self, inputs: &[Shape], _: Shape) -> Reads {
        match self.groups {
            1 => Reads::All,
            _ if self.is_depthwise(inputs[0].units()) => Reads::Same,
            groups => Reads::Groups(groups),
        }
    }

    fn unit(&self, unit: Unit, _: bool) -> Unit {
        mixture(&[unit], self.bias, self.pads())
    }

    fn becomes(&self, from: &Sources) -> Vec<Unit> {
        from.mixed(self.groups, self.bias, self.pads())
    }

    fn work(&self, inputs: &[Shape], output: Shape) -> Option<Work> {
        let depthwise = self.is_depthwise(inputs[0].units());
        let per = if depthwise { Per::Unit } else { Per::Pair(self.groups) };
        Some(Work::affine(per, self.kernel.area(), output.positions(), self.bias, output))
    }

    fn depends(&self, values: &Values, from: &Dependence) -> Result<Vec<bool>> {
        if self.groups == 1 { nonzero_rows(values.of("weight")?, from.inputs[0], false) } else { Ok(from.each()) }
    }

    fn fuse(&self, so_far: Epilogue, next: Epilogue) -> Option<Epilogue> {
        match (so_far.max_pool, next.max_pool) {
            (_, 1) => then_relu(so_far, next),
            (1, max_pool) => Some(Epilogue { max_pool, ..so_far }),
            _ => None,
        }
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
        (self.groups == 1).then_some(self as &dyn LinearMap)
    }

    fn weighs_output(&self) -> bool {
        true // a depthwise convolution makes no space
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        match self.groups {
            1 => at.linear_map(self, inputs[0]),
            _ if self.is_depthwise(at.input_shape(0).units()) => self.depthwise(at, inputs[0]),
            _ => self.grouped(at, inputs[0]),
        }
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let stored = graph.weight_and_bias(place.name, self.bias)?;
        let mut attributes = vec![
            ("kernel_shape", self.kernel.ints().into()),
            ("strides", self.stride.ints().into()),
            ("pads", self.padding.ints().into()),
        ];
        if !self.dilation.is_one() {
            attributes.push(("dilations", self.dilation.ints().into()));
        }
        if self.groups > 1 {
            attributes.push(("group", (self.groups as i64).into()));
        }
        Ok(graph.operator("Conv", place.name, &[inputs, &stored].concat(), &attributes))
    }
}

impl LinearMap for Conv2d {
    fn is_uneven(&self) -> bool {
        self.pads()
    }

    fn summed(&self, weight: &Tensor) -> candle_core::Result<Tensor> {
        weight.sum((2, 3))
    }

    fn apply(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        epilogue: Epilogue,
    ) -> candle_core::Result<Tensor> {
        l0_ops::conv(xs, weight, bias, &self.settings(1), epilogue)
    }
}

/// Channel by channel.
impl Conv2d {
    fn depthwise(&self, at: &At, input: &Flow) -> Result<Flow> {
        let (weight, bias) = (at.value("weight")?, self.bias.then(|| at.value("bias")).transpose()?);
        let epilogue = at.epilogue;
        at.each(input, self.pads(), |xs, units| {
            let weight = l0_ops::take(weight, 0, units)?;
            let bias = bias.map(|bias| l0_ops::take(bias, 0, units)).transpose()?;
            // A constant that stays one comes as a single position: its neighbours are like it, and so is the largest.
            let (xs, epilogue) = if xs.dim(2)? == 1 && xs.dim(3)? == 1 && !self.pads() {
                let reach = |kernel, dilation| (kernel - 1) * dilation + 1;
                let (h, w) = (reach(self.kernel.h, self.dilation.h), reach(self.kernel.w, self.dilation.w));
                let around = xs.broadcast_as((xs.dim(0)?, xs.dim(1)?, h, w))?.contiguous()?;
                (around, Epilogue { max_pool: 1, ..epilogue })
            } else {
                (xs.clone(), epilogue)
            };
            l0_ops::conv(&xs, &weight, bias.as_ref(), &self.settings(units.len()), epilogue)
        })
    }
}

/// Group by group.
impl Conv2d {
    /// The groups of which one output or more is in `units`, each with all its inputs and all its outputs.
    pub(crate) fn whole(&self, units: &Selection, inputs: usize) -> (usize, Selection, Selection) {
        let (n, size) = (units.total(), units.total() / self.groups);
        let mask = units.mask();
        let group = |unit: usize, of: usize| mask[unit * self.groups / of * size..][..size].contains(&true);
        let all = |of: usize| Selection::of(&(0..of).map(|unit| group(unit, of)).collect::<Vec<_>>());
        let outputs = all(n);
        (outputs.len() / size, all(inputs), outputs)
    }

    /// The outputs `units`, each made by its whole group, of `xs`, which makes the inputs of a selection.
    fn outputs(&self, at: &At, units: &Selection, xs: impl Fn(&Selection) -> Result<Tensor>) -> Result<Tensor> {
        let (groups, inputs, outputs) = self.whole(units, at.input_shape(0).units());
        let z = at.layer.scale();
        let weight = at.value("weight")?;
        let weight = l0_ops::select(weight, &outputs, &Selection::all(weight.dim(1)?), z, None)?;
        let bias = if self.bias { Some(l0_ops::select_vector(at.value("bias")?, &outputs, z)?) } else { None };
        let ys = l0_ops::conv(&xs(&inputs)?, &weight, bias.as_ref(), &self.settings(groups), at.epilogue)?;
        Ok(l0_ops::take(&ys, 1, &within(&outputs, units))?)
    }

    fn grouped(&self, at: &At, input: &Flow) -> Result<Flow> {
        let (kept, shape, b) = (at.kept(), at.input_shape(0), at.batch.dim(0)?);
        let computed = match kept.is_empty() {
            true => None,
            false => Some(self.outputs(at, kept, |inputs| input.expand(inputs, b, shape, at.batch))?),
        };
        let constant = at.layer.constants();
        let constants = if constant.is_empty() {
            None
        } else {
            // Of constants alone: what is computed plays no part in them.
            let nothing = Selection::of(&vec![false; input.kept.total()]);
            let input = Flow { computed: None, kept: nothing, ..input.clone() };
            let values = self.outputs(at, &constant, |inputs| input.expand(inputs, 1, shape, at.batch))?;
            Some(scatter(&values.squeeze(0)?, &constant)?)
        };
        at.per_example(Flow { computed, kept: kept.clone(), constants, scale: None })
    }
}
