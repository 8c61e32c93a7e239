//! Updates in place of many tensors at once.

use candle_core::{Device, Tensor};
use l0_ops::update::{Adam, Item, Sgd, adam_each, clamp, lerp_each, sgd_each};

use crate::launch::SOME;
use crate::numbers::{Numbers, close, random, values};

/// Numbers a block takes, as in the kernels.
const PIECE: usize = 4096;

/// A tensor within a piece, whole pieces, and pieces and a rest; the last has no gradient.
const LENS: [usize; 4] = [7, 2 * PIECE, PIECE + 5, 100];
const DECAYS: [f32; 4] = [0.0, 0.01, 0.1, 0.5];

/// Parameters, gradients, and two moments: the second ones, of squares, are not negative.
fn tensors() -> [Vec<Tensor>; 4] {
    let all = |name: &str| LENS.map(|len| random(&format!("{name} {len}"), &[len])).to_vec();
    let second = all("second").iter().map(|t| t.sqr().unwrap()).collect();
    [all("param"), all("grad"), all("first"), second]
}

fn items<'a>(params: &'a [Tensor], grads: &'a [Tensor], moments: &'a [Vec<Tensor>]) -> Vec<Item<'a>> {
    let item = |k: usize| Item {
        param: &params[k],
        grad: (k != 3).then(|| &grads[k]),
        moments: &moments[k],
        weight_decay: f64::from(DECAYS[k]),
    };
    (0..LENS.len()).map(item).collect()
}

/// The table of an update: as many pointers as tensors, those of the missing gradient null.
struct Table {
    /// Of each of four kinds of tensor, the numbers of each tensor.
    numbers: [Vec<Numbers>; 4],
    pointers: Vec<u64>,
    lens: [i64; 4],
    pieces: Vec<u32>,
}

impl Table {
    fn new(tensors: &[Vec<Tensor>; 4]) -> Self {
        let mut numbers =
            tensors.each_ref().map(|all| all.iter().map(|t| Numbers::f32(&values(t))).collect::<Vec<_>>());
        let mut pointers = vec![];
        for k in 0..LENS.len() {
            for (which, numbers) in numbers.iter_mut().enumerate() {
                let missing = k == 3 && which == 1;
                pointers.push(if missing { 0 } else { numbers[k].at_mut::<f32>().expose_provenance() as u64 });
            }
        }
        let pieces = LENS.iter().enumerate().flat_map(|(k, len)| (0..len.div_ceil(PIECE)).map(move |piece| [k, piece]));
        let pieces = pieces.flatten().map(|n| n as u32).collect();
        Self { numbers, pointers, lens: LENS.map(|len| len as i64), pieces }
    }

    fn grid(&self) -> (usize, usize) {
        (self.pieces.len() / 2, 1)
    }

    #[track_caller]
    fn close(&self, which: usize, expected: &[Tensor]) {
        for (found, expected) in self.numbers[which].iter().zip(expected) {
            close("update", found, &values(expected), 1e-6);
        }
    }
}

#[test]
fn stochastic_gradient_descent() {
    for (momentum, nesterov) in [(0.9, true), (0.9, false), (0.0, false)] {
        let tensors = tensors();
        let table = Table::new(&tensors);
        let (pointers, lens, pieces) = (table.pointers.as_ptr(), table.lens.as_ptr(), table.pieces.as_ptr());
        let ahead = i32::from(nesterov);
        launch!(table.grid(), sgd(pointers, lens, DECAYS.as_ptr(), pieces, 0.1, momentum, ahead));
        let [params, grads, velocities, _] = &tensors;
        let moments: Vec<_> = velocities.iter().map(|t| vec![t.clone()]).collect();
        let rule = Sgd { learning_rate: 0.1, momentum: momentum.into(), weight_decay: 0.0, nesterov };
        sgd_each(&items(params, grads, &moments), &rule).unwrap();
        table.close(0, params);
        table.close(2, velocities);
    }
}

#[test]
fn adam() {
    let tensors = tensors();
    let table = Table::new(&tensors);
    let rule = Adam { learning_rate: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, step: 3 };
    let correction = |beta: f64| 1.0 - beta.powf(3.0);
    let (rate, root) = ((0.01 / correction(0.9)) as f32, (1.0 / correction(0.999).sqrt()) as f32);
    let (pointers, lens, pieces) = (table.pointers.as_ptr(), table.lens.as_ptr(), table.pieces.as_ptr());
    let (rest1, rest2) = ((1.0 - 0.9f64) as f32, (1.0 - 0.999f64) as f32);
    launch!(table.grid(), adam(pointers, lens, DECAYS.as_ptr(), pieces, rate, 0.9, 0.999, rest1, rest2, root, 1e-8));
    let [params, grads, first, second] = &tensors;
    let moments: Vec<_> = first.iter().zip(second).map(|(m, v)| vec![m.clone(), v.clone()]).collect();
    adam_each(&items(params, grads, &moments), &rule).unwrap();
    [(0, params), (2, first), (3, second)].into_iter().for_each(|(which, expected)| table.close(which, expected));
}

#[test]
fn moving_averages() {
    let tensors = tensors();
    let [averages, params, _, _] = &tensors;
    let table = Table::new(&tensors);
    let three = (table.pieces.len() / 2 - 1, 1); // The last has nothing to move towards.
    let (pointers, lens, pieces) = (table.pointers.as_ptr(), table.lens.as_ptr(), table.pieces.as_ptr());
    launch!(three, lerp(pointers, lens, DECAYS.as_ptr(), pieces, 0.25));
    let pairs: Vec<_> = averages.iter().zip(params).take(3).collect();
    lerp_each(&pairs, 0.25).unwrap();
    table.close(0, averages);
}

#[test]
fn clamped() {
    let p = Tensor::new(&[-3f32, -2.0, f32::NAN, 0.5, 2.0, 2.5, f32::INFINITY], &Device::Cpu).unwrap();
    let mut found = Numbers::f32(&values(&p));
    launch!(SOME, clamp(found.at_mut(), 7, -2.0, 2.0));
    clamp(&p, -2.0, 2.0).unwrap();
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(found.values()), bits(values(&p)));
}
