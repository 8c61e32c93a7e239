//! What the tests of several modules share.

use candle_core::{DType, Device, Tensor, Var};
use l0_rng::{Purpose, Stream};

/// The values of a tensor in one row.
pub(crate) fn row(xs: &Tensor) -> Vec<f64> {
    xs.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// The value of a scalar.
pub(crate) fn scalar(xs: &Tensor) -> f64 {
    xs.detach().to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

/// Uniform numbers of (0, 1) in a shape, in `f32`; other names, other numbers.
pub(crate) fn uniform(shape: &[usize], name: &str) -> Tensor {
    let values = Stream::new(5, Purpose::Other, 0, 0, name).uniforms(shape.iter().product());
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Normal numbers in a shape, in `f32`.
pub(crate) fn normal(shape: &[usize], name: &str) -> Tensor {
    let values = Stream::new(6, Purpose::Other, 0, 0, name).normals(shape.iter().product());
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A variable with the values of a tensor.
pub(crate) fn var(xs: &Tensor) -> Var {
    Var::from_tensor(&xs.copy().unwrap()).unwrap()
}

/// Every pair differs by at most `tolerance` times the largest expected value or 1.
pub(crate) fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let scale = expected.iter().fold(1f64, |m, e| m.max(e.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * scale, "{what}[{i}]: {f}, expected {e}");
    }
}

/// The gradient of the scalar `loss` with respect to `at`, by central differences.
pub(crate) fn numeric_gradient(at: &Tensor, step: f64, loss: impl Fn(&Tensor) -> Tensor) -> Vec<f64> {
    let values = row(at);
    let value_at = |i: usize, delta: f64| {
        let mut moved = values.clone();
        moved[i] += delta;
        let moved = Tensor::from_vec(moved, at.shape(), at.device()).unwrap().to_dtype(at.dtype()).unwrap();
        row(&loss(&moved))[0]
    };
    (0..values.len()).map(|i| (value_at(i, step) - value_at(i, -step)) / (2.0 * step)).collect()
}

/// The gradient of the scalar `loss` with respect to `at` by Candle's backward.
pub(crate) fn gradient(at: &Tensor, loss: impl Fn(&Tensor) -> Tensor) -> Vec<f64> {
    let at = var(at);
    let grads = loss(at.as_tensor()).backward().unwrap();
    row(grads.get(&at).expect("a gradient"))
}

/// The message of an error.
pub(crate) fn message<T, E: std::fmt::Display>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}
