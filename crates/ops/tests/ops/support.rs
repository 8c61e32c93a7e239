//! One check for every operation: forward against a naive f64 loop, gradients against finite differences of that loop
//! and against `portable`, each gradient alone, and the same bits for any number of threads.

use candle_core::{Device, Result, Tensor, Var};
use l0_rng::{Purpose, Stream};
use rayon::ThreadPool;
use std::sync::OnceLock;

/// A tensor of the reference: dimensions and numbers.
#[derive(Debug, Clone)]
pub(crate) struct Array {
    pub(crate) dims: Vec<usize>,
    pub(crate) data: Vec<f32>,
}

impl Array {
    /// Normal numbers of a stream of this name.
    pub(crate) fn normal(name: &str, dims: &[usize]) -> Self {
        let n = dims.iter().product();
        Self { dims: dims.to_vec(), data: Stream::new(1, Purpose::Other, 0, n as u64, name).normals(n) }
    }

    pub(crate) fn tensor(&self) -> Tensor {
        Tensor::from_vec(self.data.clone(), self.dims.as_slice(), &Device::Cpu).unwrap()
    }

    fn f64(&self) -> Vec<f64> {
        self.data.iter().map(|&x| f64::from(x)).collect()
    }
}

pub(crate) fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    let scale = expected.iter().fold(1e-3f64, |m, x| m.max(x.abs()));
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(f) - e).abs();
        assert!(difference <= tolerance * scale, "{what}[{i}]: found {f}, expected {e} (scale {scale})");
    }
}

fn widen(xs: &[f32]) -> Vec<f64> {
    xs.iter().map(|&x| f64::from(x)).collect()
}

fn pool(threads: usize) -> &'static ThreadPool {
    static POOLS: OnceLock<Vec<ThreadPool>> = OnceLock::new();
    let build = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    &POOLS.get_or_init(|| (1..=3).map(build).collect())[threads - 1]
}

/// Result and gradients of `sum(op(inputs) * weights)` with the inputs of `tracked` as variables.
pub(crate) fn run(
    inputs: &[Array],
    tracked: &[bool],
    op: &(impl Fn(&[Tensor]) -> Result<Tensor> + ?Sized),
) -> (Vec<f32>, Vec<Option<Vec<f32>>>) {
    let vars: Vec<Var> = inputs.iter().map(|a| Var::from_tensor(&a.tensor()).unwrap()).collect();
    let args: Vec<Tensor> = vars
        .iter()
        .zip(tracked)
        .map(|(v, &tracked)| if tracked { v.as_tensor().clone() } else { v.as_detached_tensor() })
        .collect();
    let ys = op(&args).unwrap();
    let weights = Array::normal("weights", ys.dims()).tensor();
    let grads = (&ys * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let grads = vars.iter().map(|v| grads.get(v).map(values)).collect();
    (values(&ys), grads)
}

type Op<'a> = dyn Fn(&[Tensor]) -> Result<Tensor> + Sync + 'a;

/// See the top of the file. `naive` computes the result in f64 from the inputs' numbers.
pub(crate) fn check(name: &str, inputs: &[Array], op: &Op, portable: &Op, naive: &dyn Fn(&[Vec<f64>]) -> Vec<f64>) {
    let all = vec![true; inputs.len()];
    let (ys, grads) = run(inputs, &all, op);
    let wide: Vec<Vec<f64>> = inputs.iter().map(Array::f64).collect();
    assert_close(&format!("{name}: forward"), &ys, &naive(&wide), 2e-5);

    let (portable_ys, portable_grads) = run(inputs, &all, portable);
    assert_close(&format!("{name}: portable forward"), &ys, &widen(&portable_ys), 2e-5);
    for (i, (grad, other)) in grads.iter().zip(&portable_grads).enumerate() {
        let (grad, other) = (grad.as_deref().unwrap(), other.as_deref().unwrap());
        assert_close(&format!("{name}: gradient {i} against portable"), grad, &widen(other), 1e-4);
    }
    let gradients: Vec<&[f32]> = grads.iter().map(|g| g.as_deref().unwrap()).collect();
    finite_differences(name, &wide, ys.len(), &gradients, naive);

    for threads in 1..=3 {
        let again = pool(threads).install(|| run(inputs, &all, op));
        assert!(again == (ys.clone(), grads.clone()), "{name}: other bits on {threads} threads");
    }
    for i in 0..inputs.len() {
        let alone: Vec<bool> = (0..inputs.len()).map(|j| j == i).collect();
        let (_, found) = run(inputs, &alone, op);
        assert!(found[i] == grads[i], "{name}: gradient {i} differs when wanted alone");
    }
}

/// Central differences at up to 40 places of each input.
fn finite_differences(
    name: &str,
    inputs: &[Vec<f64>],
    outputs: usize,
    grads: &[&[f32]],
    naive: &dyn Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    let weights = Stream::new(1, Purpose::Other, 0, outputs as u64, "weights").normals(outputs);
    let loss = |xs: &[Vec<f64>]| naive(xs).iter().zip(&weights).map(|(y, &w)| y * f64::from(w)).sum::<f64>();
    let mut places = Stream::new(2, Purpose::Other, 0, 0, name);
    for (which, grad) in grads.iter().enumerate() {
        let scale = grad.iter().fold(1e-2f32, |m, g| m.max(g.abs()));
        let count = if outputs * grad.len() > 2_000_000 { 3 } else { 40 };
        for _ in 0..count.min(grad.len()) {
            let at = places.below(grad.len());
            let (h, mut xs) = (1e-6, inputs.to_vec());
            xs[which][at] += h;
            let above = loss(&xs);
            xs[which][at] -= 2.0 * h;
            let expected = (above - loss(&xs)) / (2.0 * h);
            let difference = (f64::from(grad[at]) - expected).abs();
            let limit = 1e-4 * f64::from(scale);
            assert!(difference <= limit, "{name}: gradient {which}[{at}] is {}, expected {expected}", grad[at]);
        }
    }
}

/// The message of an error.
pub(crate) fn message<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}
