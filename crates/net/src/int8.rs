//! Weights of 8 bits and biases of 32: values that lie on a grid, and the codes that are kept for them.
//!
//! Parameters are f32 everywhere. A layer is one of whole numbers if it reads what a [`Grid`] made and its values lie
//! on grids themselves, those of each output on its own; that is seen from the values, and nothing else says so.

use crate::Grid;

/// The largest code of a weight; the least is its negative, so that 0 has the code 0.
const MOST: f32 = 127.0;
/// The code of a bias where no weight says what its step is.
const FINE: f32 = (1 << 22) as f32;
/// The largest code of a bias that is read, and that is made: half the scale of the latter is one that nothing fits, so
/// that the scale is found again.
const LARGEST: f32 = (1 << 30) as f32;
const LARGEST_MADE: f32 = 0.75 * LARGEST;

/// The codes of the weights and biases of a linear layer or a convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Int8Weights {
    /// For each output the weight that a code of 1 stands for.
    pub scales: Vec<f32>,
    /// The codes, -127 to 127, as the weight lies: (outputs, ...).
    pub weight: Vec<i8>,
    /// For each output the bias, in units of its scale times that of the input.
    pub bias: Option<Vec<i32>>,
}

/// The codes of one output.
struct Row {
    scale: f32,
    weight: Vec<i8>,
    bias: i32,
}

impl Int8Weights {
    /// The codes nearest to the weights (outputs, ...) and biases of a layer that reads numbers of `input`: the largest
    /// weight of each output has the code 127 or -127, or a smaller one if otherwise the bias had one of more than 30
    /// bits. `None` if a value is no finite number.
    pub fn nearest(weight: &[f32], bias: Option<&[f32]>, outputs: usize, input: Grid) -> Option<Self> {
        Self::rows(weight, bias, outputs, |weight, bias| nearest(weight, bias, input.scale))
    }

    /// The codes of weights and biases that lie on such grids; `None` if these do not.
    pub fn exact(weight: &[f32], bias: Option<&[f32]>, outputs: usize, input: Grid) -> Option<Self> {
        Self::rows(weight, bias, outputs, |weight, bias| exact(weight, bias, input.scale))
    }

    fn rows(
        weight: &[f32],
        bias: Option<&[f32]>,
        outputs: usize,
        codes: impl Fn(&[f32], f32) -> Option<Row>,
    ) -> Option<Self> {
        let row = |(o, weight)| codes(weight, bias.map_or(0.0, |bias| bias[o]));
        let terms = (weight.len() / outputs.max(1)).max(1);
        let rows = weight.chunks_exact(terms).enumerate().map(row).collect::<Option<Vec<Row>>>()?;
        Some(Self {
            scales: rows.iter().map(|row| row.scale).collect(),
            bias: bias.map(|_| rows.iter().map(|row| row.bias).collect()),
            weight: rows.into_iter().flat_map(|row| row.weight).collect(),
        })
    }

    /// The weights that the codes stand for.
    pub fn weights(&self) -> Vec<f32> {
        let terms = self.weight.len() / self.scales.len().max(1);
        let rows = self.weight.chunks(terms.max(1)).zip(&self.scales);
        rows.flat_map(|(row, scale)| row.iter().map(move |&code| f32::from(code) * scale)).collect()
    }

    /// The steps of the biases of a layer that reads numbers of `input`.
    pub fn steps(&self, input: Grid) -> Vec<f32> {
        self.scales.iter().map(|scale| scale * input.scale).collect()
    }

    /// The biases that the codes stand for.
    pub fn biases(&self, input: Grid) -> Option<Vec<f32>> {
        let codes = self.bias.as_ref()?.iter();
        Some(codes.zip(self.steps(input)).map(|(&code, step)| code as f32 * step).collect())
    }
}

/// A bias beside which weights so small count for nothing, or no weights at all: its scale follows from itself.
fn bias_alone(terms: usize, bias: f32, input: f32) -> Option<Row> {
    let scale = bias.abs() / (input * FINE);
    let scale = if scale < f32::MIN_POSITIVE { 1.0 } else { scale }; // so small a bias is 0
    scale.is_normal().then(|| Row { scale, weight: vec![0; terms], bias: (bias / (scale * input)).round() as i32 })
}

fn nearest(weight: &[f32], bias: f32, input: f32) -> Option<Row> {
    if weight.iter().any(|w| !w.is_finite()) || !bias.is_finite() {
        return None;
    }
    let scale = (largest(weight) / MOST).max(bias.abs() / (LARGEST_MADE * input));
    let (step, code) = (scale * input, |w: &f32| (w / scale).round_ties_even() as i8);
    if !step.is_normal() || weight.iter().all(|w| code(w) == 0) {
        return bias_alone(weight.len(), bias, input);
    }
    let weight = weight.iter().map(code).collect();
    Some(Row { scale, weight, bias: (bias / step).round_ties_even() as i32 })
}

fn largest(weight: &[f32]) -> f32 {
    weight.iter().fold(0.0, |most: f32, w| most.max(w.abs()))
}

/// All weights are multiples of their common divisor; the scale is a part of that of which the bias is a multiple, too,
/// and the smallest such, since [`nearest`] leaves no smaller one.
fn exact(weight: &[f32], bias: f32, input: f32) -> Option<Row> {
    let most = largest(weight);
    if !most.is_finite() || !bias.is_finite() {
        return None;
    }
    if most == 0.0 {
        return bias_alone(weight.len(), bias, input);
    }
    let step = weight.iter().try_fold(most, |step, w| divisor(step, w.abs(), most))?;
    let codes = (most / step).round();
    let divided = (1..=(MOST / codes) as u32).rev().map(|parts| most / (codes * parts as f32));
    divided.filter(|&scale| (scale * input).is_normal()).find_map(|scale| on_grid(weight, bias, scale, input))
}

/// The largest number of which `a` and `b` are multiples, if the largest weight is at most 127 times that.
fn divisor(mut a: f32, mut b: f32, most: f32) -> Option<f32> {
    let nothing = most / MOST / 4.0; // less than any step that counts
    while b > nothing {
        let rest = a % b;
        (a, b) = (b, if b - rest < nothing { 0.0 } else { rest });
    }
    (most / a < MOST + 0.5).then_some(a)
}

/// The codes for a scale, if weights and bias are multiples of what it makes.
fn on_grid(weight: &[f32], bias: f32, scale: f32, input: f32) -> Option<Row> {
    let code = |w: &f32| {
        let code = (w / scale).round();
        ((w - code * scale).abs() <= 1e-5 * scale * MOST).then_some(code as i8)
    };
    let (weight, step) = (weight.iter().map(code).collect::<Option<_>>()?, scale * input);
    let code = (bias / step).round();
    let close = (bias - code * step).abs() <= 1e-3 * step + 1e-6 * bias.abs();
    (close && code.abs() <= LARGEST).then_some(Row { scale, weight, bias: code as i32 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use l0_rng::{Purpose, Stream};

    const INPUT: Grid = Grid { scale: 0.0173, zero: 0, signed: false };

    fn normals(seed: u64, n: usize) -> Vec<f32> {
        Stream::new(seed, Purpose::Other, 0, 0, "int8").normals(n)
    }

    #[test]
    fn codes_are_found_again_in_the_values_that_they_stand_for() {
        for (seed, terms) in [(1, 1), (2, 2), (3, 9), (4, 25), (5, 300)] {
            let (weight, bias) = (normals(seed, 7 * terms), normals(seed + 100, 7));
            let codes = Int8Weights::nearest(&weight, Some(&bias), 7, INPUT).unwrap();
            let (weights, biases) = (codes.weights(), codes.biases(INPUT));
            let again = Int8Weights::exact(&weights, biases.as_deref(), 7, INPUT).unwrap();
            assert_eq!((&again.weight, &again.bias), (&codes.weight, &codes.bias), "{terms} terms");
            let worst = |scale: f32| 0.5001 * scale;
            let errors = weights.iter().zip(&weight).map(|(a, b)| (a - b).abs());
            assert!(errors.enumerate().all(|(i, error)| error <= worst(codes.scales[i / terms])));
        }
    }

    #[test]
    fn values_of_one_scale_for_all_outputs_are_found_too() {
        // As others quantise: a scale for the whole tensor, of which an output may use a few even codes alone.
        let codes: [i32; 8] = [127, -3, 5, 40, 6, -12, 0, 18];
        let (scale, bias) = (0.0031f32, [77f32 * 0.0031 * INPUT.scale, -5.0 * 0.0031 * INPUT.scale]);
        let weight = codes.map(|code| code as f32 * scale);
        let found = Int8Weights::exact(&weight, Some(&bias), 2, INPUT).unwrap();
        for (a, b) in found.weights().iter().zip(&weight) {
            assert!((a - b).abs() < 1e-6);
        }
        for (a, b) in found.biases(INPUT).unwrap().iter().zip(&bias) {
            assert!((a - b).abs() < 1e-7);
        }
    }

    #[test]
    fn other_values_lie_on_no_grid() {
        assert_eq!(Int8Weights::exact(&normals(1, 40), None, 2, INPUT), None);
        assert_eq!(Int8Weights::exact(&[1.0, f32::NAN], None, 1, INPUT), None);
        assert_eq!(Int8Weights::nearest(&[1.0, 2.0], Some(&[f32::INFINITY]), 1, INPUT), None);
    }

    #[test]
    fn weights_beside_a_bias_too_large_for_their_scale_are_kept() {
        let weight = [0.5, -0.25, 1.0];
        for bias in [1e6, -3e6, 2e5] {
            let codes = Int8Weights::nearest(&weight, Some(&[bias]), 1, INPUT).unwrap();
            let (weights, biases) = (codes.weights(), codes.biases(INPUT));
            assert!(codes.scales[0] > 1.0 / MOST && codes.weight.iter().all(|&code| code != 0), "{codes:?}");
            assert!(weights.iter().zip(&weight).all(|(a, b)| (a - b).abs() <= 0.5001 * codes.scales[0]), "{codes:?}");
            assert!((biases.as_ref().unwrap()[0] - bias).abs() <= 1e-6 * bias.abs(), "{codes:?}");
            let again = Int8Weights::exact(&weights, biases.as_deref(), 1, INPUT).unwrap();
            assert_eq!(again.weight, codes.weight, "{bias}");
        }
    }

    #[test]
    fn a_bias_beside_nothing_is_kept() {
        for weight in [[0.0, 0.0], [1e-30, 0.0]] {
            let codes = Int8Weights::nearest(&weight, Some(&[0.7]), 1, INPUT).unwrap();
            assert!((codes.biases(INPUT).unwrap()[0] - 0.7).abs() < 1e-6);
            assert_eq!(codes.weight, [0, 0]);
            assert_eq!(Int8Weights::exact(&codes.weights(), codes.biases(INPUT).as_deref(), 1, INPUT), Some(codes));
        }
    }
}
