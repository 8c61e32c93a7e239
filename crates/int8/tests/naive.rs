//! Every instruction set that this CPU has against loops that say what is meant.
#![allow(missing_docs)]

use l0_int8::{Codes, Isa, Map, Range, Terms};
use l0_rng::{Purpose, Stream};

/// Runs, outputs, positions.
type Shape = (&'static [(usize, usize)], usize, usize);

/// Rows of kernels of images of few and many channels, linear layers, odd ends.
const CASES: [Shape; 6] = [
    (&[(0, 5), (40, 5), (80, 5)], 8, 23),
    (&[(0, 1)], 1, 1),
    (&[(0, 33), (66, 33), (132, 33)], 27, 9),
    (&[(7, 128)], 10, 2),
    (&[(0, 12), (30, 12)], 65, 17),
    (&[(3, 2), (9, 7)], 24, 64),
];

struct Case {
    xs: Vec<u8>,
    positions: Vec<u32>,
    weight: Vec<i8>,
    bias: Vec<i32>,
    scales: Vec<f32>,
    sums: Vec<i64>,
}

fn case(seed: u64, runs: &[(usize, usize)], outputs: usize, positions: usize, zero: u8) -> Case {
    let mut r = Stream::new(seed, Purpose::Other, 0, 0, "int8");
    let inputs: usize = runs.iter().map(|run| run.1).sum();
    let reach = runs.iter().map(|run| run.0 + run.1).max().unwrap();
    let xs: Vec<u8> =
        (0..reach + 3 * positions + 4).map(|_| if r.below(4) == 0 { 255 } else { r.below(256) as u8 }).collect();
    let positions: Vec<u32> = (0..positions as u32).map(|p| p * 3).collect();
    let weight: Vec<i8> = (0..outputs * inputs).map(|_| [127, -127, r.below(255) as i8][r.below(3)]).collect();
    let bias: Vec<i32> = (0..outputs).map(|_| r.below(1 << 20) as i32 - (1 << 19)).collect();
    let scales = r.uniforms(outputs).iter().map(|u| 0.0001 + 0.002 * u).collect();
    let places: Vec<usize> = runs.iter().flat_map(|&(start, len)| start..start + len).collect();
    let sum = |position: u32, o: usize| {
        let product = |(k, place): (usize, &usize)| {
            (i64::from(xs[position as usize + place]) - i64::from(zero)) * i64::from(weight[o * inputs + k])
        };
        places.iter().enumerate().map(product).sum::<i64>() + i64::from(bias[o])
    };
    let sums = positions.iter().flat_map(|&p| (0..outputs).map(move |o| (p, o))).map(|(p, o)| sum(p, o)).collect();
    Case { xs, positions, weight, bias, scales, sums }
}

#[test]
fn codes_and_numbers_are_those_of_plain_loops() {
    for (seed, (runs, outputs, positions)) in CASES.into_iter().enumerate() {
        for zero in [0, 7, 255] {
            let case = case(seed as u64, runs, outputs, positions, zero);
            for isa in Isa::available() {
                let map = Map::new(Terms { runs, weight: &case.weight, bias: &case.bias, zero }, isa);
                let to = Codes { scales: map.rounded_up(case.scales.clone()), range: Range::new(100, 90, 250) };
                let (mut codes, mut floats) = (vec![0; case.sums.len()], vec![0.0; case.sums.len()]);
                map.codes(&case.xs, &case.positions, &to, (&mut codes, outputs));
                map.floats(&case.xs, &case.positions, &case.scales, &mut floats);
                for (i, &sum) in case.sums.iter().enumerate() {
                    let number = sum as f32 * case.scales[i % outputs];
                    assert_eq!(floats[i], number, "{isa:?}, case {seed}, number {i}");
                    let code = (number.round_ties_even() + 100.0).clamp(90.0, 250.0);
                    assert_eq!(f32::from(codes[i]), code, "{isa:?}, case {seed}, code {i}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "bytes of inputs are too few")]
fn too_few_inputs_are_noticed() {
    let terms = Terms { runs: &[(0, 5)], weight: &[1; 5], bias: &[0], zero: 0 };
    Map::new(terms, Isa::best()).floats(&[0; 7], &[0], &[1.0], &mut [0.0]);
}
