//! Functions that work number by number: one row each, with the derivative and what ONNX calls it.
//!
//! A new one is a variant, and a row in `rows`.

use candle_core::Tensor;
use l0_ops::{Epilogue, Pointwise, math};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Rules;
use crate::forward::{At, Flow};
use crate::onnx::{Attribute, Graph};
use crate::{Grid, Place, Result, Shape, Unit};

/// A function of each number by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Activation {
    /// `max(0, x)`.
    Relu,
    /// `x` above 0, `slope x` below.
    LeakyRelu {
        /// The slope below 0.
        slope: f32,
    },
    /// `x`, but no less than `min` and no more than `max`; ReLU6 is 0 to 6.
    Clip {
        /// The least value.
        min: f32,
        /// The largest value.
        max: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `alpha x + beta`, but no less than 0 and no more than 1.
    HardSigmoid {
        /// The slope.
        alpha: f32,
        /// The value at 0.
        beta: f32,
    },
    /// `x hard_sigmoid(x)` with slope 1/6 and 1/2 at 0.
    HardSwish,
    /// `x sigmoid(x)`.
    Silu,
    /// `x Phi(x)`, with Phi of the normal distribution.
    Gelu {
        /// Whether Phi is approximated by a tanh, as `0.5 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
        #[serde(default)]
        tanh: bool,
    },
    /// `tanh(x)`.
    Tanh,
    /// `x` above 0, `alpha (exp(x) - 1)` below.
    Elu {
        /// The distance of its lower limit from 0.
        alpha: f32,
    },
    /// The nearest number of a grid of 8 bits; for gradients, the identity between its ends.
    Quantise(Grid),
}

/// A function and its derivative.
#[derive(Clone, Copy)]
struct Row<F, D>(F, D);

impl<F, D> Pointwise for Row<F, D>
where
    F: Fn(f32) -> f32 + Copy + Send + Sync + 'static,
    D: Fn(f32) -> f32 + Copy + Send + Sync + 'static,
{
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        self.0(x)
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        self.1(x)
    }
}

/// What is done with the row of an activation.
trait With {
    type Out;
    fn with<P: Pointwise>(self, row: P) -> Self::Out;
}

/// `sqrt(1 / 2)`, `1 / sqrt(2 pi)` and `sqrt(2 / pi)`.
const SQRT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
const DENSITY_AT_0: f32 = 0.398_942_3;
const SQRT_2_BY_PI: f32 = 0.797_884_6;

impl Activation {
    /// What files call them.
    pub(super) const TAGS: &'static [&'static str] = &[
        "relu",
        "leaky_relu",
        "clip",
        "sigmoid",
        "hard_sigmoid",
        "hard_swish",
        "silu",
        "gelu",
        "tanh",
        "elu",
        "quantise",
    ];

    /// ReLU6 of mobile networks.
    pub const RELU6: Self = Self::Clip { min: 0.0, max: 6.0 };

    /// Function and derivative of each.
    fn row<W: With>(self, w: W) -> W::Out {
        match self {
            Self::Relu => w.with(Row(|x| if x < 0.0 { 0.0 } else { x }, |x| f32::from(u8::from(x > 0.0)))),
            Self::LeakyRelu { slope } => {
                w.with(Row(move |x| if x > 0.0 { x } else { slope * x }, move |x| if x > 0.0 { 1.0 } else { slope }))
            }
            Self::Clip { min, max } => w.with(Row(
                move |x: f32| {
                    if x < min {
                        min
                    } else if x > max {
                        max
                    } else {
                        x
                    }
                },
                move |x| f32::from(u8::from(min < x && x < max)),
            )),
            Self::Sigmoid => w.with(Row(math::sigmoid, |x| {
                let y = math::sigmoid(x);
                y * (1.0 - y)
            })),
            Self::HardSigmoid { alpha, beta } => w.with(Row(
                move |x| hard(alpha * x + beta),
                move |x| if (0.0..1.0).contains(&(alpha * x + beta)) { alpha } else { 0.0 },
            )),
            Self::HardSwish => w.with(Row(
                |x| x * hard(x / 6.0 + 0.5),
                |x| {
                    if x <= -3.0 {
                        0.0
                    } else if x >= 3.0 {
                        1.0
                    } else {
                        x / 3.0 + 0.5
                    }
                },
            )),
            Self::Silu => w.with(Row(
                |x| x * math::sigmoid(x),
                |x| {
                    let y = math::sigmoid(x);
                    y * (1.0 + x * (1.0 - y))
                },
            )),
            Self::Gelu { tanh: false } => w.with(Row(
                |x| 0.5 * x * (1.0 + math::erf(x * SQRT_HALF)),
                |x| 0.5 * (1.0 + math::erf(x * SQRT_HALF)) + x * DENSITY_AT_0 * math::exp(-0.5 * x * x),
            )),
            Self::Gelu { tanh: true } => w.with(Row(
                |x| 0.5 * x * (1.0 + math::tanh(SQRT_2_BY_PI * (x + 0.044715 * x * x * x))),
                |x| {
                    let t = math::tanh(SQRT_2_BY_PI * (x + 0.044715 * x * x * x));
                    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * SQRT_2_BY_PI * (1.0 + 0.134145 * x * x)
                },
            )),
            Self::Tanh => w.with(Row(math::tanh, |x| {
                let y = math::tanh(x);
                1.0 - y * y
            })),
            Self::Elu { alpha } => w.with(Row(
                move |x| if x > 0.0 { x } else { alpha * (math::exp(x) - 1.0) },
                move |x| if x > 0.0 { 1.0 } else { alpha * math::exp(x) },
            )),
            Self::Quantise(grid) => w.with(Row(move |x| grid.nearest(x), move |x| f32::from(u8::from(grid.covers(x))))),
        }
    }

    /// What ONNX calls it, and with which attributes; none where it has to be written out.
    fn operator(self) -> Option<(&'static str, Vec<(&'static str, Attribute)>)> {
        Some(match self {
            Self::Relu => ("Relu", vec![]),
            Self::LeakyRelu { slope } => ("LeakyRelu", vec![("alpha", slope.into())]),
            Self::Sigmoid => ("Sigmoid", vec![]),
            Self::HardSigmoid { alpha, beta } => ("HardSigmoid", vec![("alpha", alpha.into()), ("beta", beta.into())]),
            Self::HardSwish => ("HardSwish", vec![]),
            Self::Tanh => ("Tanh", vec![]),
            Self::Elu { alpha } => ("Elu", vec![("alpha", alpha.into())]),
            Self::Clip { .. } | Self::Silu | Self::Gelu { .. } | Self::Quantise(_) => return None,
        })
    }

    /// The operators of what ONNX has no name for.
    fn written_out(self, graph: &mut Graph, name: &str, x: &str) -> String {
        let mut then = |kind: &str, what: &str, inputs: &[&str]| {
            let name = if what.is_empty() { name.to_string() } else { format!("{name}.{what}") };
            graph.operator(kind, &name, &inputs.iter().map(|&input| input.into()).collect::<Vec<_>>(), &[])
        };
        match self {
            Self::Silu => {
                let y = then("Sigmoid", "sigmoid", &[x]);
                then("Mul", "", &[x, &y])
            }
            Self::Clip { min, max } => {
                let [min, max] =
                    [("min", min), ("max", max)].map(|(what, v)| graph.number(&format!("{name}.{what}"), v));
                graph.operator("Clip", name, &[x.into(), min, max], &[])
            }
            Self::Gelu { tanh } => gelu(graph, name, x, tanh),
            Self::Quantise(grid) => graph.quantised(name, x, grid),
            _ => x.into(),
        }
    }

    /// The activation that a file calls `tag`, with these settings.
    ///
    /// Serde passes over every key beside the tag of a variant without fields, so what is read is compared with what is
    /// written.
    pub(super) fn parse(tag: &str, mut settings: Map<String, Value>) -> serde_json::Result<Self> {
        settings.insert("type".into(), tag.into());
        let read: Self = serde_json::from_value(Value::Object(settings.clone()))?;
        let written = serde_json::to_value(read)?;
        match settings.keys().find(|key| written.get(key.as_str()).is_none()) {
            Some(unread) => Err(serde::de::Error::custom(format!("unknown field `{unread}` of {tag}"))),
            None => Ok(read),
        }
    }

    /// The value at `x`.
    pub fn value(self, x: f32) -> f32 {
        struct At(f32);
        impl With for At {
            type Out = f32;
            fn with<P: Pointwise>(self, row: P) -> f32 {
                row.value(self.0)
            }
        }
        self.row(At(x))
    }

    /// Replaces each number by its value.
    pub fn apply(self, xs: &mut [f32]) {
        struct Each<'a>(&'a mut [f32]);
        impl With for Each<'_> {
            type Out = ();
            fn with<P: Pointwise>(self, row: P) {
                l0_ops::map_in_place(self.0, row);
            }
        }
        self.row(Each(xs));
    }

    /// The value of each number of a tensor, which can be differentiated.
    pub(crate) fn of(self, xs: &Tensor) -> candle_core::Result<Tensor> {
        struct Of<'a>(&'a Tensor);
        impl With for Of<'_> {
            type Out = candle_core::Result<Tensor>;
            fn with<P: Pointwise>(self, row: P) -> Self::Out {
                l0_ops::map(self.0, row)
            }
        }
        if self == Self::Relu { l0_ops::relu(xs) } else { self.row(Of(xs)) }
    }
}

/// `x`, but no less than 0 and no more than 1.
#[inline(always)]
fn hard(x: f32) -> f32 {
    x.clamp(0.0, 1.0)
}

/// `0.5 x (1 + f)`, with the error function or its approximation by a tanh: opset 17 has no name for it.
fn gelu(graph: &mut Graph, name: &str, x: &str, tanh: bool) -> String {
    let mut number = |what: &str, value: f32| graph.number(&format!("{name}.{what}"), value);
    let [half, one, three] = [("half", 0.5), ("one", 1.0), ("three", 3.0)].map(|(what, v)| number(what, v));
    let factor = number("factor", if tanh { SQRT_2_BY_PI } else { SQRT_HALF });
    let cubic = number("cubic", 0.044715);
    let mut then = |kind: &str, what: &str, inputs: &[&str]| {
        let name = if what.is_empty() { name.to_string() } else { format!("{name}.{what}") };
        graph.operator(kind, &name, &inputs.iter().map(|&input| input.into()).collect::<Vec<_>>(), &[])
    };
    let inner = if tanh {
        let cube = then("Pow", "cube", &[x, &three]);
        let cube = then("Mul", "scaled", &[&cube, &cubic]);
        then("Add", "bent", &[x, &cube])
    } else {
        x.into()
    };
    let inner = then("Mul", "inner", &[&inner, &factor]);
    let f = then(if tanh { "Tanh" } else { "Erf" }, "f", &[&inner]);
    let f = then("Add", "above", &[&f, &one]);
    let f = then("Mul", "phi", &[&f, &half]);
    then("Mul", "", &[x, &f])
}

impl Rules for Activation {
    fn epilogue(&self) -> Option<Epilogue> {
        (*self == Self::Relu).then_some(Epilogue { relu: true, max_pool: 1 })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky relu",
            Self::Clip { min: 0.0, max: 6.0 } => "relu6",
            Self::Clip { .. } => "clip",
            Self::Sigmoid => "sigmoid",
            Self::HardSigmoid { .. } => "hard sigmoid",
            Self::HardSwish => "hard swish",
            Self::Silu => "silu",
            Self::Gelu { .. } => "gelu",
            Self::Tanh => "tanh",
            Self::Elu { .. } => "elu",
            Self::Quantise(_) => "quantise",
        }
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let finite = match *self {
            Self::LeakyRelu { slope: a } | Self::Elu { alpha: a } => a.is_finite(),
            Self::HardSigmoid { alpha, beta } => alpha.is_finite() && beta.is_finite(),
            Self::Clip { min, max } => min <= max && min.is_finite() && max.is_finite(),
            Self::Quantise(grid) => grid.is_sane(),
            _ => true,
        };
        if finite { Ok(inputs[0]) } else { Err(format!("expected numbers that make a function, found {self:?}")) }
    }

    /// What is 0 stays 0 where the function says so.
    fn unit(&self, unit: Unit, _: bool) -> Unit {
        if unit == Unit::Zero && self.value(0.0) != 0.0 { Unit::Constant } else { unit }
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        at.each(inputs[0], false, |xs, _| self.of(xs))
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        Ok(match self.operator() {
            Some((kind, attributes)) => graph.operator(kind, place.name, inputs, &attributes),
            None => self.written_out(graph, place.name, &inputs[0]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_a_number_stays_so_in_every_activation() {
        let grid = Grid { scale: 0.5, zero: 3, signed: false };
        let all = [
            Activation::Relu,
            Activation::LeakyRelu { slope: 0.1 },
            Activation::RELU6,
            Activation::Sigmoid,
            Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
            Activation::HardSwish,
            Activation::Silu,
            Activation::Gelu { tanh: false },
            Activation::Gelu { tanh: true },
            Activation::Tanh,
            Activation::Elu { alpha: 0.7 },
            Activation::Quantise(grid),
        ];
        let tags: std::collections::HashSet<String> =
            all.iter().map(|a| serde_json::to_value(a).unwrap()["type"].to_string()).collect();
        assert_eq!(tags.len(), Activation::TAGS.len());
        for activation in all {
            let mut xs = [f32::NAN; 9];
            activation.apply(&mut xs);
            let ys = activation.of(&Tensor::new(&[f32::NAN; 9], &candle_core::Device::Cpu).unwrap()).unwrap();
            let ys: Vec<f32> = ys.to_vec1().unwrap();
            assert!(activation.value(f32::NAN).is_nan(), "{activation:?}");
            assert!(xs.iter().chain(&ys).all(|y| y.is_nan()), "{activation:?}");
        }
        assert_eq!([-1.0, 0.0, 2.0].map(|x| Activation::Relu.value(x)), [0.0, 0.0, 2.0]);
    }
}
