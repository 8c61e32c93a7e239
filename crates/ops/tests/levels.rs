//! Operations at every level of instructions: the same bits with multiply-adds, the same but for rounding without
//! (which the lowest level has where this is compiled for the machine at hand).
//!
//! In a process of its own, since a level is that of a whole process.
#![allow(missing_docs)]

#[path = "ops/support.rs"]
#[allow(dead_code)]
mod support;

use candle_core::{Result, Tensor};
use l0_lanes::Level;
use l0_ops::update::{Adam, Sgd, adam, lerp, sgd};
use l0_ops::{After, ConvSettings, Epilogue, Selection, Window};
use support::{Array, assert_close, run, values};

type Op = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// An operation by its name, and the shapes of what it takes.
fn operations() -> Vec<(&'static str, Vec<Vec<usize>>, Op)> {
    let conv = |settings: ConvSettings, epilogue| -> Op {
        Box::new(move |xs| l0_ops::conv(&xs[0], &xs[1], Some(&xs[2]), &settings, epilogue))
    };
    let pooled = Epilogue { relu: true, max_pool: 2 };
    let window = Window { size: (3, 3), stride: (2, 2), padding: [1; 4], ceil: false };
    let images = |b, c, side| vec![b, c, side, side];
    let three = |b: usize, i: usize, o: usize, side, k| vec![images(b, i, side), images(o, i, k), vec![o]];
    let of_four = three(10, 9, 13, 16, 3);
    vec![
        ("direct", three(9, 3, 7, 12, 5), conv(ConvSettings::square(1, 0), pooled)),
        ("with a stride", three(11, 4, 5, 9, 3), conv(ConvSettings::square(2, 1), Epilogue::NONE)),
        ("tiles of two", three(10, 8, 9, 6, 3), conv(ConvSettings::square(1, 1), Epilogue::NONE)),
        ("tiles of four", of_four, conv(ConvSettings::square(1, 1), Epilogue { relu: true, max_pool: 1 })),
        (
            "depthwise",
            vec![images(3, 5, 11), images(5, 1, 3), vec![5]],
            conv(ConvSettings { groups: 5, ..ConvSettings::square(1, 1) }, Epilogue { relu: true, max_pool: 1 }),
        ),
        ("max_pool", vec![images(3, 4, 13)], Box::new(move |xs| l0_ops::max_pool(&xs[0], &window))),
        ("avg_pool", vec![images(3, 4, 13)], Box::new(move |xs| l0_ops::avg_pool(&xs[0], &window, true))),
        (
            "batch_norm_train",
            vec![images(5, 6, 7), vec![6], vec![6]],
            Box::new(|xs| {
                let after = After { relu: true, plus: None };
                Ok(l0_ops::batch_norm_train(&xs[0], &xs[1], &xs[2], 1e-5, after)?.ys)
            }),
        ),
        (
            "linear_relu",
            vec![vec![9, 33], vec![21, 33], vec![21]],
            Box::new(|xs| l0_ops::linear_relu(&xs[0], &xs[1], Some(&xs[2]))),
        ),
        ("mul", vec![images(4, 3, 9), vec![4, 3]], Box::new(|xs| l0_ops::mul(&xs[0], &xs[1]))),
        (
            "select",
            vec![vec![20, 30], vec![20], vec![30]],
            Box::new(|xs| {
                let (rows, cols) =
                    (Selection::of(&std::array::from_fn::<_, 20, _>(|i| i % 3 == 1)), Selection::all(30));
                l0_ops::select(&xs[0], &rows, &cols, Some(&xs[1]), Some(&xs[2]))
            }),
        ),
    ]
}

/// Values after some updates in place.
fn updated() -> Vec<f32> {
    let of = |name: &str| Array::normal(name, &[1000]).tensor();
    let (p, g, m, v) = (of("p"), of("g"), of("m"), of("v").sqr().unwrap());
    let rule = Adam { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-2, step: 3 };
    adam(&p, &g, &m, &v, &rule).unwrap();
    sgd(&p, &g, &m, &Sgd { learning_rate: 0.1, momentum: 0.9, weight_decay: 1e-2, nesterov: true }).unwrap();
    lerp(&v, &p, 0.1).unwrap();
    [p, m, v].iter().flat_map(values).collect()
}

/// Results and gradients of everything, by names.
fn all() -> Vec<(String, Vec<f32>)> {
    let mut all = vec![("updates".to_string(), updated())];
    for (name, shapes, op) in operations() {
        let inputs: Vec<Array> =
            shapes.iter().enumerate().map(|(i, dims)| Array::normal(&format!("{name} {i}"), dims)).collect();
        let (ys, grads) = run(&inputs, &vec![true; inputs.len()], &*op);
        all.push((name.to_string(), ys));
        all.extend(grads.into_iter().enumerate().map(|(i, grad)| (format!("{name}: gradient {i}"), grad.unwrap())));
    }
    all
}

#[test]
fn levels_agree() {
    let levels = Level::available();
    let mut results = levels.iter().map(|&level| {
        assert_eq!(Level::limit(level), level);
        all()
    });
    let plain = results.next().unwrap();
    let mut with_multiply_adds = None;
    for results in results {
        for ((name, found), (_, expected)) in results.iter().zip(&plain) {
            let expected: Vec<f64> = expected.iter().map(|&x| f64::from(x)).collect();
            assert_close(name, found, &expected, 1e-5);
        }
        let first = with_multiply_adds.get_or_insert_with(|| results.clone());
        assert_eq!(&results, first, "bits of two levels");
    }
}
