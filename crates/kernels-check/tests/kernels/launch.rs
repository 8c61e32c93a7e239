//! The kernels as they are declared in C, and launches of them.

use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

type Numbers = *const c_void;
type NumbersMut = *mut c_void;
type Floats = *const f32;
type FloatsMut = *mut f32;

#[rustfmt::skip] // a kernel a line, in the order of the file
unsafe extern "C" {
    fn set_block(x: i32, y: i32, blocks: i32);
    pub(crate) fn cast(ys: NumbersMut, ky: i32, xs: Numbers, kx: i32, n: i64);
    pub(crate) fn add(ys: NumbersMut, ky: i32, a: Numbers, ka: i32, b: Numbers, kb: i32, n: i64);
    pub(crate) fn relu(ys: NumbersMut, xs: Numbers, kind: i32, n: i64);
    pub(crate) fn relu_back(dx: NumbersMut, ys: Numbers, g: Numbers, kind: i32, n: i64);
    pub(crate) fn dropout(ys: NumbersMut, xs: Numbers, kind: i32, key: u64, p: f32, gain: f32, n: i64, positions: i32, c: i32);
    pub(crate) fn transpose(ys: NumbersMut, ky: i32, xs: Numbers, kx: i32, batch: i64, rows: i32, cols: i32);
    pub(crate) fn add_bias(ys: NumbersMut, xs: Numbers, kind: i32, bias: Floats, rows: i64, c: i32, period: i32, then_relu: i32);
    pub(crate) fn column_sums(partial: FloatsMut, xs: Numbers, kx: i32, g: Numbers, kg: i32, mean: Floats, inverse: Floats, scale: Floats, shift: Floats, masked: i32, mode: i32, rows: i64, c: i32, chunk: i64);
    pub(crate) fn finish_statistics(mean: FloatsMut, var: FloatsMut, inverse: FloatsMut, partial: Floats, blocks: i32, xs: Numbers, kx: i32, rows: i64, c: i32, eps: f32);
    pub(crate) fn finish_gradients(dscale: FloatsMut, dshift: FloatsMut, mean_g: FloatsMut, mean_gx: FloatsMut, partial: Floats, blocks: i32, inverse: Floats, rows: i64, c: i32, of_batch: i32);
    pub(crate) fn finish_sums(out: FloatsMut, partial: Floats, blocks: i32, c: i32);
    pub(crate) fn normalise(ys: NumbersMut, xs: Numbers, kind: i32, mean: Floats, inverse: Floats, scale: Floats, shift: Floats, then_relu: i32, rows: i64, c: i32, chunk: i64);
    pub(crate) fn normalise_back(dx: NumbersMut, xs: Numbers, kx: i32, g: Numbers, kg: i32, mean: Floats, inverse: Floats, scale: Floats, shift: Floats, mean_g: Floats, mean_gx: Floats, masked: i32, rows: i64, c: i32, chunk: i64);
    pub(crate) fn mean_rows(ys: FloatsMut, xs: Numbers, kind: i32, images: i64, positions: i32, c: i32);
    pub(crate) fn mean_rows_back(dx: NumbersMut, kind: i32, g: Floats, images: i64, positions: i32, c: i32);
    pub(crate) fn select_block(ys: FloatsMut, w: Floats, rows: *const u32, cols: *const u32, row_scale: Floats, col_scale: Floats, n_rows: i32, n_cols: i32, taps: i32, i_full: i32);
    pub(crate) fn select_weight_back(dw: FloatsMut, g: Floats, row_at: *const i32, col_at: *const i32, row_scale: Floats, col_scale: Floats, o: i32, i_full: i32, n_cols: i32, taps: i32);
    pub(crate) fn select_scale_back(dscale: FloatsMut, g: Floats, w: Floats, rows: *const u32, cols: *const u32, at: *const i32, other: Floats, by_col: i32, n_rows: i32, n_cols: i32, taps: i32, i_full: i32);
    pub(crate) fn take_units(ys: NumbersMut, xs: Numbers, kind: i32, units: *const u32, outer: i64, total: i32, kept: i32, inner: i64);
    pub(crate) fn take_units_back(dx: NumbersMut, g: Numbers, kind: i32, place: *const i32, outer: i64, total: i32, kept: i32, inner: i64);
    pub(crate) fn sgd(ptrs: *const u64, lens: *const i64, decays: Floats, pieces: *const u32, rate: f32, momentum: f32, nesterov: i32);
    pub(crate) fn adam(ptrs: *const u64, lens: *const i64, decays: Floats, pieces: *const u32, step_size: f32, beta1: f32, beta2: f32, rest1: f32, rest2: f32, inverse_root: f32, eps: f32);
    pub(crate) fn lerp(ptrs: *const u64, lens: *const i64, decays: Floats, pieces: *const u32, weight: f32);
    pub(crate) fn clamp(p: FloatsMut, n: i64, low: f32, high: f32);
    pub(crate) fn running(out: FloatsMut, old: Floats, fresh: Floats, at: *const i32, constants: Floats, rates: Floats, rate: f32, factor: f32, n: i32);
    pub(crate) fn images(ys: NumbersMut, kind: i32, bytes: *const u8, indices: *const u32, places: *const i32, mean: Floats, std: Floats, batch: i64, c: i32, h: i32, w: i32);
    pub(crate) fn cross_entropy(losses: FloatsMut, logits: Floats, labels: *const u32, batch: i64, classes: i32);
    pub(crate) fn cross_entropy_back(dx: FloatsMut, logits: Floats, labels: *const u32, g: Floats, batch: i64, classes: i32);
}

/// Blocks along x and y.
pub(crate) type Grid = (usize, usize);

/// For kernels that take one thing after another, whatever the grid: several blocks, which come round several times.
pub(crate) const SOME: Grid = (3, 1);

/// Runs a kernel for each block of a grid. The block that runs is a static of the C file, so one launch at a time.
pub(crate) fn launch((across, down): Grid, mut kernel: impl FnMut()) {
    static LAUNCH: Mutex<()> = Mutex::new(());
    let _one = LAUNCH.lock().unwrap_or_else(PoisonError::into_inner);
    for (y, x) in (0..down as i32).flat_map(|y| (0..across as i32).map(move |x| (y, x))) {
        // SAFETY: nothing else reads or writes the statics while the lock is held.
        unsafe { set_block(x, y, across as i32) };
        kernel();
    }
}

/// `launch!(grid, kernel(arguments))`, with the arguments as the kernel declares them.
macro_rules! launch {
    ($grid:expr, $kernel:ident($($arg:expr),* $(,)?)) => {
        $crate::launch::launch($grid, || {
            // SAFETY: the declarations are those of the C file, and a test gives a kernel memory of the lengths that it
            // says, which nothing else uses meanwhile.
            unsafe { $crate::launch::$kernel($($arg),*) }
        })
    };
}
