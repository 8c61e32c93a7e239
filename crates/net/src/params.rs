//! Parameters under stable names, in a stable order, with their first values.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use l0_rng::{Purpose, Stream};

use crate::layers::{Declared, Init};
use crate::weights::{expect, lookup};
use crate::{Error, Net, Result, Role, StatisticsUpdate, Weights};

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

/// The most values of one parameter: 8 GiB of them. A description may ask for any number.
const MOST: usize = 1 << 31;

/// First values of a parameter: a function of the seed and its name alone.
fn initial(name: &str, declared: &Declared, seed: u64, device: &Device) -> Result<Tensor> {
    let n = declared.shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim)).filter(|&n| n <= MOST);
    let Some(n) = n else {
        let problem = format!("has the shape {:?}, expected {MOST} values at most", declared.shape);
        return Err(Error::layer(name, problem));
    };
    let values = match declared.init {
        Init::Normal { fan_in } => {
            let std = (2.0 / fan_in as f32).sqrt();
            Stream::new(seed, Purpose::Init, 0, 0, name).normals(n).iter().map(|z| z * std).collect()
        }
        Init::Constant(value) => vec![value; n],
    };
    Ok(Tensor::from_vec(values, declared.shape.as_slice(), device)?)
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
    /// If one has more than 2^31 values, or the device cannot hold them.
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

    /// Takes over what the running statistics learned in a forward pass.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn learn(&self, updates: &[StatisticsUpdate]) -> Result<()> {
        updates.iter().try_for_each(|StatisticsUpdate { node, mean, var }| {
            self.get(&format!("{node}.running_mean"))?.var.set(mean)?;
            Ok(self.get(&format!("{node}.running_var"))?.var.set(var)?)
        })
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
    /// The values of the parameters of `net` alone, in its order; others are left out.
    ///
    /// # Errors
    /// As for [`Weights::check`].
    pub(crate) fn of_net(&self, net: &Net) -> Result<Self> {
        self.check(net)?;
        let value = |name: String| Ok((name.clone(), self.get(&name)?.clone()));
        Self::new(net.parameters().into_iter().map(|(name, ..)| value(name)).collect::<Result<_>>()?)
    }

    /// Checks that every parameter of `net` is here in its shape, in f32.
    ///
    /// # Errors
    /// If one is missing, of another shape or another type.
    pub fn check(&self, net: &Net) -> Result<()> {
        net.parameters().iter().try_for_each(|(name, _, shape)| expect(name, self.get(name)?, shape))
    }
}
