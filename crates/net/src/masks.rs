//! Masks: what scales the units of a space.

use candle_core::{Device, Tensor};

use crate::params::expect_f32;
use crate::{Error, Net, Result, Space, SpaceId};

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
    /// No space is masked.
    pub fn none(net: &Net) -> Self {
        let (units, spaces) = (net.spaces().iter().map(|space| space.units).collect(), net.spaces().len());
        Self { units, masks: vec![None; spaces], open: vec![None; spaces], fillers: vec![Vec::new(); spaces] }
    }

    /// Masks a space. Reading which units are open is a point where the device is waited for.
    ///
    /// # Errors
    /// If `net` is not the network that these masks were made for or has no such space, the mask does not have an f32
    /// for each unit, or the space is masked already.
    pub fn set(&mut self, net: &Net, space: SpaceId, mask: Mask) -> Result<()> {
        self.check(net)?;
        let Space { name, units } = net.known_space(space)?;
        match &mask {
            Mask::Shared(z) if z.dims() != [*units] => {
                let (found, expected) = (z.dims().into(), vec![*units]);
                return Err(Error::Shape { name: format!("mask of {name}"), found, expected });
            }
            Mask::PerExample(z) if z.rank() != 2 || z.dim(1)? != *units => {
                let problem = format!("has shape {:?}, expected [batch, {units}], a row for each example", z.dims());
                return Err(Error::mask(name, problem));
            }
            _ => {}
        }
        let (Mask::Shared(z) | Mask::PerExample(z)) = &mask;
        expect_f32(&format!("mask of {name}"), z)?;
        if self.masks[space].is_some() {
            return Err(Error::mask(name, "the space is masked already; a space takes one mask"));
        }
        if let Mask::Shared(z) = &mask {
            let z = z.detach().to_vec1::<f32>()?;
            self.open[space] = Some(z.iter().map(|&z| z != 0.0).collect());
        }
        self.masks[space] = Some(mask);
        Ok(())
    }

    /// The same masks on `device`, all in one copy: which units are open was read where they came from. In training on CUDA
    /// some closed units are computed as well, scaled by 0: tensor cores take channels by multiples of [`TILE`].
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

    /// Whether a unit of a space is closed and computed all the same, to fill a tile.
    pub(crate) fn is_filler(&self, space: SpaceId, unit: usize) -> bool {
        self.fillers[space].get(unit).is_some_and(|&fills| fills)
    }

    /// The mask of a space.
    pub fn get(&self, space: SpaceId) -> Option<&Mask> {
        self.masks[space].as_ref()
    }

    /// Checks that these masks were made for a network with the spaces of `net`.
    pub(crate) fn check(&self, net: &Net) -> Result<()> {
        if self.masks.len() != net.spaces().len() {
            let (found, expected) = (self.masks.len(), format!("{}, those of the network", net.spaces().len()));
            return Err(Error::Count { what: "spaces of masks", found, expected });
        }
        match self.units.iter().zip(net.spaces()).find(|(units, space)| **units != space.units) {
            Some((&found, Space { name, units })) => {
                let problem = format!("is for {found} units, expected {units}; these masks are of another network");
                Err(Error::mask(name, problem))
            }
            None => Ok(()),
        }
    }

    /// Checks that a pass of `batch` examples through `net` can apply masks that differ between examples.
    pub(crate) fn check_batch(&self, net: &Net, batch: usize) -> Result<()> {
        for (mask, Space { name, units }) in self.masks.iter().zip(net.spaces()) {
            if let Some(Mask::PerExample(z)) = mask
                && z.dim(0)? != batch
            {
                let (found, expected) = (z.dims().into(), vec![batch, *units]);
                return Err(Error::Shape { name: format!("mask of {name}"), found, expected });
            }
        }
        let varies = self.varying(net);
        let zero = |id: &usize| net.node(*id).layer.rules().keeps_closed_zero() && varies[*id];
        match (0..net.nodes().len()).find(zero) {
            Some(id) => {
                let problem = "differs between examples, but a closed map is to stay zero in the batch norm";
                let (node, space) = (&net.node(id).name, &net.spaces()[net.space(id)].name);
                let advice = "share one mask (Mask::Shared), or let closed maps be constant (ClosedMaps::Constant)";
                Err(Error::mask(space, format!("{problem} {node:?}; {advice}")))
            }
            None => Ok(()),
        }
    }

    /// Which nodes differ between examples for the masks' sake: what stems from a mask that varies does, too, under whatever
    /// space its node has, until a layer mixes its units.
    fn varying(&self, net: &Net) -> Vec<bool> {
        let mut varies = vec![false; net.nodes().len()];
        for id in 0..varies.len() {
            let node = net.node(id);
            let inherits = net.reads(id).is_unit_by_unit() && node.inputs.iter().any(|&input| varies[input]);
            varies[id] = inherits || self.varies(net.space(id));
        }
        varies
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
mod tests {
    use candle_core::DType;
    use l0_rng::{Purpose, Stream};

    use super::*;
    use crate::{Builder, ClosedMaps, Mode, Output, Params};

    /// Two convolutions; `closed` says what the normalisation between them makes of a closed map.
    fn net(closed: ClosedMaps) -> Net {
        let mut b = Builder::image("image", 3, 6, 5);
        b.closed_maps(closed).conv2d_same("conv1", 40, 3, 1).batch_norm("bn").relu();
        b.conv2d_same("conv2", 4, 3, 1).avg_pool().linear("fc", 3);
        b.build().unwrap()
    }

    /// The output, then all gradients, then the running statistics that the pass teaches.
    fn trained(net: &Net, params: &Params, masks: &Masks) -> Vec<Tensor> {
        let (noise, device) = (|name: &str| Stream::new(1, Purpose::Dropout, 0, 0, name), Device::Cpu);
        let xs = Stream::new(1, Purpose::Other, 0, 0, "images").normals(4 * 90);
        let xs = Tensor::from_vec(xs, (4, 3, 6, 5), &device).unwrap();
        let Output { ys, statistics } = net.forward(&params.weights(), &xs, masks, Mode::Train(&noise)).unwrap();
        let labels = Tensor::new(&[0u32, 1, 2, 1], &device).unwrap();
        let grads = l0_ops::backward(&l0_ops::cross_entropy(&ys, &labels).unwrap()).unwrap();
        let taught = Params::init(net, 1, &device).unwrap();
        taught.learn(&statistics).unwrap();
        let grads = params.iter().filter_map(|param| grads.get(param.var.as_tensor()).unwrap());
        std::iter::once(ys).chain(grads).chain(taught.iter().map(|param| param.var.as_detached_tensor())).collect()
    }

    #[test]
    fn closed_units_that_fill_a_tile_change_nothing() {
        for closed in [ClosedMaps::Zero, ClosedMaps::Constant] {
            let net = net(closed);
            let params = Params::init(&net, 1, &Device::Cpu).unwrap();
            let z: Vec<f32> = (0..40).map(|unit| if unit % 4 == 1 { 0.5 } else { 0.0 }).collect();
            let mut masks = Masks::none(&net);
            let space = net.space(net.find("conv1").unwrap());
            masks.set(&net, space, Mask::Shared(Tensor::new(z, &Device::Cpu).unwrap())).unwrap();
            let expected = trained(&net, &params, &masks);
            masks.fill_tiles();
            assert_eq!((0..40).filter(|&unit| masks.is_open(space, unit)).count(), TILE);
            assert_eq!((0..40).filter(|&unit| masks.is_filler(space, unit)).count(), TILE - 10);
            let found = trained(&net, &params, &masks);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                let worst = (found - expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
                let worst = worst.to_dtype(DType::F32).unwrap().to_scalar::<f32>().unwrap();
                assert!(worst < 2e-6, "{closed:?}: {worst} in {:?}", expected.dims());
            }
        }
    }
}
