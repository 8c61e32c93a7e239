//! Values of parameters under their names.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a parameter is, so that optimisers and decay can be chosen by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Weight of a linear layer or a convolution.
    Weight,
    /// Bias of a linear layer or a convolution.
    Bias,
    /// Scale or shift of a normalisation, or the slope of a PReLU.
    Norm,
    /// Running statistic: not trained, but part of the network.
    Statistic,
    /// What a pruning method adds to learn its masks.
    Mask,
}

impl Role {
    /// Whether an optimiser changes it.
    pub fn is_trained(self) -> bool {
        self != Self::Statistic
    }
}

/// Parameter values by name: tracked (for training) or plain (for evaluation).
#[derive(Debug, Clone)]
pub struct Weights {
    pub(crate) index: Arc<HashMap<String, usize>>,
    pub(crate) tensors: Vec<Tensor>,
}

/// The parameters of one layer.
pub(crate) struct Values<'a> {
    pub(crate) weights: &'a Weights,
    pub(crate) node: &'a str,
}

impl<'a> Values<'a> {
    /// The value of a parameter.
    pub(crate) fn of(&self, leaf: &str) -> Result<&'a Tensor> {
        self.weights.of(self.node, leaf)
    }
}

impl Weights {
    /// Values under names.
    ///
    /// # Errors
    /// If a name stands twice.
    pub fn new(named: Vec<(String, Tensor)>) -> Result<Self> {
        let mut index = HashMap::new();
        let mut tensors = Vec::with_capacity(named.len());
        for (name, tensor) in named {
            if index.insert(name.clone(), tensors.len()).is_some() {
                return Err(Error::DuplicateParameter(name));
            }
            tensors.push(tensor);
        }
        Ok(Self { index: Arc::new(index), tensors })
    }

    /// The value with this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        lookup(&self.index, name).map(|i| &self.tensors[i])
    }

    /// The parameter `leaf` of the layer `node`. Networks compute in f32 alone.
    pub(crate) fn of(&self, node: &str, leaf: &str) -> Result<&Tensor> {
        let name = format!("{node}.{leaf}");
        let value = self.get(&name)?;
        expect_f32(&name, value)?;
        Ok(value)
    }

    /// Where the values are; a network without parameters is computed by the CPU.
    pub(crate) fn device(&self) -> Device {
        self.tensors.first().map_or(Device::Cpu, |value| value.device().clone())
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let mut names: Vec<(&str, usize)> = self.index.iter().map(|(name, &i)| (name.as_str(), i)).collect();
        names.sort_by_key(|&(_, i)| i);
        names.into_iter().map(|(name, i)| (name, &self.tensors[i]))
    }

    /// The same names with other values, in order.
    ///
    /// # Errors
    /// If the number of values differs.
    pub fn with(&self, tensors: Vec<Tensor>) -> Result<Self> {
        if tensors.len() != self.tensors.len() {
            let (found, expected) = (vec![tensors.len()], vec![self.tensors.len()]);
            return Err(Error::Shape { name: "values of all parameters".into(), found, expected });
        }
        Ok(Self { index: self.index.clone(), tensors })
    }

    /// The same values on one device, gates included.
    ///
    /// # Errors
    /// If the device cannot hold them.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let tensors = self.tensors.iter().map(|value| value.to_device(device));
        Ok(Self { index: self.index.clone(), tensors: tensors.collect::<candle_core::Result<_>>()? })
    }
}

/// Checks a value before it is taken for the parameter `name`.
pub(crate) fn expect(name: &str, value: &Tensor, shape: &[usize]) -> Result<()> {
    if value.dims() != shape {
        return Err(Error::Shape { name: name.into(), found: value.dims().into(), expected: shape.into() });
    }
    expect_f32(name, value)
}

/// The one type that networks compute in; what comes from outside is converted where it comes in
/// ([`Import`](crate::Import)).
pub(crate) fn expect_f32(name: &str, value: &Tensor) -> Result<()> {
    match value.dtype() {
        DType::F32 => Ok(()),
        found => Err(Error::Dtype { name: name.into(), found }),
    }
}

/// The place of a parameter, or which names there are.
pub(crate) fn lookup(index: &HashMap<String, usize>, name: &str) -> Result<usize> {
    index.get(name).copied().ok_or_else(|| {
        let mut known: Vec<&str> = index.keys().map(String::as_str).collect();
        known.sort_unstable(); // a map has no order of its own
        Error::unknown("parameter", name, known)
    })
}
