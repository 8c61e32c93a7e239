//! Work plane by plane, in fixed pieces: what belongs to an image's channel is computed by one thread.

use candle_core::{CpuStorage, Result, Shape, Tensor};

use crate::chain::Operation;
use crate::cpu::{numbers, output, tensor};
use crate::gradients::Backward;
use crate::parallel::split;
use crate::unset::{Set, Unset, filled};

/// Numbers that a piece is worth being handed to a thread for.
pub(crate) const PIECE: usize = 16 * 1024;

/// `planes` results of `len` numbers, made by `f(which, result)`; a plane takes about `work` steps.
pub(crate) fn each_plane(
    planes: usize,
    len: usize,
    work: usize,
    f: impl Fn(usize, &mut [f32]) + Sync + Send,
) -> Vec<f32> {
    each_plane_with(planes, len, work, || (), |(), which, plane| f(which, plane))
}

/// [`each_plane`] with buffers that are made once for many planes and handed from one to the next.
pub(crate) fn each_plane_with<B>(
    planes: usize,
    len: usize,
    work: usize,
    buffers: impl Fn() -> B + Sync + Send,
    f: impl Fn(&mut B, usize, &mut [f32]) + Sync + Send,
) -> Vec<f32> {
    set_planes_with(planes, len, work, buffers, |buffers, which, plane| plane.zeroed(|plane| f(buffers, which, plane)))
}

/// The same where `f` sets every number itself.
pub(crate) fn set_planes_with<B>(
    planes: usize,
    len: usize,
    work: usize,
    buffers: impl Fn() -> B + Sync + Send,
    f: impl for<'a> Fn(&mut B, usize, Unset<'a>) -> Set<'a> + Sync + Send,
) -> Vec<f32> {
    if len == 0 {
        return vec![];
    }
    let pieces = split(planes, (planes * work / PIECE).clamp(1, 16), 1);
    let items = pieces.into_iter().map(|piece| (piece.len() * len, piece)).collect();
    filled(items, |piece: std::ops::Range<usize>, all| {
        let (first, mut buffers) = (piece.start, buffers());
        all.parts(piece.map(|_| len), |which, plane| f(&mut buffers, first + which, plane))
    })
}

/// A linear function of each plane (h, w) of images.
pub(crate) trait Linear: Send + Sync + 'static {
    /// Height and width of a result.
    fn output(&self) -> (usize, usize);
    /// Fills the result, zeros at first.
    fn forward(&self, plane: &[f32], ys: &mut [f32]);
    /// Adds to the gradient of the plane, zeros at first, what that of the result gives.
    fn backward(&self, g: &[f32], dx: &mut [f32]);
}

/// That function as an operation: (b, c, h, w) -> (b, c, h', w').
pub(crate) struct EachPlane<L>(pub(crate) L);

/// Images and channels, and numbers of a plane.
fn sizes(images: &Tensor) -> Result<(usize, usize)> {
    let (b, c, h, w) = images.dims4()?;
    Ok((b * c, h * w))
}

impl<L: Linear> Operation for EachPlane<L> {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let ((planes, full), (oh, ow)) = (sizes(&args[0])?, self.0.output());
        let ys = numbers([&args[0]], |[xs]| {
            each_plane(planes, oh * ow, full.max(oh * ow), |at, ys| self.0.forward(&xs[at * full..][..full], ys))
        })?;
        let (b, c, _, _) = args[0].dims4()?;
        output(ys, (b, c, oh, ow))
    }
}

impl<L: Linear> Backward for EachPlane<L> {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let ((planes, full), (_, small)) = (sizes(&args[0])?, sizes(grad)?);
        let dx = numbers([grad], |[g]| {
            each_plane(planes, full, full.max(small), |at, dx| self.0.backward(&g[at * small..][..small], dx))
        })?;
        Ok(vec![Some(tensor(dx, args[0].shape())?)])
    }
}
