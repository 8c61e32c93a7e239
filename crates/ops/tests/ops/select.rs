use crate::support::{Array, assert_close, check, message, run};
use candle_core::{Result, Tensor};
use l0_ops::{Epilogue, Selection, portable};
use l0_rng::{Purpose, Stream};

/// A pattern of open units: all, one, none or random.
fn patterns(n: usize) -> Vec<Vec<bool>> {
    let mut noise = Stream::new(5, Purpose::Gate, 0, n as u64, "pattern");
    let random: Vec<bool> = (0..n).map(|_| noise.uniform() < 0.6).collect();
    vec![vec![true; n], (0..n).map(|i| i == n / 2).collect(), vec![false; n], random]
}

fn block(xs: &[Vec<f64>], rows: &Selection, cols: &Selection, inner: usize) -> Vec<f64> {
    let mut ys = Vec::new();
    for r in rows.iter() {
        for c in cols.iter() {
            let at = (r * cols.total() + c) * inner;
            ys.extend(xs[0][at..at + inner].iter().map(|w| w * xs[1][r] * xs[2][c]));
        }
    }
    ys
}

#[test]
fn every_pattern() {
    for dims in [vec![7, 5], vec![6, 4, 3, 3]] {
        let inner: usize = dims[2..].iter().product();
        for (rows, cols) in patterns(dims[0]).iter().flat_map(|r| patterns(dims[1]).into_iter().map(move |c| (r, c))) {
            let (rows, cols) = (&Selection::of(rows), &Selection::of(&cols));
            if rows.is_empty() || cols.is_empty() {
                continue;
            }
            let inputs =
                [Array::normal("w", &dims), Array::normal("row", &dims[..1]), Array::normal("col", &dims[1..2])];
            check(
                &format!("select {dims:?} {rows:?} {cols:?}"),
                &inputs,
                &|t| l0_ops::select(&t[0], rows, cols, Some(&t[1]), Some(&t[2])),
                &|t| portable::select(&t[0], rows, cols, Some(&t[1]), Some(&t[2])),
                &|xs| block(xs, rows, cols, inner),
            );
        }
    }
}

#[test]
fn without_scales_or_closed_units() {
    let inputs = [Array::normal("w", &[5, 4])];
    let (rows, all) = (Selection::of(&[true, false, true, true, false]), Selection::all(4));
    let (ys, grads) = run(&inputs, &[true], &|t| l0_ops::select(&t[0], &rows, &all, None, None));
    assert_eq!(ys[4..8], inputs[0].data[8..12]);
    assert_eq!(grads[0].as_deref().unwrap()[4..8], [0.0; 4]);
    let text = message(l0_ops::select(&inputs[0].tensor(), &all, &all, None, None));
    assert!(text.contains("[5, 4], expected [4, 4, ..]"), "{text}");
}

#[test]
fn vectors() {
    for open in patterns(6).into_iter().filter(|open| open.contains(&true)) {
        let rows = &Selection::of(&open);
        check(
            &format!("select_vector {rows:?}"),
            &[Array::normal("v", &[6]), Array::normal("scale", &[6])],
            &|t| l0_ops::select_vector(&t[0], rows, Some(&t[1])),
            &|t| portable::select_vector(&t[0], rows, Some(&t[1])),
            &|xs| rows.iter().map(|r| xs[0][r] * xs[1][r]).collect(),
        );
    }
}

const IMAGE: [usize; 4] = [9, 3, 10, 8];
const EPILOGUE: Epilogue = Epilogue { relu: true, max_pool: 2 };

/// A gated convolution and a gated linear layer on open units alone, their gates in t[5] and t[6].
fn on_open_units(t: &[Tensor], maps: &Selection, units: &Selection) -> Result<Tensor> {
    let (gate, hidden) = (&t[5], &t[6]);
    let weight = l0_ops::select(&t[1], maps, &Selection::all(3), Some(gate), None)?;
    let bias = l0_ops::select_vector(&t[2], maps, Some(gate))?;
    let xs = l0_ops::conv2d_epilogue(&t[0], &weight, Some(&bias), 1, 0, EPILOGUE)?.flatten_from(1)?;
    // A map gives 4 x 3 numbers: the columns of the next layer open and close together.
    let cols: Vec<bool> = maps.mask().iter().flat_map(|&open| [open; 12]).collect();
    let weight = l0_ops::select(&t[3], units, &Selection::of(&cols), None, None)?;
    let ys = l0_ops::linear_relu(&xs, &weight, Some(&l0_ops::take(&t[4], 0, units)?))?;
    let last = l0_ops::select(&t[7], &Selection::all(4), units, None, Some(hidden))?;
    l0_ops::linear(&ys, &last, None)
}

/// The same with every unit computed and multiplied by its gate, open or not.
fn on_all_units(t: &[Tensor]) -> Result<Tensor> {
    let (gate, hidden) = (&t[5], &t[6]);
    let weight = t[1].broadcast_mul(&gate.reshape((5, 1, 1, 1))?)?;
    let xs = portable::conv2d_epilogue(&t[0], &weight, Some(&(&t[2] * gate)?), 1, 0, EPILOGUE)?.flatten_from(1)?;
    let ys = portable::linear_relu(&xs, &t[3], Some(&t[4]))?;
    portable::linear(&ys, &t[7].broadcast_mul(hidden)?, None)
}

/// Gates of which closed ones are exactly 0.
fn gates(name: &str, open: &[bool]) -> Array {
    let mut noise = Stream::new(6, Purpose::Gate, 0, 0, name);
    let data = open.iter().map(|&open| if open { noise.range(0.1, 1.0) } else { 0.0 }).collect();
    Array { dims: vec![open.len()], data }
}

#[test]
fn a_sub_network_gives_the_gradients_of_the_full_one() {
    for (maps, units) in patterns(5).iter().flat_map(|m| patterns(7).into_iter().map(move |u| (m, u))) {
        if !maps.contains(&true) || !units.contains(&true) {
            continue;
        }
        let inputs = [
            Array::normal("xs", &IMAGE),
            Array::normal("conv", &[5, 3, 3, 3]),
            Array::normal("conv bias", &[5]),
            Array::normal("hidden", &[7, 60]),
            Array::normal("hidden bias", &[7]),
            gates("maps", maps),
            gates("units", &units),
            Array::normal("last", &[4, 7]),
        ];
        let tracked = [false, true, true, true, true, true, true, true];
        let (m, u) = (Selection::of(maps), Selection::of(&units));
        let (ys, grads) = run(&inputs, &tracked, &|t| on_open_units(t, &m, &u));
        let (expected_ys, expected) = run(&inputs, &tracked, &on_all_units);
        let wide = |xs: &[f32]| xs.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        assert_close("outputs", &ys, &wide(&expected_ys), 1e-5);
        for i in (1..8).filter(|&i| i != 5 && i != 6) {
            let (found, expected) = (grads[i].as_deref().unwrap(), expected[i].as_deref().unwrap());
            assert_close(&format!("gradient {i}, {maps:?} {units:?}"), found, &wide(expected), 1e-4);
        }
        // Of gates, only open ones get a gradient from the data: a closed gate's is cut by the hard sigmoid anyway.
        for (i, open) in [(5, maps), (6, &units)] {
            let mask = |xs: &[f32]| xs.iter().zip(open).map(|(&x, &o)| if o { x } else { 0.0 }).collect::<Vec<_>>();
            let (found, expected) = (grads[i].as_deref().unwrap(), mask(expected[i].as_deref().unwrap()));
            assert_close(&format!("gate gradient {i}"), found, &wide(&expected), 1e-4);
        }
    }
}
