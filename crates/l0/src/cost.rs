//! Parameters, multiply-accumulates and floating point operations of single layers, gated or not.
//!
//! With r_o and q_i the probabilities that output o is needed and input i arrives (1 or 0 for a *hard* count), P the
//! gates' own, k the side of a window and p the positions of the output (1 for a linear layer):
//!
//! ```text
//! params = sum over o, i of r_o q_i P_oi k k  +  sum over o of r_o P_o   (the second with a bias)
//! MACs   = p * (the first sum)
//! FLOPs  = 2 MACs + p * (the second sum)
//! ```
//!
//! where P_oi is P_i for gates on inputs, P_o on outputs, 1 without gates, and P_o in the second sum is 1 unless gates
//! are on outputs. Expected counts take gates as independent, which they are. Pruned inputs *and* outputs come off.

use candle_core::{Result, Tensor, bail};
use candle_nn::{Conv2d, Linear};
use serde::{Deserialize, Serialize};

use crate::{GatedLayer, Granularity, Side};

/// Which gates count as open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Count {
    /// Each with its probability P(z != 0).
    Expected,
    /// Those whose test-time value is not 0, by the layer's estimator.
    Hard,
}

/// What surrounds a layer: which of its units the rest of the network supplies and uses.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// For each input of the layer, the probability that it is not 0 for lack of a gate elsewhere; all if `None`.
    pub inputs: Option<&'a [f64]>,
    /// For each output of the layer, the probability that somebody reads it; all if `None`.
    pub outputs: Option<&'a [f64]>,
    /// Pixels of an output map, h' w'; 1 for a linear layer.
    pub positions: usize,
}

impl Default for Around<'_> {
    fn default() -> Self {
        Self { inputs: None, outputs: None, positions: 1 }
    }
}

/// Counts for one example; add them up over layers.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Weights and biases that are needed.
    pub params: f64,
    /// Multiply-accumulates.
    pub macs: f64,
    /// Floating point operations: two for each multiply-accumulate, one for each bias added.
    pub flops: f64,
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let Self { params, macs, flops } = other;
        Self { params: self.params + params, macs: self.macs + macs, flops: self.flops + flops }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |total, cost| total + cost)
    }
}

/// A layer whose cost can be counted.
pub trait LayerCost {
    /// The cost of the layer for one example.
    ///
    /// # Errors
    /// If `around` has not as many units as the layer, or as for [`Estimator::values`](crate::Estimator::values).
    fn cost(&self, count: Count, around: &Around) -> Result<Cost>;
}

impl<L: GatedLayer> LayerCost for L {
    fn cost(&self, count: Count, around: &Around) -> Result<Cost> {
        let gates = match count {
            Count::Expected => self.gate().prob_open_vec()?,
            Count::Hard => {
                let open = self.gate().open(self.config().estimator)?;
                open.into_iter().map(|open| f64::from(u8::from(open))).collect()
            }
        };
        let mut block = Block::new(self.weight(), self.bias(), around)?;
        match (self.config().granularity, self.parts().side) {
            (Granularity::Unit, Side::Input) => scale(&mut block.inputs, &gates),
            (Granularity::Unit, Side::Output) => scale(&mut block.outputs, &gates),
            (Granularity::Weight, _) => block.each = Some(gates),
        }
        Ok(block.cost(around.positions))
    }
}

impl LayerCost for Linear {
    fn cost(&self, _: Count, around: &Around) -> Result<Cost> {
        Ok(Block::new(self.weight(), self.bias(), around)?.cost(around.positions))
    }
}

impl LayerCost for Conv2d {
    fn cost(&self, _: Count, around: &Around) -> Result<Cost> {
        Ok(Block::new(self.weight(), self.bias(), around)?.cost(around.positions))
    }
}

fn scale(probabilities: &mut [f64], gates: &[f64]) {
    probabilities.iter_mut().zip(gates).for_each(|(p, gate)| *p *= gate);
}

/// A weight (out, in, area) with the probabilities of its units.
struct Block {
    inputs: Vec<f64>,
    outputs: Vec<f64>,
    area: usize,
    /// One probability for each number of the weight, where those have gates.
    each: Option<Vec<f64>>,
    bias: bool,
}

fn units(what: &str, given: Option<&[f64]>, expected: usize) -> Result<Vec<f64>> {
    match given {
        Some(given) if given.len() != expected => {
            bail!("found probabilities of {} {what} but the layer has {expected}", given.len())
        }
        Some(given) => Ok(given.to_vec()),
        None => Ok(vec![1.0; expected]),
    }
}

impl Block {
    fn new(weight: &Tensor, bias: Option<&Tensor>, around: &Around) -> Result<Self> {
        Ok(Self {
            inputs: units("inputs", around.inputs, weight.dim(1)?)?,
            outputs: units("outputs", around.outputs, weight.dim(0)?)?,
            area: weight.dims()[2..].iter().product(),
            each: None,
            bias: bias.is_some(),
        })
    }

    fn weights(&self) -> f64 {
        let Some(each) = &self.each else {
            return self.inputs.iter().sum::<f64>() * self.outputs.iter().sum::<f64>() * self.area as f64;
        };
        let rows = each.chunks_exact(self.inputs.len() * self.area).zip(&self.outputs);
        let row = |row: &[f64]| -> f64 {
            row.chunks_exact(self.area).zip(&self.inputs).map(|(area, q)| area.iter().sum::<f64>() * q).sum()
        };
        rows.map(|(probabilities, r)| row(probabilities) * r).sum()
    }

    fn cost(&self, positions: usize) -> Cost {
        let (weights, positions) = (self.weights(), positions as f64);
        let biases = if self.bias { self.outputs.iter().sum() } else { 0.0 };
        let macs = positions * weights;
        Cost { params: weights + biases, macs, flops: 2.0 * macs + positions * biases }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::testing::{close, message, normal};
    use crate::{Gate, Geometry, HardConcrete, L0Conv2d, L0Linear, LayerConfig};

    /// sigmoid(3.0181 + 1.598597) twice and sigmoid(-3.6648 + 1.598597): the expected number of two open gates and one closed.
    const EXPECTED: f64 = 2.0 * 0.990_211_4 + 0.112_425_4;

    /// Gates that eq. 13 closes where `open` is 0; see `EXPECTED` for P(z != 0).
    fn gate(open: &[u8], shape: &[usize]) -> Gate {
        let log_alpha: Vec<f32> = open.iter().map(|&open| if open == 1 { 3.0181 } else { -3.6648 }).collect();
        Gate::new(Tensor::from_vec(log_alpha, shape, &Device::Cpu).unwrap(), HardConcrete::default()).unwrap()
    }

    fn check(layer: &impl LayerCost, count: Count, around: &Around, params: f64, macs: f64, flops: f64) {
        let found = layer.cost(count, around).unwrap();
        close("params, MACs, FLOPs", &[found.params, found.macs, found.flops], &[params, macs, flops], 2e-5);
    }

    #[test]
    fn a_linear_layer_loses_gated_and_pruned_units() {
        let bias = Some(normal(&[4], "b"));
        let layer = L0Linear::new(normal(&[4, 3], "w"), bias, gate(&[1, 0, 1], &[3]), LayerConfig::default()).unwrap();
        check(&layer, Count::Hard, &Around::default(), 12.0, 8.0, 20.0);
        let p = EXPECTED;
        check(&layer, Count::Expected, &Around::default(), 4.0 * p + 4.0, 4.0 * p, 8.0 * p + 4.0);
        // The first input never arrives and only half of an output is read.
        let around =
            Around { inputs: Some(&[0.0, 1.0, 1.0]), outputs: Some(&[0.5, 0.0, 0.0, 0.0]), ..Default::default() };
        check(&layer, Count::Hard, &around, 1.0, 0.5, 1.5);
    }

    #[test]
    fn a_convolution_loses_its_closed_maps_with_their_bias() {
        let (weight, bias) = (normal(&[3, 2, 5, 5], "w"), Some(normal(&[3], "b")));
        let gate = gate(&[1, 0, 1], &[3]);
        let layer = L0Conv2d::new(weight, bias, gate, Geometry::default(), LayerConfig::default()).unwrap();
        let around = Around { positions: 36, ..Default::default() };
        check(&layer, Count::Hard, &around, 102.0, 3600.0, 7272.0);
        let p = EXPECTED;
        check(&layer, Count::Expected, &around, 51.0 * p, 1800.0 * p, 3636.0 * p);
        let around = Around { inputs: Some(&[1.0, 0.0]), outputs: Some(&[1.0, 1.0, 0.0]), positions: 36 };
        check(&layer, Count::Hard, &around, 26.0, 900.0, 1836.0);
    }

    #[test]
    fn gates_on_weights_count_one_by_one() {
        let each = LayerConfig { granularity: Granularity::Weight, ..Default::default() };
        let layer = L0Linear::new(normal(&[2, 3], "w"), None, gate(&[1, 0, 1, 0, 0, 1], &[2, 3]), each).unwrap();
        check(&layer, Count::Hard, &Around::default(), 3.0, 3.0, 6.0);
        let around = Around { inputs: Some(&[1.0, 1.0, 0.0]), outputs: Some(&[1.0, 0.0]), ..Default::default() };
        check(&layer, Count::Hard, &around, 1.0, 1.0, 2.0);
    }

    #[test]
    fn plain_layers_and_their_total() {
        // LeNet-300-100: 784 * 300 + 300 * 100 + 100 * 10 = 266,200 weights, and 410 biases.
        let layer = |i: usize, o: usize| {
            let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
            Linear::new(zeros(&[o, i]), Some(zeros(&[o])))
        };
        let layers = [layer(784, 300), layer(300, 100), layer(100, 10)];
        let total: Cost = layers.iter().map(|l| l.cost(Count::Hard, &Around::default()).unwrap()).sum();
        assert_eq!(total, Cost { params: 266_610.0, macs: 266_200.0, flops: 532_810.0 });
        let error = message(layers[0].cost(Count::Hard, &Around { inputs: Some(&[1.0]), ..Default::default() }));
        assert!(error.contains("found probabilities of 1 inputs but the layer has 784"));
    }
}
