//! The largest values of windows side by side over one plane, and the way of their gradients back.

/// Largest side of a window: places inside it are kept as `u8`.
pub(crate) const MAX_SIDE: usize = 15;

/// Windows over one plane (h, w).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) size: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
}

impl Windows {
    /// Height and width of the pooled plane.
    pub(crate) fn pooled(&self) -> (usize, usize) {
        (self.h / self.size, self.w / self.size)
    }

    /// Largest value of each window and its place in it, row by row.
    pub(crate) fn forward(&self, plane: &[f32], ys: &mut [f32], places: &mut [u8]) {
        match self.size {
            2 => self.maxima(2, plane, ys, places), // The compiler unrolls the window.
            size => self.maxima(size, plane, ys, places),
        }
    }

    #[inline(always)]
    fn maxima(&self, size: usize, plane: &[f32], ys: &mut [f32], places: &mut [u8]) {
        let w = self.w;
        let rows = ys.chunks_exact_mut(w / size).zip(places.chunks_exact_mut(w / size));
        for ((ys, places), band) in rows.zip(plane.chunks_exact(size * w)) {
            for (x, (y, place)) in ys.iter_mut().zip(places).enumerate() {
                (*y, *place) = (band[x * size], 0);
                for i in 1..size * size {
                    let value = band[(i / size) * w + x * size + i % size];
                    let larger = value > *y || value.is_nan();
                    *y = if larger { value } else { *y };
                    *place = if larger { i as u8 } else { *place };
                }
            }
        }
    }

    /// Adds the gradient of each window to its place in the plane.
    pub(crate) fn backward(&self, grad: &[f32], places: &[u8], plane: &mut [f32]) {
        match self.size {
            2 => self.scatter(2, grad, places, plane),
            size => self.scatter(size, grad, places, plane),
        }
    }

    #[inline(always)]
    fn scatter(&self, size: usize, grad: &[f32], places: &[u8], plane: &mut [f32]) {
        let w = self.w;
        let rows = grad.chunks_exact(w / size).zip(places.chunks_exact(w / size));
        for ((grad, places), band) in rows.zip(plane.chunks_exact_mut(size * w)) {
            for (x, (g, &place)) in grad.iter().zip(places).enumerate() {
                let i = usize::from(place);
                band[(i / size) * w + x * size + i % size] += g;
            }
        }
    }
}
