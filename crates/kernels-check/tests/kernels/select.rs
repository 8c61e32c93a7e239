//! Blocks of weights, and units of a dimension.

use candle_core::{Tensor, Var};
use l0_ops::Selection;

use crate::launch::SOME;
use crate::numbers::{KINDS, Kind, Numbers, at_or_null, close, exact, gradients, last, random, values, variable};

const O: usize = 5;
const I: usize = 11;

/// For each unit its place among the kept ones, -1 where it is not kept.
pub(crate) fn places(selection: &Selection) -> Vec<i32> {
    let mut places = vec![-1; selection.total()];
    selection.iter().enumerate().for_each(|(place, unit)| places[unit] = place as i32);
    places
}

/// Units, places among them, and scales of one side of a weight, as the kernels take them.
struct Side {
    kept: Selection,
    units: Option<Vec<u32>>,
    places: Option<Vec<i32>>,
    scale: Option<Vec<f32>>,
}

impl Side {
    fn new(kept: &Selection, scale: Option<&Var>) -> Self {
        let units = kept.indices().map(<[u32]>::to_vec);
        let places = (!kept.is_all()).then(|| places(kept));
        Self { kept: kept.clone(), units, places, scale: scale.map(|scale| values(scale)) }
    }
}

/// (rows, cols, taps) <-> (rows, taps, cols), as a block lies.
fn swapped(t: &Tensor) -> Tensor {
    t.transpose(1, 2).unwrap().contiguous().unwrap()
}

fn block(weight: &[f32], rows: &Side, cols: &Side, taps: usize) -> Numbers {
    let mut ys = Numbers::unset(Kind::F32, rows.kept.len() * taps * cols.kept.len());
    launch!(
        SOME,
        select_block(
            ys.at_mut(),
            weight.as_ptr(),
            at_or_null(rows.units.as_ref()),
            at_or_null(cols.units.as_ref()),
            at_or_null(rows.scale.as_ref()),
            at_or_null(cols.scale.as_ref()),
            rows.kept.len() as i32,
            cols.kept.len() as i32,
            taps as i32,
            I as i32,
        )
    );
    ys
}

fn weight_back(g: &[f32], rows: &Side, cols: &Side, taps: usize) -> Numbers {
    let mut dw = Numbers::unset(Kind::F32, O * I * taps);
    launch!(
        SOME,
        select_weight_back(
            dw.at_mut(),
            g.as_ptr(),
            at_or_null(rows.places.as_ref()),
            at_or_null(cols.places.as_ref()),
            at_or_null(rows.scale.as_ref()),
            at_or_null(cols.scale.as_ref()),
            O as i32,
            I as i32,
            cols.kept.len() as i32,
            taps as i32,
        )
    );
    dw
}

fn scale_back(g: &[f32], weight: &[f32], [rows, cols]: [&Side; 2], by_col: bool, taps: usize) -> Numbers {
    let (side, other) = if by_col { (cols, rows) } else { (rows, cols) };
    let mut dscale = Numbers::unset(Kind::F32, side.kept.total());
    launch!(
        (side.kept.total(), 1),
        select_scale_back(
            dscale.at_mut(),
            g.as_ptr(),
            weight.as_ptr(),
            at_or_null(rows.units.as_ref()),
            at_or_null(cols.units.as_ref()),
            at_or_null(side.places.as_ref()),
            at_or_null(other.scale.as_ref()),
            i32::from(by_col),
            rows.kept.len() as i32,
            cols.kept.len() as i32,
            taps as i32,
            I as i32,
        )
    );
    dscale
}

fn check(rows: &Selection, cols: &Selection, [row_scale, col_scale]: [Option<&Var>; 2], taps: usize) {
    let weight = variable(&random("weight", &[O, I, taps]));
    let scales = [row_scale, col_scale].map(|scale| scale.map(|scale| scale.as_tensor()));
    let ys = l0_ops::select(&weight, rows, cols, scales[0], scales[1]).unwrap();
    let (r, c, w) = (Side::new(rows, row_scale), Side::new(cols, col_scale), values(&weight));
    close("block", &block(&w, &r, &c, taps), &values(&swapped(&ys)), 1e-6);

    let g = random("g", &[rows.len(), taps, cols.len()]);
    let (numbers, g) = (values(&g), swapped(&g));
    let [dw] = gradients(&ys, &g, [&weight]);
    close("gradient of the weight", &weight_back(&numbers, &r, &c, taps), &values(&dw), 1e-6);
    for (by_col, scale) in [(false, row_scale), (true, col_scale)] {
        let Some(scale) = scale else { continue };
        let [expected] = gradients(&ys, &g, [scale]);
        let found = scale_back(&numbers, &w, [&r, &c], by_col, taps);
        close("gradient of a scale", &found, &values(&expected), 1e-5);
    }
}

/// All of `n` units, and some.
fn selections(n: usize) -> [Selection; 2] {
    [Selection::all(n), Selection::of(&(0..n).map(|i| i % 3 != 1).collect::<Vec<_>>())]
}

#[test]
fn blocks_of_weights() {
    let (row, col) = (variable(&random("row", &[O])), variable(&random("col", &[I])));
    for rows in &selections(O) {
        for cols in &selections(I) {
            for scales in [[None, None], [Some(&row), None], [None, Some(&col)], [Some(&row), Some(&col)]] {
                [1, 9].into_iter().for_each(|taps| check(rows, cols, scales, taps));
            }
        }
    }
}

#[test]
fn units_of_a_dimension() {
    let dims = [4, 13, 3, 2];
    let xs = variable(&random("xs", &dims));
    // (dimension, numbers before and behind it in memory)
    for (dim, outer, inner) in [(1, 4 * 3 * 2, 1), (0, 1, 13 * 3 * 2), (2, 4, 2 * 13)] {
        let [_, kept] = selections(dims[dim]);
        let (total, len, units) = (dims[dim] as i32, kept.len() as i32, kept.indices().unwrap().to_vec());
        let ys = l0_ops::take(&xs, dim, &kept).unwrap();
        let g = random("g", ys.dims());
        let [dx] = gradients(&ys, &g, [&xs]);
        for kind in KINDS {
            let (input, grad) = (Numbers::of(kind, &last(&xs)), Numbers::of(kind, &last(&g)));
            let (mut found, mut back) = (Numbers::unset(kind, ys.elem_count()), Numbers::unset(kind, xs.elem_count()));
            let (kind_, places) = (kind as i32, places(&kept));
            launch!(SOME, take_units(found.at_mut(), input.at(), kind_, units.as_ptr(), outer, total, len, inner));
            exact("take", &found, &last(&ys), kind);
            launch!(SOME, take_units_back(back.at_mut(), grad.at(), kind_, places.as_ptr(), outer, total, len, inner));
            exact("gradient of take", &back, &last(&dx), kind);
        }
    }
}
