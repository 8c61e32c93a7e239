//! Work in fixed pieces: what a piece is depends on the shapes alone, never on the number of threads, and a piece is
//! computed by one thread. Reductions over pieces run in their order. So the bits of a result do not depend on threads.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut, Range};

use rayon::prelude::*;
use wide::f32x8;

/// Runs `work` on every item, on the threads of the current rayon pool.
pub(crate) fn each<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync + Send) {
    if items.len() < 2 || rayon::current_num_threads() == 1 {
        items.into_iter().for_each(work);
    } else {
        items.into_par_iter().with_max_len(1).for_each(work);
    }
}

/// Cuts `0..n` into at most `pieces` ranges of equal length (the last may be shorter), a multiple of `align`.
pub(crate) fn split(n: usize, pieces: usize, align: usize) -> Vec<Range<usize>> {
    let len = n.div_ceil(pieces.max(1)).next_multiple_of(align).max(1);
    (0..n).step_by(len).map(|start| start..(start + len).min(n)).collect()
}

/// How many pieces work of this many multiply-adds is worth: 1 below what waking a thread costs.
pub(crate) fn pieces(macs: usize) -> usize {
    (macs / 400_000).clamp(1, 4)
}

/// Cuts a buffer into disjoint parts of the given lengths.
pub(crate) fn carve<T>(mut data: &mut [T], lens: impl IntoIterator<Item = usize>) -> Vec<&mut [T]> {
    let cut = |len| {
        let (head, tail) = std::mem::take(&mut data).split_at_mut(len);
        data = tail;
        head
    };
    lens.into_iter().map(cut).collect()
}

thread_local! {
    static SPARE: RefCell<Vec<Vec<f32x8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer kept by the thread for its next use; what it holds at first is left over from the last one.
pub(crate) struct Scratch {
    data: Vec<f32x8>,
    len: usize,
}

/// A scratch buffer of `len` numbers.
pub(crate) fn scratch(len: usize) -> Scratch {
    let mut data = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if data.len() * 8 < len {
        data.resize(len.div_ceil(8), f32x8::ZERO);
    }
    Scratch { data, len }
}

impl Scratch {
    /// The numbers eight by eight, as many as fill eights.
    pub(crate) fn eights(&mut self) -> &mut [f32x8] {
        &mut self.data[..self.len / 8]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        SPARE.with_borrow_mut(|spare| spare.push(data));
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.data)[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.data)[..self.len]
    }
}
