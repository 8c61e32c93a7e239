//! Initial values that depend on a seed and a parameter's name alone.
//!
//! Candle's own initialisers draw from a generator that cannot be seeded on a CPU.

use candle_core::{DType, Result, Shape, Tensor, Var, bail};
use candle_nn::{Init, VarBuilder};
use l0_rng::{Purpose, Stream};

/// An error unless every size is at least 1; `layer` is what has these sizes.
pub(crate) fn expect_sizes(layer: &str, sizes: &[(&str, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        Some((what, _)) => bail!("{layer} has 0 {what}, expected at least 1"),
        None => Ok(()),
    }
}

/// The full name of `name` below the prefix of `vb`.
pub(crate) fn full_name(vb: &VarBuilder, name: &str) -> String {
    match vb.prefix() {
        prefix if prefix.is_empty() => name.to_string(),
        prefix => format!("{prefix}.{name}"),
    }
}

/// The tensor `name` of `vb`; where `vb` makes a new variable for it, that is filled with `mean + deviation * n`,
/// n normal numbers of the stream (seed, name).
pub(crate) fn normal<S: Into<Shape>>(
    vb: &VarBuilder,
    shape: S,
    name: &str,
    mean: f64,
    deviation: f64,
    seed: u64,
) -> Result<Tensor> {
    let new = !vb.contains_tensor(name);
    let tensor = vb.get_with_hints(shape, name, Init::Const(mean))?;
    if new && tensor.is_variable() {
        let mut stream = Stream::new(seed, Purpose::Init, 0, 0, &full_name(vb, name));
        let values = Tensor::from_vec(stream.normals(tensor.elem_count()), tensor.shape(), &candle_core::Device::Cpu)?;
        let values = values.to_dtype(DType::F64)?.affine(deviation, mean)?;
        Var::from_tensor(&tensor)?.set(&values.to_dtype(tensor.dtype())?.to_device(tensor.device())?)?;
    }
    Ok(tensor)
}
