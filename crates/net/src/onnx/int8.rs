//! Writing what is quantised: pairs of QuantizeLinear and DequantizeLinear (QDQ), which runtimes turn into layers of
//! whole numbers, and weights and biases as their codes.

use super::graph::{FLOAT, Graph, tensor};
use crate::{Grid, Int8Weights};

/// Codes of `TensorProto.DataType`.
pub(super) const UINT8: i64 = 2;
pub(super) const INT8: i64 = 3;
const INT32: i64 = 6;

impl Graph<'_> {
    /// The nearest numbers of a grid to a value; the name.
    pub(crate) fn quantised(&mut self, name: &str, x: &str, grid: Grid) -> String {
        let kind = if grid.signed { INT8 } else { UINT8 };
        let scale = self.number(&format!("{name}.scale"), grid.scale);
        // The same byte for codes of either sign.
        let zero = self.constant(&format!("{name}.zero"), &[], kind, &[grid.zero as u8]);
        let codes = [x.to_string(), scale.clone(), zero.clone()];
        let codes = self.operator("QuantizeLinear", &format!("{name}.codes"), &codes, &[]);
        self.operator("DequantizeLinear", name, &[codes, scale, zero], &[])
    }

    /// Stores the codes of a layer's weight and bias, with what makes numbers of them; the names of these.
    pub(super) fn int8(&mut self, layer: &str, input: Grid, codes: &Int8Weights) -> Vec<String> {
        let dims = self.weights.get(&format!("{layer}.weight")).map(|weight| weight.dims().to_vec());
        let weight: Vec<u8> = codes.weight.iter().map(|&code| code as u8).collect();
        let stored = (dims.unwrap_or_default(), INT8, weight);
        let mut names = vec![self.numbers_of(&format!("{layer}.weight"), stored, &codes.scales)];
        if let Some(bias) = &codes.bias {
            let bytes = bias.iter().flat_map(|code| code.to_le_bytes()).collect();
            let stored = (vec![bias.len()], INT32, bytes);
            names.push(self.numbers_of(&format!("{layer}.bias"), stored, &codes.steps(input)));
        }
        names
    }

    /// Stores codes under `name`, a parameter's, each row of which has a scale of its own; the name of their numbers.
    fn numbers_of(&mut self, name: &str, (dims, kind, bytes): (Vec<usize>, i64, Vec<u8>), scales: &[f32]) -> String {
        self.parameters.push(tensor(name, &dims, kind, &bytes));
        let bytes: Vec<u8> = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
        let scales = self.constant(&format!("{name}.scale"), &[scales.len()], FLOAT, &bytes);
        self.operator("DequantizeLinear", &format!("{name}.numbers"), &[name.into(), scales], &[("axis", 0.into())])
    }
}
