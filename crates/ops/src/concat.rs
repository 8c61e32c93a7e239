//! Units side by side: `ys[n] = xs_0[n], xs_1[n], ..`; each gets its part of the gradient.

use candle_core::{CpuStorage, Result, Shape, Tensor};

use crate::chain::{Operation, apply_all};
use crate::cpu::{data, numbers, output, serves, tensor};
use crate::gradients::Backward;
use crate::planes::each_plane;
use crate::{check, portable};

struct Concat;

/// Numbers of an example.
fn example(xs: &Tensor) -> usize {
    xs.dims()[1..].iter().product()
}

impl Operation for Concat {
    fn forward(&self, args: &[Tensor]) -> Result<(CpuStorage, Shape)> {
        let storages: Vec<_> = args.iter().map(Tensor::storage_and_layout).collect();
        let parts = storages.iter().map(|(storage, layout)| data(storage, layout)).collect::<Result<Vec<&[f32]>>>()?;
        let mut dims = args[0].dims().to_vec();
        dims[1] = args.iter().map(|part| part.dims()[1]).sum();
        let len = dims[1..].iter().product();
        let ys = each_plane(dims[0], len, len, |n, mut ys| {
            for (part, xs) in parts.iter().zip(args) {
                let (to, rest) = ys.split_at_mut(example(xs));
                to.copy_from_slice(&part[n * to.len()..][..to.len()]);
                ys = rest;
            }
        });
        output(ys, dims)
    }
}

impl Backward for Concat {
    fn backward(&self, args: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let (all, mut start) = (example(grad), 0);
        let part = |xs: &Tensor| {
            let (len, first) = (example(xs), start);
            start += len;
            let copy = |g: &[f32]| {
                each_plane(xs.dims()[0], len, len, |n, dx| dx.copy_from_slice(&g[n * all + first..][..len]))
            };
            xs.track_op().then(|| tensor(numbers([grad], |[g]| copy(g))?, xs.shape())).transpose()
        };
        args.iter().map(part).collect()
    }
}

/// The units of some tensors, one after the other: (b, c_0, ..), (b, c_1, ..), .. -> (b, c_0 + c_1 + .., ..).
///
/// # Errors
/// If there is no tensor, or their dimensions differ but for the units in dimension 1.
pub fn concat(parts: &[&Tensor]) -> Result<Tensor> {
    check::concat(parts)?;
    if !serves(parts) {
        return portable::concat(parts);
    }
    apply_all(parts.iter().map(|part| part.contiguous()).collect::<Result<_>>()?, Concat)
}
