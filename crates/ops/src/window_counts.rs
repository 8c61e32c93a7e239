//! How many numbers the mean of a window is over.

use crate::settings::Window;

/// For each window down and across, how many rows and columns it has within the image, or within image and padding: a
/// window at the end may reach further than that.
pub(crate) fn counts(
    window: &Window,
    (h, w): (usize, usize),
    (oh, ow): (usize, usize),
    with_padding: bool,
) -> [Vec<f32>; 2] {
    let [top, left, bottom, right] = window.padding;
    let count = |n: usize, before: usize, after: usize, size: usize, start: usize| {
        let (first, last) = if with_padding { (0, before + n + after) } else { (before, before + n) };
        ((start + size).min(last) - start.max(first)) as f32
    };
    [
        (0..oh).map(|y| count(h, top, bottom, window.size.0, y * window.stride.0)).collect(),
        (0..ow).map(|x| count(w, left, right, window.size.1, x * window.stride.1)).collect(),
    ]
}
