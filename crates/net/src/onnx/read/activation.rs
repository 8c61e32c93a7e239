//! Functions of single numbers, on numbers in any arrangement: by name, by bounds, with a slope for each unit.

use super::constant::{Constant, Values};
use super::draft::{Chain, Content, Moved, Outcome, ValueId};
use super::operator::Operator;
use super::wire::Reason;
use crate::layers::{PRelu, Scale};
use crate::{Activation, Layer};

/// The function that an operator is, if it is one that has a name.
pub(super) fn named(op: &Operator<'_>) -> Result<Option<Activation>, Reason> {
    Ok(Some(match op.kind {
        "Relu" => Activation::Relu,
        "LeakyRelu" => Activation::LeakyRelu { slope: op.float("alpha")?.unwrap_or(0.01) },
        "Sigmoid" => Activation::Sigmoid,
        "HardSigmoid" => {
            let (alpha, beta) = (op.float("alpha")?.unwrap_or(0.2), op.float("beta")?.unwrap_or(0.5));
            Activation::HardSigmoid { alpha, beta }
        }
        "HardSwish" => Activation::HardSwish,
        "Tanh" => Activation::Tanh,
        "Elu" => Activation::Elu { alpha: op.float("alpha")?.unwrap_or(1.0) },
        "Gelu" => match op.text("approximate")?.unwrap_or("none") {
            "none" => Activation::Gelu { tanh: false },
            "tanh" => Activation::Gelu { tanh: true },
            other => return Err(format!("the approximation {other:?}")),
        },
        _ => return Ok(None),
    }))
}

/// A layer that works number by number, on numbers in any arrangement.
pub(super) fn by_number(op: &Operator<'_>, id: ValueId, function: Activation) -> Result<Outcome, Reason> {
    if let (Some(reason), dims) = (op.loose(), &op.draft.step(id).dims) {
        return Ok(Outcome::Other(Content::Loose(reason), dims.clone()));
    }
    if let Content::Moved(Moved { of, index, whole: false }) = &op.draft.step(id).content {
        return Ok(Chain { view: Some(index.clone()), ..Chain::plain(vec![*of], function) }.into());
    }
    op.draft.expect_layer(id)?;
    Ok(Chain::plain(vec![id], function).into())
}

/// Bounds from attributes in early opsets, from inputs later on.
pub(super) fn clip(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let bound = |i, name| {
        let scalar = |bound: &Constant| bound.scalar().ok_or_else(|| format!("a {name} of shape {:?}", bound.dims()));
        match op.float(name)? {
            Some(bound) => Ok(Some(bound)),
            None => op.constant(i, name)?.map(scalar).transpose(),
        }
    };
    bounded(op, op.any_value(0)?, bound(1, "min")?, bound(2, "max")?)
}

/// The larger, or the smaller, of a value and a constant.
pub(super) fn extreme(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let constant = op.constant(1, "bound").or_else(|_| op.constant(0, "bound"))?;
    let bound = constant.and_then(Constant::scalar);
    match (op.value(0).or(op.value(1)), bound, op.args.len()) {
        (Some(id), Some(bound), 2) if op.kind == "Max" => bounded(op, id, Some(bound), None),
        (Some(id), Some(bound), 2) => bounded(op, id, None, Some(bound)),
        _ => Err("other inputs than a value and one number".into()),
    }
}

fn bounded(op: &Operator<'_>, id: ValueId, min: Option<f32>, max: Option<f32>) -> Result<Outcome, Reason> {
    if [min, max].into_iter().flatten().any(f32::is_nan) {
        return Err(format!("bounds {min:?} and {max:?}"));
    }
    let (id, min, max) = within(op, id, min, max).unwrap_or((id, min, max));
    let min = min.filter(|&min| min > f32::MIN);
    let max = max.filter(|&max| max < f32::MAX);
    let function = match (min, max) {
        (None, None) => return Ok(Chain::pass(id).into()),
        (Some(0.0), None) => Activation::Relu,
        _ => Activation::Clip { min: min.unwrap_or(f32::MIN), max: max.unwrap_or(f32::MAX) },
    };
    match function {
        Activation::Clip { min, max } if min >= max => Err(format!("bounds {min} and {max}")),
        function => by_number(op, id, function),
    }
}

/// Bounds of a value that has bounds already, as `min(relu(x), 6)`: those of both, and what they are bounds of.
fn within(
    op: &Operator<'_>,
    id: ValueId,
    min: Option<f32>,
    max: Option<f32>,
) -> Option<(ValueId, Option<f32>, Option<f32>)> {
    let (inner, of) = match op.draft.layer(id)? {
        (Layer::Activation(Activation::Relu), &[of]) => ((0.0, f32::MAX), of),
        (&Layer::Activation(Activation::Clip { min, max }), &[of]) => ((min, max), of),
        _ => return None,
    };
    let bounded = |x: f32| x.max(min.unwrap_or(f32::MIN)).min(max.unwrap_or(f32::MAX));
    let (low, high) = (bounded(inner.0), bounded(inner.1));
    (low < high).then_some((of, Some(low), Some(high)))
}

/// SELU, an ELU times a number; CELU, an ELU of a part of a value times the inverse of the part.
pub(super) fn scaled_elu(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (input, dims) = op.layered(0)?;
    let scale = |by: f32| scale(dims[0], by);
    if op.kind == "Selu" {
        let alpha = op.float("alpha")?.unwrap_or(1.673_263_2);
        let gamma = op.float("gamma")?.unwrap_or(1.050_701);
        let elu = Chain::plain(vec![input], Activation::Elu { alpha });
        return Ok(elu.then_of(Scale, scale(gamma)?).into());
    }
    let alpha = op.float("alpha")?.unwrap_or(1.0);
    if !alpha.is_normal() || alpha < 0.0 {
        return Err(format!("alpha {alpha}, expected a number above 0"));
    }
    if alpha == 1.0 {
        return Ok(Chain::plain(vec![input], Activation::Elu { alpha }).into());
    }
    let part = Chain::of(vec![input], Scale, scale(alpha.recip())?);
    Ok(part.then(Activation::Elu { alpha: 1.0 }).then_of(Scale, scale(alpha)?).into())
}

/// The values of a scale of all of `n` units by one number.
fn scale(n: usize, by: f32) -> Result<Values, Reason> {
    let each = |value: f32| Constant::floats(vec![n], vec![value; n], "");
    Ok(vec![("weight", each(by)?), ("bias", each(0.0)?)])
}

/// A slope for each channel, or one for all.
pub(super) fn prelu(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (input, dims) = op.layered(0)?;
    let slope = op.stored(1, "slope")?;
    let expected = match slope.dims() {
        found if found.iter().all(|&dim| dim == 1) => true,
        &[n] => dims == [n],
        &[n, 1, 1] | &[1, n, 1, 1] => dims.len() == 3 && dims[0] == n,
        &[1, n] => dims == [n],
        _ => false,
    };
    match expected {
        true => Ok(Chain::of(vec![input], PRelu, vec![("slope", slope.spread(dims[0])?)]).into()),
        false => Err(format!("a slope of shape {:?} for {dims:?}, expected one for each channel", slope.dims())),
    }
}
