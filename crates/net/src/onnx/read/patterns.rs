//! Functions that exporters write as several operators: hard swish, SiLU, GELU.
//!
//! They are found from their last operator, by what that reads: which other operators read the parts makes no
//! difference, for a layer takes the place of the last one alone, and parts that nobody reads any more vanish.

use super::draft::{Arg, Draft, ValueId};
use super::operator::Operator;
use crate::{Activation, Layer};

/// How deep products of products are looked into.
const DEPTH: usize = 4;

/// A number times some values.
struct Product {
    factor: f64,
    values: Vec<ValueId>,
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 2e-6 * b.abs()
}

fn scalar(arg: &Arg) -> Option<f64> {
    match arg {
        Arg::Constant(constant) => constant.scalar().map(f64::from),
        _ => None,
    }
}

impl Product {
    /// The factors of a product; a value that is none is its own.
    fn of(draft: &Draft, kind: &str, args: &[Arg], depth: usize) -> Option<Self> {
        let mut product = Self { factor: 1.0, values: Vec::new() };
        if !matches!(kind, "Mul" | "Div") {
            return None;
        }
        for (i, arg) in args.iter().enumerate() {
            match (kind, i, scalar(arg)) {
                ("Mul", _, Some(factor)) => product.factor *= factor,
                (_, 1, Some(factor)) => product.factor /= factor,
                ("Mul", ..) | (_, 0, None) => product.times(draft, arg, depth)?,
                _ => return None,
            }
        }
        Some(product)
    }

    fn times(&mut self, draft: &Draft, arg: &Arg, depth: usize) -> Option<()> {
        let Arg::Value(id) = arg else { return None };
        let step = draft.step(*id);
        let inner = if depth > 0 { Self::of(draft, &step.kind, &step.args, depth - 1) } else { None };
        match inner {
            Some(inner) => {
                self.factor *= inner.factor;
                self.values.extend(inner.values);
            }
            None => self.values.push(*id),
        }
        (self.values.len() <= DEPTH).then_some(())
    }

    /// The factors of a value.
    fn from(draft: &Draft, id: ValueId) -> Option<Self> {
        let mut product = Self { factor: 1.0, values: Vec::new() };
        product.times(draft, &Arg::Value(id), DEPTH).map(|()| product)
    }
}

/// The function that an operator ends, and what it is a function of.
pub(super) fn function(op: &Operator<'_>) -> Option<(ValueId, Activation)> {
    let product = Product::of(op.draft, op.kind, &op.args, DEPTH)?;
    let found = match product.values[..] {
        [g] => hard_sigmoid(op.draft, g, product.factor),
        [a, b] => gated(op.draft, a, b, product.factor).or_else(|| gated(op.draft, b, a, product.factor)),
        _ => None,
    };
    found.filter(|(input, _)| op.draft.expect_layer(*input).is_ok())
}

/// `factor x g(x)`.
fn gated(draft: &Draft, x: ValueId, g: ValueId, factor: f64) -> Option<(ValueId, Activation)> {
    let function = match draft.layer(g) {
        Some((Layer::Activation(Activation::Sigmoid), [of])) if *of == x && near(factor, 1.0) => Activation::Silu,
        Some((Layer::Activation(Activation::HardSigmoid { alpha, beta }), [of]))
            if *of == x && near((*alpha).into(), 1.0 / 6.0) && near((*beta).into(), 0.5) && near(factor, 1.0) =>
        {
            Activation::HardSwish
        }
        _ => match (clipped(draft, g), near(factor, 1.0 / 6.0), near(factor, 0.5)) {
            (Some((of, shift, bound)), true, _) if of == x && near(shift, 3.0) && near(bound, 6.0) => {
                Activation::HardSwish
            }
            (_, _, true) => Activation::Gelu { tanh: is_gelu(draft, x, g)? },
            _ => return None,
        },
    };
    Some((x, function))
}

/// `factor clip(x + shift, 0, 1 / factor)`.
fn hard_sigmoid(draft: &Draft, g: ValueId, factor: f64) -> Option<(ValueId, Activation)> {
    let (x, shift, bound) = clipped(draft, g)?;
    let (alpha, beta) = (factor as f32, (factor * shift) as f32);
    near(factor * bound, 1.0).then_some((x, Activation::HardSigmoid { alpha, beta }))
}

/// A value plus a number.
fn shifted(draft: &Draft, id: ValueId) -> Option<(ValueId, f64)> {
    let step = draft.step(id);
    match (step.kind.as_str(), &step.args[..]) {
        ("Add", [Arg::Value(x), by] | [by, Arg::Value(x)]) => Some((*x, scalar(by)?)),
        _ => None,
    }
}

/// `clip(x + shift, 0, bound)`: x, the shift and the bound.
fn clipped(draft: &Draft, id: ValueId) -> Option<(ValueId, f64, f64)> {
    let (Layer::Activation(Activation::Clip { min: 0.0, max }), [inner]) = draft.layer(id)? else { return None };
    let (x, shift) = shifted(draft, *inner)?;
    Some((x, shift, f64::from(*max)))
}

/// Whether `g` is `1 + erf(x / sqrt 2)` (false), or `1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))` (true).
fn is_gelu(draft: &Draft, x: ValueId, g: ValueId) -> Option<bool> {
    let (inner, one) = shifted(draft, g)?;
    let step = draft.step(inner);
    let [Arg::Value(of)] = step.args[..] else { return None };
    let Product { factor, values } = Product::from(draft, of)?;
    let exact = step.kind == "Erf" && values == [x] && near(factor, 0.5f64.sqrt());
    let about = step.kind == "Tanh" && near(factor, std::f64::consts::FRAC_2_PI.sqrt()) && values.len() == 1;
    match near(one, 1.0) && (exact || (about && is_cubic(draft, x, values[0]))) {
        true => Some(about),
        false => None,
    }
}

/// Whether `id` is `x + 0.044715 x^3`.
fn is_cubic(draft: &Draft, x: ValueId, id: ValueId) -> bool {
    let step = draft.step(id);
    let ("Add", &[Arg::Value(a), Arg::Value(b)]) = (step.kind.as_str(), &step.args[..]) else { return false };
    let cube = if a == x { b } else { a };
    let of_x = |product: Product| {
        let [power] = product.values[..] else { return product.values == [x; 3] };
        let step = draft.step(power);
        let three = step.args.get(1).and_then(exponent) == Some(3.0);
        step.kind == "Pow" && three && matches!(step.args[0], Arg::Value(of) if of == x)
    };
    (a == x || b == x)
        && Product::from(draft, cube).is_some_and(|product| near(product.factor, 0.044_715) && of_x(product))
}

fn exponent(arg: &Arg) -> Option<f64> {
    match arg {
        Arg::Constant(constant) => scalar(arg).or_else(|| match constant.known().ok()?[..] {
            [int] => Some(int as f64),
            _ => None,
        }),
        _ => None,
    }
}
