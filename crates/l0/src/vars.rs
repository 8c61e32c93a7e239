//! The variables of a model written by hand: which are gates and which are not.

use std::sync::PoisonError;

use candle_core::{Result, Var};
use candle_nn::VarMap;

use crate::gate::LOG_ALPHA_RANGE;

/// The variables of a model in two groups, for an optimiser each: gates want no weight decay, and often another
/// learning rate.
#[derive(Debug, Clone)]
pub struct Vars {
    /// Weights, biases and whatever else is no gate, in the order of their names.
    pub weights: Vec<Var>,
    /// The locations of gates, named "log_alpha", in the order of theirs.
    pub gates: Vec<Var>,
}

impl Vars {
    /// Splits what a model keeps in `varmap`.
    pub fn of(varmap: &VarMap) -> Self {
        let data = varmap.data().lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(&String, &Var)> = data.iter().collect();
        all.sort_by_key(|(name, _)| *name);
        let (gates, weights): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _)| is_gate(name));
        let vars = |group: Vec<(&String, &Var)>| group.into_iter().map(|(_, var)| var.clone()).collect();
        Self { weights: vars(weights), gates: vars(gates) }
    }
}

/// Brings every gate of a model back into its range, as [`Gate::clamp_`](crate::Gate::clamp_) does; due after each step
/// of the optimiser.
///
/// # Errors
/// If a device fails.
pub fn clamp_gates(varmap: &VarMap) -> Result<()> {
    let gates = Vars::of(varmap).gates;
    gates.iter().try_for_each(|gate| l0_ops::update::clamp(gate, LOG_ALPHA_RANGE.0, LOG_ALPHA_RANGE.1))
}

fn is_gate(name: &str) -> bool {
    name.rsplit('.').next() == Some("log_alpha")
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};
    use candle_nn::VarBuilder;

    use super::*;
    use crate::testing::row;
    use crate::{LayerConfig, l0_conv2d, l0_linear};

    #[test]
    fn gates_are_told_from_weights_and_clamped_together() {
        let varmap = VarMap::new();
        let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
        l0_conv2d(1, 2, 3, Default::default(), LayerConfig::default(), vb.pp("a.conv")).unwrap();
        l0_linear(4, 3, LayerConfig::default(), vb.clone()).unwrap();
        candle_nn::linear(3, 2, vb.pp("my_log_alpha")).unwrap();
        let Vars { weights, gates } = Vars::of(&varmap);
        let sizes = |vars: &[Var]| vars.iter().map(|var| var.elem_count()).collect::<Vec<_>>();
        assert_eq!((sizes(&gates), sizes(&weights)), (vec![2, 4], vec![2, 18, 3, 2, 6, 12]));

        gates[0].set(&Tensor::new(&[-9f32, 0.5], &Device::Cpu).unwrap()).unwrap();
        gates[1].set(&Tensor::new(&[9f32, 9.0, -9.0, 1.0], &Device::Cpu).unwrap()).unwrap();
        let before = row(&weights[1]);
        clamp_gates(&varmap).unwrap();
        let (low, high) = (f64::from(LOG_ALPHA_RANGE.0 as f32), f64::from(LOG_ALPHA_RANGE.1 as f32));
        assert_eq!((row(&gates[0]), row(&gates[1])), (vec![low, 0.5], vec![high, high, low, 1.0]));
        assert_eq!(row(&weights[1]), before);
    }
}
