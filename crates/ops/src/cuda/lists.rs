//! A selection as kernels read it.

use candle_core::{Device, Result, Tensor};

/// What kernels read of a selection, on one device.
#[derive(Debug, Clone)]
pub(crate) struct Lists {
    /// The kept units.
    pub(super) units: Tensor,
    /// For each unit its place among the kept ones as an `i32`, -1 where it is not kept.
    pub(super) places: Tensor,
}

impl Lists {
    /// Both lists of the kept units among `total`, in one copy.
    pub(crate) fn new(kept: &[u32], total: usize, device: &Device) -> Result<Self> {
        let mut both = vec![u32::MAX; total];
        kept.iter().enumerate().for_each(|(place, &unit)| both[unit as usize] = place as u32);
        both.extend(kept);
        let both = Tensor::new(both, device)?;
        Ok(Self { units: both.narrow(0, total, kept.len())?, places: both.narrow(0, 0, total)? })
    }

    pub(crate) fn are_on(&self, device: &Device) -> bool {
        self.units.device().same_device(device)
    }
}
