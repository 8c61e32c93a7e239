use crate::support::{Array, assert_close, message, values};
use candle_core::{DType, Device, Tensor, Var};
use l0_ops::update::{Adam, Sgd, adam, clamp, lerp, sgd};

const ADAM: Adam = Adam { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, step: 1 };
const SGD: Sgd = Sgd { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.01, nesterov: true };

fn zeros(n: usize, dtype: DType) -> Tensor {
    Tensor::zeros(n, dtype, &Device::Cpu).unwrap()
}

fn doubles(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// Three steps in f32 (the kernel) and in f64 (composed of Candle's operations) against a loop over plain numbers.
fn steps(what: &str, n: usize, update: &dyn Fn([&Tensor; 4], u64), naive: &dyn Fn([&mut f64; 3], f64, u64)) {
    for dtype in [DType::F32, DType::F64] {
        let start = Array::normal("param", &[n]);
        let param = Var::from_tensor(&start.tensor().to_dtype(dtype).unwrap()).unwrap();
        let (first, second) = (zeros(n, dtype), zeros(n, dtype));
        let mut expected: Vec<f64> = start.data.iter().map(|&x| f64::from(x)).collect();
        let mut state = vec![[0.0; 2]; n];
        for step in 1..=3 {
            let grad = Array::normal(&format!("grad {step}"), &[n]);
            update([param.as_tensor(), &grad.tensor().to_dtype(dtype).unwrap(), &first, &second], step);
            for ((p, state), &g) in expected.iter_mut().zip(&mut state).zip(&grad.data) {
                let [m, v] = state;
                naive([p, m, v], f64::from(g), step);
            }
        }
        let found: Vec<f32> = doubles(&param).iter().map(|&x| x as f32).collect();
        assert_close(&format!("{what} {dtype:?}"), &found, &expected, 1e-5);
    }
}

#[test]
fn adam_as_in_pytorch() {
    for decay in [0.0, 0.1] {
        let of = |step| Adam { weight_decay: decay, step, ..ADAM };
        let update = |[p, g, m, v]: [&Tensor; 4], step| adam(p, g, m, v, &of(step)).unwrap();
        steps("adam", 50_001, &update, &|[p, m, v], g, t| {
            let g = g + decay * *p;
            *m = 0.9 * *m + (1.0 - 0.9) * g;
            *v = 0.999 * *v + (1.0 - 0.999) * g * g;
            let correction = |beta: f64| 1.0 - beta.powi(t as i32);
            *p -= 0.1 * (*m / correction(0.9)) / ((*v / correction(0.999)).sqrt() + 1e-8);
        });
    }
}

#[test]
fn a_scalar_is_updated_like_any_other() {
    for dtype in [DType::F32, DType::F64] {
        let scalar = |x: f64| Tensor::new(x, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let (param, grad, velocity) = (scalar(1.0), scalar(2.0), scalar(0.0));
        sgd(&param, &grad, &velocity, &Sgd { weight_decay: 0.0, momentum: 0.0, nesterov: false, ..SGD }).unwrap();
        lerp(&velocity, &param, 0.5).unwrap();
        clamp(&param, 0.0, 0.5).unwrap();
        let found = [&param, &velocity].map(|t| t.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap());
        assert_eq!(found[0], 0.5);
        assert!((found[1] - 1.4).abs() < 1e-6, "{found:?}"); // halfway from the gradient, 2, to 1 - 0.1 x 2
    }
}

#[test]
fn sgd_as_in_pytorch() {
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        let of = Sgd { momentum, nesterov, ..SGD };
        let update = |[p, g, u, _]: [&Tensor; 4], _| sgd(p, g, u, &of).unwrap();
        steps("sgd", 50_001, &update, &|[p, u, _], g, _| {
            let g = g + 0.01 * *p;
            *u = momentum * *u + g;
            *p -= 0.1 * if nesterov { g + momentum * *u } else { *u };
        });
    }
}

#[test]
fn a_zero_gradient_from_rest_moves_nothing() {
    let param = Var::from_tensor(&Array::normal("p", &[10]).tensor()).unwrap();
    let before = values(&param);
    let [g, m, v] = [(); 3].map(|()| zeros(10, DType::F32));
    adam(&param, &g, &m, &v, &ADAM).unwrap();
    sgd(&param, &g, &m, &Sgd { weight_decay: 0.0, ..SGD }).unwrap();
    assert_eq!(values(&param), before);
}

#[test]
fn averages_and_bounds() {
    for dtype in [DType::F32, DType::F64] {
        let t = |v: &[f32]| Tensor::new(v, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let average = t(&[0.0, 1.0, -2.0]);
        lerp(&average, &t(&[4.0, 1.0, 2.0]), 0.25).unwrap();
        assert_eq!(doubles(&average), [1.0, 1.0, -1.0]);
        clamp(&average, -0.5, 0.75).unwrap();
        assert_eq!(doubles(&average), [0.75, 0.75, -0.5]);
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let param = Var::from_tensor(&Array::normal("p", &[100_003]).tensor()).unwrap();
            let [m, v] = [(); 2].map(|()| zeros(100_003, DType::F32));
            adam(&param, &Array::normal("g", &[100_003]).tensor(), &m, &v, &ADAM).unwrap();
            values(&param)
        })
    };
    assert!(on(1) == on(2) && on(1) == on(3));
}

#[test]
fn errors_instead_of_deadlocks() {
    let (p, g) = (Array::normal("p", &[4]).tensor(), Array::normal("g", &[4]).tensor());
    let text = message(adam(&p, &g, &p, &zeros(4, DType::F32), &ADAM));
    assert!(text.contains("first moment shares memory"), "{text}");
    let text = message(sgd(&p, &g.narrow(0, 0, 3).unwrap(), &zeros(4, DType::F32), &SGD));
    assert!(text.contains("grad has shape [3], expected [4]"), "{text}");
    let text = message(adam(&p, &g, &zeros(4, DType::F32), &zeros(4, DType::F32), &Adam { step: 0, ..ADAM }));
    assert!(text.contains("step is 0, expected 1 or more"), "{text}");
    let text = message(clamp(&p, 2.0, 1.0));
    assert!(text.contains("bounds are 2 and 1"), "{text}");
}
