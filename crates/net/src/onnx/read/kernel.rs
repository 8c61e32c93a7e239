//! The kernels of convolutions.

use super::constant::Values;
use super::operator::Operator;
use super::wire::Reason;
use crate::Pair;

/// A kernel of four dimensions (a, b, kh, kw), its side lengths and the bias if there is one.
pub(super) struct Kernel {
    pub(super) dims: [usize; 4],
    pub(super) side: Pair,
    pub(super) values: Values,
}

impl Kernel {
    pub(super) fn of(op: &Operator<'_>) -> Result<Self, Reason> {
        let weight = op.stored(1, "weight")?;
        let dims: [usize; 4] = weight.dims().try_into().map_err(|_| {
            format!("a weight of shape {:?}, expected four dimensions: only images are convolved", weight.dims())
        })?;
        let side = Pair { h: dims[2], w: dims[3] };
        if dims.contains(&0) || op.pair("kernel_shape")?.is_some_and(|said| said != side) {
            return Err(format!("a weight of shape {dims:?}, which does not fit its kernel_shape"));
        }
        let mut values = vec![("weight", weight.clone())];
        values.extend(op.constant(2, "bias")?.map(|bias| ("bias", bias.clone())));
        Ok(Self { dims, side, values })
    }

    /// Checks the bias of a layer of `out` channels; whether there is one.
    pub(super) fn has_bias(&self, out: usize) -> Result<bool, Reason> {
        match self.values.get(1) {
            Some((_, bias)) if bias.dims() != [out] => {
                Err(format!("a bias of shape {:?}, expected [{out}]", bias.dims()))
            }
            bias => Ok(bias.is_some()),
        }
    }
}

/// How far a window reaches.
pub(super) fn extent(side: Pair, dilation: Pair) -> Pair {
    let reach = |side: usize, dilation: usize| (side - 1).saturating_mul(dilation).saturating_add(1);
    Pair { h: reach(side.h, dilation.h), w: reach(side.w, dilation.w) }
}

/// How many parts the channels are divided into.
pub(super) fn groups(op: &Operator<'_>) -> Result<usize, Reason> {
    let groups = op.int("group")?.unwrap_or(1);
    usize::try_from(groups).ok().filter(|&groups| groups > 0).ok_or_else(|| format!("{groups} groups"))
}
