//! The sum of two or more inputs of equal shape, which then share one space of units.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::facts::sum as sum_of_units;
use super::{Rules, Sources};
use crate::forward::{At, Flow, sum};
use crate::onnx::Graph;
use crate::{Place, Result, Shape, Unit};

/// The sum of inputs of equal shape, which then share one space of units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add;

impl Rules for Add {
    fn kind(&self) -> &'static str {
        "add"
    }

    fn arity(&self) -> (usize, usize) {
        (2, usize::MAX)
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs.iter().find(|&&input| input != inputs[0]) {
            None => Ok(inputs[0]),
            Some(other) => Err(format!("add expects equal shapes, found {} and {other}", inputs[0])),
        }
    }

    fn is_sum(&self) -> bool {
        true
    }

    fn becomes(&self, from: &Sources) -> Vec<Unit> {
        let all = |unit: usize| from.inputs.iter().map(move |input| input[unit]);
        (0..from.units).map(|unit| all(unit).reduce(sum_of_units).unwrap_or(Unit::Zero)).collect()
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let constants = inputs.iter().filter_map(|input| input.constants.clone());
        let constants = constants.map(Ok).reduce(|a, b| sum(&a?, &b?)).transpose()?;
        let terms = inputs.iter().enumerate().map(|(place, input)| at.expanded(place, input));
        let terms = terms.collect::<Result<Vec<Tensor>>>()?;
        let (first, others) = (&terms[0], &terms[1..]);
        let made = at.computed(|_| others.iter().try_fold(first.clone(), |sum, term| l0_ops::add(&sum, term)))?;
        Ok(Flow { constants: at.layer.masked_constants(constants)?, ..made })
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let kind = if inputs.len() == 2 { "Add" } else { "Sum" };
        Ok(graph.operator(kind, place.name, inputs, &[]))
    }
}
