//! Which numbers of a side bilinear upsampling takes the means of, for kernels and for Candle's operations.

/// `(1 - t)` of number `at` and `t` of number `next`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    pub(crate) at: usize,
    pub(crate) next: usize,
    pub(crate) t: f32,
}

/// The means that a side of n numbers becomes.
pub(crate) fn means(n: usize, factor: usize, align_corners: bool) -> Vec<Mean> {
    let long = n * factor;
    let place = |y: usize| {
        if align_corners {
            return (y * (n - 1)) as f64 / long.saturating_sub(1).max(1) as f64;
        }
        ((y as f64 + 0.5) / factor as f64 - 0.5).clamp(0.0, (n - 1) as f64)
    };
    let mean = |y: usize| {
        let at = (place(y) as usize).min(n - 1);
        Mean { at, next: (at + 1).min(n - 1), t: (place(y) - at as f64) as f32 }
    };
    (0..long).map(mean).collect()
}
