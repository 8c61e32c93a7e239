//! Values that were trained elsewhere, matched to a description by name.
//!
//! A hand-written Candle model has its values in a `VarMap`, PyTorch writes them to safetensors files, both under names
//! such as "conv1.weight". A description whose layers bear the same names takes them over: in its own order, as f32.
//! What no layer asks for (PyTorch's `num_batches_tracked`, the log alpha of gates) is listed, so that nothing is lost
//! unseen.
//!
//! Where the names differ in a way that a rule can say, as in `module.*=*`, a [`Rename`] says it.
//!
//! Names and shapes can fit and the networks differ all the same, in a stride or in the place of a ReLU. So
//! [`Model::checked`] compares both on a batch.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{Module, VarBuilder, VarMap, linear};
//! use l0_net::{Builder, Import, Model};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let varmap = VarMap::new();
//! let fc = linear(4, 2, VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu).pp("fc"))?;
//!
//! let net = Builder::features("input", 4).linear("fc", 2).build()?;
//! let import = Import::from_varmap(&net, &varmap)?;
//! assert!(import.left_over.is_empty());
//! let xs = Tensor::ones((3, 4), DType::F32, &Device::Cpu)?;
//! let model = Model::checked(net, import.weights, &xs, &fc.forward(&xs)?)?;
//! assert_eq!(model.forward(&xs)?.dims(), [3, 2]);
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarMap;

use crate::error::listed;
use crate::weights::expect;
use crate::{Agreement, Error, FileProblem, Model, Net, Rename, Result, Weights};

/// Values for a network, and what came with them.
#[derive(Debug, Clone)]
pub struct Import {
    /// A value for every parameter, in the order of the description.
    pub weights: Weights,
    /// Names of the values that no parameter asked for, sorted.
    pub left_over: Vec<String>,
}

impl Import {
    /// The values of a hand-written model's variables, as they are now.
    ///
    /// # Errors
    /// As for [`Import::new`].
    pub fn from_varmap(net: &Net, varmap: &VarMap) -> Result<Self> {
        let vars = varmap.data().lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let copy = |(name, var): (&String, &candle_core::Var)| Ok((name.clone(), var.as_detached_tensor().copy()?));
        Self::new(net, vars.iter().map(copy).collect::<Result<_>>()?)
    }

    /// The values of a safetensors file, by whatever program it was written.
    ///
    /// # Errors
    /// If the file cannot be read or is no safetensors file, else as for [`Import::new`].
    pub fn from_file(net: &Net, path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::from_file_renamed(net, path, &[], device)
    }

    /// The values of a safetensors file whose names become those of the description by rules.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use candle_core::Device;
    /// # use l0_net::{Builder, Import, Rename};
    /// # let net = Builder::features("input", 4).linear("fc", 2).build()?;
    /// let rules = [Rename::new("module.*", "*")?];
    /// let import = Import::from_file_renamed(&net, "trained.safetensors", &rules, &Device::Cpu)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Import::from_file`] and [`Rename::all`].
    pub fn from_file_renamed(net: &Net, path: impl AsRef<Path>, rules: &[Rename], device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let wrong = |problem| Error::file(&path.display().to_string(), problem);
        let bytes = std::fs::read(path).map_err(|error| wrong(FileProblem::Read(error)))?;
        let named = candle_core::safetensors::load_buffer(&bytes, device);
        let named = named.map_err(|error| wrong(FileProblem::NotTensors(error.to_string())))?;
        Self::new(net, Rename::all(rules, named)?)
    }

    /// Values under their names. Other floating point types become f32.
    ///
    /// # Errors
    /// If a parameter has no value (all such are counted, the first ten named, beside what is left over), or one of
    /// another shape, of whole numbers, or that is not finite as f32.
    pub fn new(net: &Net, mut named: HashMap<String, Tensor>) -> Result<Self> {
        let parameters = net.parameters();
        let (mut values, mut missing) = (Vec::new(), Vec::new());
        for (name, _, shape) in &parameters {
            match named.remove(name) {
                Some(value) => values.push((name.clone(), converted(name, &value, shape)?)),
                None => missing.push(format!("{name} {shape:?}")),
            }
        }
        let mut left_over: Vec<(String, Tensor)> = named.into_iter().collect();
        left_over.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if !missing.is_empty() {
            let left: Vec<String> =
                left_over.iter().map(|(name, value)| format!("{name} {:?}", value.dims())).collect();
            let left = if left.is_empty() {
                "no value is left over".into()
            } else {
                format!("left over are {}", listed(&left))
            };
            let (missing, names) = (missing.len(), listed(&missing));
            return Err(Error::Missing { missing, of: parameters.len(), names, left_over: left });
        }
        let left_over = left_over.into_iter().map(|(name, _)| name).collect();
        Ok(Self { weights: Weights::new(values)?, left_over })
    }
}

fn converted(name: &str, value: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let value = if value.dtype().is_float() { value.to_dtype(DType::F32)? } else { value.clone() };
    expect(name, &value, shape)?;
    match value.flatten_all()?.to_vec1::<f32>()?.into_iter().find(|value| !value.is_finite()) {
        Some(found) => Err(Error::NotFinite { name: name.into(), found }),
        None => Ok(value),
    }
}

impl Model {
    /// A description with values that were trained elsewhere, after it was found to compute `ys`, which the other model
    /// makes of `xs` in evaluation. A batch of random numbers serves as well as one of data.
    ///
    /// # Errors
    /// As for [`Model::new`], or if the outputs do not [agree](Agreement::passes).
    pub fn checked(net: Net, weights: Weights, xs: &Tensor, ys: &Tensor) -> Result<Self> {
        let model = Self::new(net, weights)?;
        let agreement = Agreement::of(ys, &model.forward(xs)?)?;
        if agreement.passes() { Ok(model) } else { Err(Error::Differs(agreement)) }
    }
}
