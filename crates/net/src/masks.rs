//! Masks: what scales the units of a space.

mod of_net;

use candle_core::{Device, Tensor};

use crate::{Result, SpaceId};

/// The scale of each unit of a space.
#[derive(Debug, Clone)]
pub enum Mask {
    /// One value per unit, (n,). A unit with the value 0 is closed: it is not computed at all.
    Shared(Tensor),
    /// One value per example and unit, (b, n). Every unit is computed.
    PerExample(Tensor),
}

impl Mask {
    fn values(&self) -> &Tensor {
        let (Self::Shared(z) | Self::PerExample(z)) = self;
        z
    }
}

/// Channels that tensor cores take at once.
const TILE: usize = 32;

/// The masks of a network: one or none for each space.
#[derive(Debug, Clone)]
pub struct Masks {
    /// Of each space.
    units: Vec<usize>,
    masks: Vec<Option<Mask>>,
    open: Vec<Option<Vec<bool>>>,
    /// Of each space the units that are computed although they are closed; empty for none.
    fillers: Vec<Vec<bool>>,
}

impl Masks {
    /// The same masks on `device`, all in one copy: which units are open was read where they came from. In training on
    /// CUDA some closed units are computed as well, scaled by 0: tensor cores take channels by multiples of [`TILE`].
    pub(crate) fn on(&self, device: &Device, training: bool) -> Result<Self> {
        let mut masks = self.clone();
        let elsewhere = |mask: &&Mask| !mask.values().device().same_device(device);
        let moved: Vec<&Tensor> = self.masks.iter().flatten().filter(elsewhere).map(Mask::values).collect();
        let there = l0_ops::to_device(&moved, device)?;
        for (mask, there) in masks.masks.iter_mut().flatten().filter(|mask| elsewhere(&&**mask)).zip(there) {
            let (Mask::Shared(z) | Mask::PerExample(z)) = mask;
            *z = there;
        }
        if training && device.is_cuda() {
            masks.fill_tiles();
        }
        Ok(masks)
    }

    /// Opens closed units of each space, the first ones, until the open ones fill a tile.
    fn fill_tiles(&mut self) {
        for (open, fillers) in self.open.iter_mut().zip(&mut self.fillers) {
            let Some(open) = open else { continue };
            let count = open.iter().filter(|&&open| open).count();
            let mut missing = count.next_multiple_of(TILE) - count;
            let filled = open.iter_mut().map(|open| {
                let fills = !*open && missing > 0;
                missing -= usize::from(fills);
                *open |= fills;
                fills
            });
            *fillers = filled.collect();
        }
    }

    /// Which units of a space are closed and computed all the same, to fill a tile; empty for none.
    pub(crate) fn fillers(&self, space: SpaceId) -> &[bool] {
        &self.fillers[space]
    }

    /// The mask of a space.
    pub fn get(&self, space: SpaceId) -> Option<&Mask> {
        self.masks[space].as_ref()
    }

    /// Whether the scale of a space differs between examples.
    pub(crate) fn varies(&self, space: SpaceId) -> bool {
        matches!(self.masks[space], Some(Mask::PerExample(_)))
    }

    /// Whether a unit of a space is open: not scaled by 0 for every example.
    pub(crate) fn is_open(&self, space: SpaceId, unit: usize) -> bool {
        self.open[space].as_ref().is_none_or(|open| open[unit])
    }
}

#[cfg(test)]
mod tests;
