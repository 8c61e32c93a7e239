//! Masks: what scales the units of a space.

use candle_core::{DType, Tensor};

use crate::{Error, Net, Result, SpaceId};

/// The scale of each unit of a space.
#[derive(Debug, Clone)]
pub enum Mask {
    /// One value per unit, (n,). A unit with the value 0 is closed: it is not computed at all.
    Shared(Tensor),
    /// One value per example and unit, (b, n). Every unit is computed.
    PerExample(Tensor),
}

/// The masks of a network: one or none for each space.
#[derive(Debug, Clone)]
pub struct Masks {
    masks: Vec<Option<Mask>>,
    open: Vec<Option<Vec<bool>>>,
}

impl Masks {
    /// No space is masked.
    pub fn none(net: &Net) -> Self {
        let spaces = net.spaces().len();
        Self { masks: vec![None; spaces], open: vec![None; spaces] }
    }

    /// Masks a space. Reading which units are open is a point where the device is waited for.
    ///
    /// # Errors
    /// If the mask does not have a value for each unit, or the space is masked already.
    pub fn set(&mut self, net: &Net, space: SpaceId, mask: Mask) -> Result<()> {
        let Space { name, units } = &net.spaces()[space];
        let (found, last) = match &mask {
            Mask::Shared(z) => (z.dims(), z.dims().len() == 1),
            Mask::PerExample(z) => (z.dims(), z.dims().len() == 2),
        };
        if !last || found.last() != Some(units) {
            return Err(Error::Shape { name: format!("mask of {name}"), found: found.into(), expected: vec![*units] });
        }
        if self.masks[space].is_some() {
            return Err(Error::DuplicateName(format!("mask of {name}")));
        }
        if let Mask::Shared(z) = &mask {
            let z = z.detach().to_dtype(DType::F32)?.to_vec1::<f32>()?;
            self.open[space] = Some(z.iter().map(|&z| z != 0.0).collect());
        }
        self.masks[space] = Some(mask);
        Ok(())
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

use crate::Space;
