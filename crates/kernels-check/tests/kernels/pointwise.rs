//! Number by number: types, sums, ReLU, dropout, biases; and transposition.

use half::bf16;
use l0_rng::{Purpose, Stream};

use crate::launch::SOME;
use crate::numbers::{KINDS, Kind, Numbers, close, exact, gradients, last, random, values, variable};

const LENS: [usize; 5] = [1, 7, 8, 9, 1000];

fn converted(values: &[f32], from: Kind, to: Kind) -> Vec<f32> {
    let (xs, mut ys) = (Numbers::of(from, values), Numbers::unset(to, values.len()));
    launch!(SOME, cast(ys.at_mut(), to as i32, xs.at(), from as i32, values.len() as i64));
    ys.values()
}

fn assert_same(found: &[f32], expected: impl Iterator<Item = f32>) {
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.to_bits(), expected.to_bits(), "at {i}");
    }
}

/// Every sign, exponent and mantissa of bf16, exact, at the ties and beside them: so also what is infinite, subnormal
/// or no number.
#[test]
fn bf16_is_rounded_to_the_nearest() {
    for below in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
        let xs: Vec<f32> = (0..=0xffff).map(|above: u32| f32::from_bits(above << 16 | below)).collect();
        assert_same(&converted(&xs, Kind::F32, Kind::Bf16), xs.iter().map(|&x| bf16::from_f32(x).to_f32()));
        assert_same(&converted(&xs, Kind::F32, Kind::F32), xs.iter().copied());
        assert_same(&converted(&xs, Kind::Bf16, Kind::F32), xs.iter().map(|&x| bf16::from_f32(x).to_f32()));
    }
    for n in LENS {
        let xs = values(&random("xs", &[n]));
        assert_same(&converted(&xs, Kind::F32, Kind::Bf16), xs.iter().map(|&x| bf16::from_f32(x).to_f32()));
    }
}

#[test]
fn sums() {
    for n in LENS {
        let [a, b] = ["a", "b"].map(|name| random(name, &[n]));
        for (ka, kb, ky) in KINDS.into_iter().flat_map(|k| [(k, k, k), (k, Kind::F32, Kind::Bf16)]) {
            let (a, b) = (ka.rounded(&a), kb.rounded(&b));
            let (x, y) = (Numbers::of(ka, &values(&a)), Numbers::of(kb, &values(&b)));
            let mut found = Numbers::unset(ky, n);
            let (ka, kb) = (ka as i32, kb as i32);
            launch!(SOME, add(found.at_mut(), ky as i32, x.at(), ka, y.at(), kb, n as i64));
            exact("sums", &found, &values(&l0_ops::add(&a, &b).unwrap()), ky);
        }
    }
}

#[test]
fn relu() {
    for (kind, n) in KINDS.into_iter().flat_map(|kind| LENS.map(|n| (kind, n))) {
        let xs = (random("xs", &[n]) * 2.0).unwrap().round().unwrap(); // zeros, too
        let (xs, g) = (variable(&xs), kind.rounded(&random("g", &[n])));
        let ys = l0_ops::relu(&xs).unwrap();
        let (input, mut found) = (Numbers::of(kind, &values(&xs)), Numbers::unset(kind, n));
        launch!(SOME, relu(found.at_mut(), input.at(), kind as i32, n as i64));
        exact("relu", &found, &values(&ys), kind);
        let (grad, mut dx) = (Numbers::of(kind, &values(&g)), Numbers::unset(kind, n));
        launch!(SOME, relu_back(dx.at_mut(), found.at(), grad.at(), kind as i32, n as i64));
        exact("gradient of relu", &dx, &values(&gradients(&ys, &g, [&xs])[0]), kind);
    }
}

#[test]
fn dropout_draws_the_numbers_of_the_cpu() {
    let stream = Stream::new(5, Purpose::Dropout, 1, 2, "conv1");
    let xs = variable(&random("xs", &[3, 11, 4, 5]));
    let ys = l0_ops::dropout_from(&xs, stream.clone(), 0.3).unwrap();
    let (n, gain) = (xs.elem_count(), 1.0 / (1.0 - 0.3f32));
    let (input, mut found) = (Numbers::f32(&last(&xs)), Numbers::unset(Kind::F32, n));
    launch!(SOME, dropout(found.at_mut(), input.at(), 0, stream.key(), 0.3, gain, n as i64, 20, 11));
    exact("dropout", &found, &last(&ys), Kind::F32);

    // Features have no positions.
    let flat = xs.reshape((12, 55)).unwrap();
    let ys = l0_ops::dropout_from(&flat, stream.clone(), 0.3).unwrap();
    let (input, mut found) = (Numbers::of(Kind::Bf16, &values(&flat)), Numbers::unset(Kind::Bf16, n));
    launch!(SOME, dropout(found.at_mut(), input.at(), 1, stream.key(), 0.3, gain, n as i64, 1, 55));
    close("dropout in bf16", &found, &values(&ys), 1e-2);
}

#[test]
fn transposition() {
    for (rows, cols) in [(3, 20), (20, 3), (5, 5), (1, 9)] {
        let xs = random("xs", &[4, rows, cols]);
        for (kx, ky) in [(Kind::F32, Kind::F32), (Kind::F32, Kind::Bf16), (Kind::Bf16, Kind::F32)] {
            let xs = kx.rounded(&xs);
            let (input, mut found) = (Numbers::of(kx, &values(&xs)), Numbers::unset(ky, xs.elem_count()));
            let (kx, rows, cols) = (kx as i32, rows as i32, cols as i32);
            launch!(SOME, transpose(found.at_mut(), ky as i32, input.at(), kx, 4, rows, cols));
            exact("transposition", &found, &values(&xs.transpose(1, 2).unwrap()), ky);
        }
    }
}

/// In place, as the backend of convolutions has it: one bias for each channel, or one for each channel and position.
#[test]
fn biases() {
    for (c, kind) in [5, 8, 19, 16].into_iter().flat_map(|c| KINDS.map(|kind| (c, kind))) {
        let xs = kind.rounded(&random("xs", &[2, c, 3, 4]));
        for (h, w, relu) in [(1, 1, false), (1, 1, true), (3, 4, false), (3, 4, true)] {
            let bias = random("bias", &[1, c, h, w]);
            let ys = xs.broadcast_add(&bias).unwrap();
            let ys = if relu { ys.relu().unwrap() } else { ys };
            let (mut found, bias) = (Numbers::of(kind, &last(&xs)), Numbers::f32(&last(&bias)));
            let (c, period, relu) = (c as i32, (h * w) as i32, i32::from(relu));
            launch!(SOME, add_bias(found.at_mut(), found.at(), kind as i32, bias.at(), 24, c, period, relu));
            exact("bias", &found, &last(&ys), kind);
        }
    }
}
