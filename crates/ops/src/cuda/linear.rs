//! Linear maps, in `f32`: cuBLAS through Candle's matrix products.

use candle_core::{DType, Result, Tensor};

use super::launch::{Grid, Kind, at, device, flag, fresh, int, launch, long};
use super::norm::column_sums;
use super::pointwise;
use crate::chain;
use crate::gradients::Backward;

struct Linear {
    relu: bool,
}

/// As [`crate::linear`] or [`crate::linear_relu`], of checked arguments.
pub(crate) fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, relu: bool) -> Result<Tensor> {
    let product = xs.detach().to_dtype(DType::F32)?.contiguous()?.matmul(&weight.detach().t()?)?;
    let ys = match bias {
        Some(bias) => with_bias(&product, &bias.detach().contiguous()?, relu)?,
        None if relu => pointwise::rectified(&product)?,
        None => product,
    };
    chain::made([Some(xs), Some(weight), bias].into_iter().flatten().cloned().collect(), Linear { relu }, ys)
}

fn with_bias(xs: &Tensor, bias: &Tensor, relu: bool) -> Result<Tensor> {
    let ((rows, c), device) = (xs.dims2()?, device(xs)?);
    let ys = fresh(&device, Kind::F32, (rows, c))?;
    let args = [at(&ys)?, at(xs)?, Kind::F32.arg(), at(bias)?, long(rows), int(c), int(1), flag(relu)];
    launch(&device, "add_bias", Grid::each(rows * c.div_ceil(8)), &args)?;
    Ok(ys)
}

impl Backward for Linear {
    fn backward(&self, args: &[Tensor], ys: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let g = grad.to_dtype(DType::F32)?.contiguous()?;
        let g = if self.relu { pointwise::closed(&ys.contiguous()?, &g)? } else { g };
        let (xs, weight) = (args[0].detach(), args[1].detach());
        let dxs = || g.matmul(&weight.contiguous()?)?.to_dtype(xs.dtype());
        let dw = || g.t()?.matmul(&xs.to_dtype(DType::F32)?.contiguous()?);
        let db = || column_sums(&g, g.dims2()?.0, g.dims2()?.1);
        let bias = args.get(2).is_some_and(Tensor::track_op);
        Ok(vec![
            args[0].track_op().then(dxs).transpose()?,
            args[1].track_op().then(dw).transpose()?,
            bias.then(db).transpose()?,
        ])
    }
}
