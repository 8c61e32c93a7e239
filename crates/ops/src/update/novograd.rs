//! Adam with one second moment for a whole parameter, for parameters whose numbers compete: gates.
//!
//! Adam divides each number's gradient by that number's own size, so that all move about as fast. Among gates this
//! forgets which of them matter: under a price all close side by side. With one size for all, those that matter least
//! close first, so the remaining weights adapt before the next gates close.

use candle_core::{Result, Tensor, bail};

use super::place::{Item, check, decayed, put};
use super::rules::{Adam, correction};

/// `param`, `first` and `second` moment in place, all of the parameter's shape: every number of `second` is the same,
/// the mean of what [`adam`](super::adam) keeps for each (after NovoGrad, Ginsburg et al. 2019).
///
/// # Errors
/// As [`adam`](super::adam).
pub fn novograd(param: &Tensor, grad: &Tensor, first: &Tensor, second: &Tensor, rule: &Adam) -> Result<()> {
    if rule.step == 0 {
        bail!("novograd: step is 0, expected 1 or more")
    }
    check("novograd", param, &[("grad", grad), ("first moment", first), ("second moment", second)])?;
    let g = decayed(param, grad, rule.weight_decay)?;
    let square = g.sqr()?.mean_all()?.broadcast_as(second.shape())?;
    put(first, &((first.detach() * rule.beta1)? + (&g * (1.0 - rule.beta1))?)?)?;
    put(second, &((second.detach() * rule.beta2)? + (square * (1.0 - rule.beta2))?)?)?;
    let root = (second.detach().sqrt()? / correction(rule.beta2, rule.step).sqrt())?;
    let change = (first.detach() / (root + rule.eps)?)?;
    put(param, &(param.detach() - (change * (rule.learning_rate / correction(rule.beta1, rule.step)))?)?)
}

/// [`novograd`] of each.
///
/// # Errors
/// As [`novograd`], or if an item has not two moments.
pub fn novograd_each(items: &[Item], rule: &Adam) -> Result<()> {
    items.iter().try_for_each(|item| {
        let [first, second] = item.moments else { bail!("novograd: found {} moments, expected 2", item.moments.len()) };
        let rule = Adam { weight_decay: item.weight_decay, ..*rule };
        novograd(item.param, &item.grad_or_zeros()?, first, second, &rule)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// The recurrence in f64.
    fn reference(param: &mut [f64], grads: &[Vec<f64>], rule: &Adam) {
        let (mut m, mut v) = (vec![0.0; param.len()], 0.0);
        for (t, grad) in grads.iter().enumerate() {
            let g: Vec<f64> = grad.iter().zip(&*param).map(|(g, p)| g + rule.weight_decay * p).collect();
            v = rule.beta2 * v + (1.0 - rule.beta2) * g.iter().map(|g| g * g).sum::<f64>() / g.len() as f64;
            let (c1, c2) = (1.0 - rule.beta1.powi(t as i32 + 1), 1.0 - rule.beta2.powi(t as i32 + 1));
            for ((p, m), g) in param.iter_mut().zip(&mut m).zip(g) {
                *m = rule.beta1 * *m + (1.0 - rule.beta1) * g;
                *p -= rule.learning_rate * (*m / c1) / ((v / c2).sqrt() + rule.eps);
            }
        }
    }

    #[test]
    fn steps_are_those_of_the_recurrence() {
        let rule = Adam { learning_rate: 0.03, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.02, step: 0 };
        let grads: Vec<Vec<f64>> =
            (0..20).map(|t| (0..7).map(|i| ((t * 7 + i) as f64 * 0.61).sin() * (i + 1) as f64).collect()).collect();
        let mut expected: Vec<f64> = (0..7).map(|i| i as f64 * 0.3 - 1.0).collect();
        let single = |xs: &[f64]| xs.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let param = Tensor::new(single(&expected), &Device::Cpu).unwrap();
        let moments = [param.zeros_like().unwrap(), param.zeros_like().unwrap()];
        reference(&mut expected, &grads, &rule);
        for (t, grad) in grads.iter().enumerate() {
            let grad = Tensor::new(single(grad), &Device::Cpu).unwrap();
            let item = Item { param: &param, grad: Some(&grad), moments: &moments, weight_decay: rule.weight_decay };
            novograd_each(&[item], &Adam { step: t as u64 + 1, ..rule }).unwrap();
        }
        for (found, expected) in param.to_vec1::<f32>().unwrap().into_iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn numbers_of_larger_gradients_move_further() {
        let param = Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap();
        let moments = [param.zeros_like().unwrap(), param.zeros_like().unwrap()];
        let grad = Tensor::new(&[1f32, 2.0, 4.0], &Device::Cpu).unwrap();
        let rule = Adam { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, eps: 0.0, weight_decay: 0.0, step: 1 };
        novograd(&param, &grad, &moments[0], &moments[1], &rule).unwrap();
        let moved = param.to_vec1::<f32>().unwrap();
        assert!((moved[1] / moved[0] - 2.0).abs() < 1e-4 && (moved[2] / moved[0] - 4.0).abs() < 1e-4, "{moved:?}");
        let squares: f32 = moved.iter().map(|m| m * m).sum();
        assert!((squares / 3.0 - 0.01).abs() < 1e-6); // the step size is the root mean square of a first step
    }
}
