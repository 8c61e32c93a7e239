//! Parameters under stable names, in a stable order, with their first values.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use l0_rng::{Purpose, Stream};
use serde::{Deserialize, Serialize};

use crate::layers::{Declared, Init};
use crate::{Error, Net, Result};

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

/// One parameter.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its key in files: "conv1.weight".
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Its value, tracked by Candle.
    pub var: Var,
}

/// All parameters of a network, in order.
#[derive(Debug, Clone, Default)]
pub struct Params {
    entries: Vec<Param>,
    index: Arc<HashMap<String, usize>>,
}

/// Parameter values by name: tracked (for training) or plain (for evaluation).
#[derive(Debug, Clone)]
pub struct Weights {
    index: Arc<HashMap<String, usize>>,
    tensors: Vec<Tensor>,
}

/// First values of a parameter: a function of the seed and its name alone.
fn initial(name: &str, declared: &Declared, seed: u64, device: &Device) -> candle_core::Result<Tensor> {
    let n = declared.shape.iter().product();
    let values = match declared.init {
        Init::Normal { fan_in } => {
            let std = (2.0 / fan_in as f32).sqrt();
            Stream::new(seed, Purpose::Init, 0, 0, name).normals(n).iter().map(|z| z * std).collect()
        }
        Init::Constant(value) => vec![value; n],
    };
    Tensor::from_vec(values, declared.shape.as_slice(), device)
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

impl Net {
    /// Name, role and shape of every parameter, in order.
    pub fn parameters(&self) -> Vec<(String, Role, Vec<usize>)> {
        self.declared().into_iter().map(|(name, declared)| (name, declared.role, declared.shape)).collect()
    }

    fn declared(&self) -> Vec<(String, Declared)> {
        let all = (0..self.nodes().len()).flat_map(|id| {
            let node = self.node(id);
            let declared = node.layer.rules().parameters(&self.input_shapes(id), self.shape(id));
            declared.into_iter().map(move |declared| (format!("{}.{}", node.name, declared.leaf), declared))
        });
        all.collect()
    }
}

impl Params {
    /// First values for every parameter of `net`: a function of the seed and the parameter's name alone.
    ///
    /// # Errors
    /// If the device cannot hold them.
    pub fn init(net: &Net, seed: u64, device: &Device) -> Result<Self> {
        let mut params = Self::default();
        for (name, declared) in net.declared() {
            let value = initial(&name, &declared, seed, device)?;
            params.insert(&name, declared.role, &value)?;
        }
        Ok(params)
    }

    /// Adds a parameter at the end.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn insert(&mut self, name: &str, role: Role, value: &Tensor) -> Result<Var> {
        if self.index.contains_key(name) {
            return Err(Error::DuplicateParameter(name.into()));
        }
        let var = Var::from_tensor(value)?;
        Arc::make_mut(&mut self.index).insert(name.into(), self.entries.len());
        self.entries.push(Param { name: name.into(), role, var: var.clone() });
        Ok(var)
    }

    /// The parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = &Param> {
        self.entries.iter()
    }

    /// The parameter with this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn get(&self, name: &str) -> Result<&Param> {
        lookup(&self.index, name).map(|i| &self.entries[i])
    }

    /// Tracked handles to the values, for training.
    pub fn weights(&self) -> Weights {
        Weights { index: self.index.clone(), tensors: self.entries.iter().map(|p| p.var.as_tensor().clone()).collect() }
    }

    /// Plain handles to the same values, for evaluation: no graph is built through them.
    pub fn detached(&self) -> Weights {
        Weights {
            index: self.index.clone(),
            tensors: self.entries.iter().map(|p| p.var.as_detached_tensor()).collect(),
        }
    }

    /// Copies all values from `weights`, which must hold every parameter in its shape, on whatever device.
    ///
    /// # Errors
    /// If one is missing, of another shape or another type; then nothing was changed.
    pub fn assign(&self, weights: &Weights) -> Result<()> {
        let value = |Param { name, var, .. }: &Param| {
            let value = weights.get(name)?;
            expect(name, value, var.dims())?;
            Ok(value.to_device(var.device())?.copy()?) // what can fail has failed before the first value changes
        };
        let values = self.entries.iter().map(value).collect::<Result<Vec<Tensor>>>()?;
        self.entries.iter().zip(values).try_for_each(|(param, value)| Ok(param.var.set(&value)?))
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

    /// The values of the parameters of `net` alone, in its order; others are left out.
    ///
    /// # Errors
    /// As for [`Weights::check`].
    pub(crate) fn of_net(&self, net: &Net) -> Result<Self> {
        self.check(net)?;
        let value = |name: String| Ok((name.clone(), self.get(&name)?.clone()));
        Self::new(net.parameters().into_iter().map(|(name, ..)| value(name)).collect::<Result<_>>()?)
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

    /// Checks that every parameter of `net` is here in its shape, in f32.
    ///
    /// # Errors
    /// If one is missing, of another shape or another type.
    pub fn check(&self, net: &Net) -> Result<()> {
        net.parameters().iter().try_for_each(|(name, _, shape)| expect(name, self.get(name)?, shape))
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

fn lookup(index: &HashMap<String, usize>, name: &str) -> Result<usize> {
    index.get(name).copied().ok_or_else(|| {
        let mut known: Vec<&str> = index.keys().map(String::as_str).collect();
        known.sort_unstable(); // a map has no order of its own
        Error::unknown("parameter", name, known)
    })
}
