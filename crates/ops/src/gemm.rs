//! `c = a b` or `c += a b` on one thread, for matrices of any strides: the `gemm` crate behind checked bounds.

use std::ops::Range;

/// A matrix seen through strides.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// Rows one after the other.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Rows that begin `row_stride` numbers apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transposed matrix, nothing copied.
    pub(crate) fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    /// Some of the rows.
    pub(crate) fn row_range(self, rows: Range<usize>) -> Self {
        assert!(rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        let start = (rows.start * self.row_stride).min(self.data.len());
        Self { data: &self.data[start..], rows: rows.len(), ..self }
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns there are.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    fn check(&self) {
        let last = |n: usize, stride: usize| n.saturating_sub(1) * stride;
        let needed = last(self.rows, self.row_stride) + last(self.cols, self.col_stride) + 1;
        assert!(self.rows * self.cols == 0 || needed <= self.data.len(), "a matrix larger than its buffer");
    }
}

/// `c = a b`, added to what `c` holds if `add`: (m, k) (k, n) -> (m, n), row by row.
pub(crate) fn gemm(c: &mut [f32], add: bool, a: Mat, b: Mat) {
    assert_eq!(a.cols, b.rows, "inner dimensions of a product");
    assert_eq!(c.len(), a.rows * b.cols, "size of a product");
    a.check();
    b.check();
    if c.is_empty() {
        return;
    }
    if a.cols == 0 {
        if !add {
            c.fill(0.0);
        }
        return;
    }
    let stride = |s: usize| s as isize;
    // SAFETY: `check` and the assertions above keep every read inside `a` and `b` and every write inside `c`; `c` is
    // borrowed mutably, so nothing else reads it.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            c.as_mut_ptr(),
            1,
            stride(b.cols),
            add,
            a.data.as_ptr(),
            stride(a.col_stride),
            stride(a.row_stride),
            b.data.as_ptr(),
            stride(b.col_stride),
            stride(b.row_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
