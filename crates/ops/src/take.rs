//! The kept units of one dimension: `ys[.., a, ..] = xs[.., units[a], ..]`; the gradient is scattered back, zero
//! elsewhere.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::chain::apply1;
use crate::cpu::{data, output, serves, slice, tensor};
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::portable;
use crate::selection::Selection;

struct Take {
    dim: usize,
    units: Selection,
}

/// Visits all kept units as (start in the full tensor, start in the small one); a unit is `inner` numbers long.
fn positions(outer: usize, inner: usize, units: &Selection, mut visit: impl FnMut(usize, usize)) {
    for block in 0..outer {
        for (small, full) in units.iter().enumerate() {
            visit((block * units.total() + full) * inner, (block * units.len() + small) * inner);
        }
    }
}

impl Take {
    fn extent(&self, dims: &[usize]) -> (usize, usize) {
        (dims[..self.dim].iter().product(), dims[self.dim + 1..].iter().product())
    }
}

impl CustomOp1 for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (xs, mut dims) = (slice(xs, layout)?, layout.dims().to_vec());
        let (outer, inner) = self.extent(&dims);
        let mut ys = Vec::with_capacity(outer * self.units.len() * inner);
        positions(outer, inner, &self.units, |full, _| ys.extend_from_slice(&xs[full..full + inner]));
        dims[self.dim] = self.units.len();
        output(ys, dims)
    }

    fn bwd(&self, xs: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (grad, layout) = grad.storage_and_layout();
        let grad = data(&grad, layout)?;
        let (outer, inner) = self.extent(xs.dims());
        let mut dx = vec![0.0; xs.elem_count()];
        positions(outer, inner, &self.units, |full, small| {
            dx[full..full + inner].copy_from_slice(&grad[small..small + inner]);
        });
        tensor(dx, xs.shape()).map(Some)
    }
}

/// The units of dimension `dim` that `selection` keeps: (.., selection.total(), ..) -> (.., selection.len(), ..).
///
/// # Errors
/// If `xs` has no dimension `dim` or another number of units there.
pub fn take(xs: &Tensor, dim: usize, selection: &Selection) -> Result<Tensor> {
    if dim >= xs.rank() || xs.dims()[dim] != selection.total() {
        let (dims, total) = (xs.dims(), selection.total());
        bail!("take: xs has shape {dims:?}, expected {total} units in dimension {dim}")
    }
    #[cfg(feature = "cuda")]
    if !selection.is_all() && !selection.is_empty() && cuda::serves(xs, &[]) {
        return cuda::take(xs, dim, selection);
    }
    if selection.is_all() || !serves(&[xs]) {
        return portable::take(xs, dim, selection);
    }
    apply1(&xs.contiguous()?, Take { dim, units: selection.clone() })
}
