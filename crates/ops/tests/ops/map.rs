//! Functions of each number.

use candle_core::{DType, Tensor, Var};
use l0_ops::{Pointwise, map, math};

use crate::support::{Array, check};

/// x sigmoid(x), which bends everywhere.
#[derive(Clone, Copy)]
struct Silu;

impl Pointwise for Silu {
    fn value(self, x: f32) -> f32 {
        x * math::sigmoid(x)
    }

    fn slope(self, x: f32) -> f32 {
        let s = math::sigmoid(x);
        s * (1.0 + x * (1.0 - s))
    }
}

#[test]
fn a_function_and_its_slope() {
    for dims in [vec![], vec![0], vec![5], vec![3, 2, 4, 5], vec![40, 1000]] {
        check(
            &format!("map {dims:?}"),
            &[Array::normal("xs", &dims)],
            &|t| map(&t[0], Silu),
            &|t| &t[0] * candle_core::Tensor::ones_like(&t[0])?.broadcast_div(&(t[0].neg()?.exp()? + 1.0)?)?,
            &|xs| xs[0].iter().map(|x| x / (1.0 + (-x).exp())).collect(),
        );
    }
}

#[test]
fn other_types_and_views_come_and_go() {
    let xs = Var::from_tensor(&Array::normal("xs", &[4, 6]).tensor().to_dtype(DType::F64).unwrap()).unwrap();
    let ys = map(&xs.t().unwrap(), Silu).unwrap();
    assert_eq!((ys.dtype(), ys.dims()), (DType::F64, &[6, 4][..]));
    let grads = ys.sum_all().unwrap().backward().unwrap();
    let slopes = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    for (found, x) in slopes(grads.get(&xs).unwrap()).iter().zip(slopes(&xs)) {
        assert_eq!(*found, f64::from(Silu.slope(x as f32)));
    }
}
