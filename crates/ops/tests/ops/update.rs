use crate::support::{Array, assert_close, message, values};
use candle_core::{DType, Device, Tensor, Var};
use l0_ops::update::{Adam, Item, Muon, Sgd, adam, clamp, lerp, muon_each, sgd};

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

const MUON: Muon = Muon { learning_rate: 0.1, momentum: 0.9 };

/// Steps of Muon from random numbers, (rows, ..): the weight and its velocity.
fn muon_steps(dims: &[usize], dtype: DType, steps: usize, weight_decay: f64) -> [Vec<f64>; 2] {
    let of = |name: &str| Array::normal(name, dims).tensor().to_dtype(dtype).unwrap();
    let param = Var::from_tensor(&of("param")).unwrap();
    let moments = [param.zeros_like().unwrap()];
    for step in 0..steps {
        let grad = of(&format!("grad {step}"));
        let item = Item { param: param.as_tensor(), grad: Some(&grad), moments: &moments, weight_decay };
        muon_each(&[item], &MUON).unwrap();
    }
    [param.as_tensor(), &moments[0]].map(|t| doubles(&t.flatten_all().unwrap()))
}

/// Products of matrices in f64, row by row.
fn product(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let at = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
    (0..m * n).map(|of| at(of / n, of % n)).collect()
}

fn norm(xs: &[f64]) -> f64 {
    xs.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Muon over plain numbers, for a matrix with no more rows than columns.
fn muon_naive(rows: usize, cols: usize, steps: usize) -> Vec<f64> {
    let of =
        |name: &str| -> Vec<f64> { Array::normal(name, &[rows, cols]).data.iter().map(|&x| f64::from(x)).collect() };
    let (mut w, mut u) = (of("param"), vec![0.0; rows * cols]);
    for step in 0..steps {
        let g: Vec<f64> = of(&format!("grad {step}")).iter().zip(&w).map(|(g, w)| g + 0.01 * w).collect();
        u.iter_mut().zip(&g).for_each(|(u, g)| *u = 0.9 * *u + g);
        let mut x: Vec<f64> = u.iter().zip(&g).map(|(u, g)| g + 0.9 * u).collect();
        let size = norm(&x);
        x.iter_mut().for_each(|x| *x /= size);
        for _ in 0..5 {
            let turned: Vec<f64> = (0..cols * rows).map(|at| x[at % rows * cols + at / rows]).collect();
            let a = product(&x, &turned, (rows, cols, rows));
            let (first, second) = (product(&a, &x, (rows, rows, cols)), product(&a, &a, (rows, rows, rows)));
            let third = product(&second, &x, (rows, rows, cols));
            x = (0..x.len()).map(|at| 3.4445 * x[at] - 4.7750 * first[at] + 2.0315 * third[at]).collect();
        }
        let along = 0.1 * norm(&w) / norm(&x);
        w.iter_mut().zip(&x).for_each(|(w, x)| *w = (*w - along * x) / 1.01f64.sqrt());
    }
    w
}

#[test]
fn muon_steps_as_over_plain_numbers() {
    for dtype in [DType::F32, DType::F64] {
        let [found, ..] = muon_steps(&[5, 12], dtype, 3, 0.01);
        let found: Vec<f32> = found.iter().map(|&x| x as f32).collect();
        assert_close(&format!("muon {dtype:?}"), &found, &muon_naive(5, 12, 3), 1e-4);
        // Dimensions beyond the first are columns, whatever they are called.
        assert_eq!(muon_steps(&[5, 3, 2, 2], dtype, 3, 0.01)[1], muon_steps(&[5, 12], dtype, 3, 0.01)[1]);
    }
}

#[test]
fn muon_steps_go_equally_far_along_all_directions() {
    for (rows, cols) in [(6, 40), (40, 6), (9, 9)] {
        let [one, ..] = muon_steps(&[rows, cols], DType::F32, 1, 0.0);
        let start: Vec<f64> = Array::normal("param", &[rows, cols]).data.iter().map(|&x| f64::from(x)).collect();
        let step: Vec<f64> = one.iter().zip(&start).map(|(one, start)| start - one * 1.01f64.sqrt()).collect();
        assert!((norm(&step) / norm(&start) - 0.1).abs() < 1e-4);
        // A tenth of the norm of the weight, in equal parts: the products of its vectors are 0, their lengths nearly
        // equal.
        let (n, long) = (rows.min(cols), rows.max(cols));
        let vector = |i: usize, at: usize| if rows <= cols { step[i * cols + at] } else { step[at * cols + i] };
        let share = norm(&step).powi(2) / n as f64;
        for (i, j) in (0..n * n).map(|at| (at / n, at % n)) {
            let product: f64 = (0..long).map(|at| vector(i, at) * vector(j, at)).sum::<f64>() / share;
            let expected = if i == j { 1.0 } else { 0.0 };
            assert!((product - expected).abs() < 0.5, "{rows} x {cols}: {i} and {j} give {product}");
        }
    }
}

#[test]
fn muon_steps_of_a_part_are_those_of_the_whole() {
    let (open_rows, open_columns) = ([0, 2, 3], [1, 4, 5, 6]);
    let is_open = |at: &usize| open_rows.contains(&(at / 8)) && open_columns.contains(&(at % 8));
    let part = |of: &[f32]| -> Vec<f32> { (0..40).filter(is_open).map(|at| of[at]).collect() };
    let matrix = |data: Vec<f32>, dims: (usize, usize)| Tensor::from_vec(data, dims, &Device::Cpu).unwrap();
    let start = Array::normal("param", &[5, 8]).data;
    let whole = Var::from_tensor(&matrix(start.clone(), (5, 8))).unwrap();
    let small = Var::from_tensor(&matrix(part(&start), (3, 4))).unwrap();
    let moments = [[whole.zeros_like().unwrap()], [small.zeros_like().unwrap()]];
    for step in 0..3 {
        let mut grad = Array::normal(&format!("grad {step}"), &[5, 8]).data;
        grad.iter_mut().enumerate().filter(|(at, _)| !is_open(at)).for_each(|(_, g)| *g = 0.0);
        let grads = [matrix(grad.clone(), (5, 8)), matrix(part(&grad), (3, 4))];
        // Without decay, which reaches closed weights, too.
        let item = |of: &Var, i: usize| {
            muon_each(&[Item { param: of, grad: Some(&grads[i]), moments: &moments[i], weight_decay: 0.0 }], &MUON)
        };
        item(&whole, 0).unwrap();
        item(&small, 1).unwrap();
    }
    let found = values(&whole);
    assert!((0..40).all(|at| is_open(&at) || found[at] == start[at]), "closed weights stay");
    let expected: Vec<f64> = part(&found).iter().map(|&x| f64::from(x)).collect();
    assert_close("the part", &values(&small), &expected, 1e-5);
}

#[test]
fn muon_starts_from_zeros_and_refuses_vectors() {
    let (param, grad) =
        (Var::zeros((2, 3), DType::F32, &Device::Cpu).unwrap(), Array::normal("grad", &[2, 3]).tensor());
    let moments = [param.zeros_like().unwrap()];
    let item = Item { param: param.as_tensor(), grad: Some(&grad), moments: &moments, weight_decay: 0.0 };
    muon_each(&[item], &MUON).unwrap();
    assert!(values(&param).iter().all(|x| x.is_finite()) && values(&param).iter().any(|&x| x != 0.0));
    // Without a gradient nothing moves but by the velocity, and nothing is divided by zero.
    let still = [param.zeros_like().unwrap()];
    muon_each(&[Item { grad: None, moments: &still, ..item }], &MUON).unwrap();
    assert!(values(&param).iter().all(|x| x.is_finite()));
    let vector = Var::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let velocity = [zeros(3, DType::F32)];
    let item = Item { param: vector.as_tensor(), grad: None, moments: &velocity, weight_decay: 0.0 };
    assert!(message(muon_each(&[item], &MUON)).contains("a parameter has shape [3], expected a matrix"));
    assert!(message(muon_each(&[Item { moments: &[], ..item }], &MUON)).contains("found 0 velocities, expected 1"));
}
