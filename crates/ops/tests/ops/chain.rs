//! Gradients that pass between our operations and Candle's, and through values that are used more than once.

use candle_core::{Result, Tensor, Var};
use l0_ops::{Selection, add, backward, linear, relu, select, take};

use crate::support::{Array, values};

fn var(name: &str, dims: &[usize]) -> Var {
    Var::from_tensor(&Array::normal(name, dims).tensor()).unwrap()
}

/// The gradients of `loss` from [`backward`] and from Candle's own must be those of `expected`, of Candle's operations.
fn check(vars: &[&Var], loss: impl Fn(&[Tensor]) -> Result<Tensor>, expected: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let (loss, expected) = (loss(&tensors).unwrap(), expected(&tensors).unwrap().backward().unwrap());
    let (ours, candles) = (backward(&loss).unwrap(), loss.backward().unwrap());
    for var in vars {
        let expected = values(expected.get(var).unwrap());
        for found in [ours.get(var).unwrap().unwrap(), candles.get(var).unwrap().clone()] {
            assert_eq!(found.dims(), var.dims());
            for (found, expected) in values(&found).iter().zip(&expected) {
                assert!(
                    (found - expected).abs() <= 1e-4 * expected.abs().max(1.0),
                    "found {found}, expected {expected}"
                );
            }
        }
    }
}

#[test]
fn a_value_used_by_both_takes_both_gradients() {
    let (xs, weight) = (var("xs", &[5, 7]), var("weight", &[4, 7]));
    let product = |t: &[Tensor]| t[0].matmul(&t[1].t()?);
    check(
        &[&xs, &weight],
        |t| {
            let ys = linear(&t[0], &t[1], None)?;
            (add(&relu(&ys)?, &ys)? + ys.sqr()?)?.sum_all()
        },
        |t| {
            let ys = product(t)?;
            ((ys.maximum(0.0)? + &ys)? + ys.sqr()?)?.sum_all()
        },
    );
}

#[test]
fn variables_and_values_of_candle_enter() {
    let (weight, scale) = (var("weight", &[6, 6]), var("scale", &[6]));
    let all = Selection::all(6);
    check(
        &[&weight, &scale],
        |t| {
            let scale = t[1].sqr()?; // made by Candle
            let block = select(&t[0], &all, &all, None, Some(&scale))?;
            let again = linear(&block, &t[0], Some(&scale))?; // both used twice
            (take(&again, 1, &Selection::of(&[true, false, true, true, true, false]))? * &block.narrow(1, 0, 4)?)?
                .sum_all()
        },
        |t| {
            let scale = t[1].sqr()?;
            let block = t[0].broadcast_mul(&scale)?;
            let again = block.matmul(&t[0].t()?)?.broadcast_add(&scale)?;
            let kept = Tensor::new(&[0u32, 2, 3, 4], again.device())?;
            (again.index_select(&kept, 1)? * &block.narrow(1, 0, 4)?)?.sum_all()
        },
    );
}

#[test]
fn what_the_loss_does_not_reach_has_no_gradient() {
    let (xs, unused) = (var("xs", &[3, 3]), var("unused", &[3, 3]));
    let idle = relu(unused.as_tensor()).unwrap();
    let grads = backward(&relu(xs.as_tensor()).unwrap().sum_all().unwrap()).unwrap();
    assert!(grads.get(&xs).unwrap().is_some() && grads.get(&unused).unwrap().is_none());
    drop(idle);
    let detached = relu(&xs.detach()).unwrap();
    assert!(!detached.track_op());
}
