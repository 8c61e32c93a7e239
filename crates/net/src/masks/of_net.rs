//! Masks are made for a network: they fit its spaces, and its layers can apply them.

use crate::weights::expect_f32;
use crate::{Error, Mask, Masks, Net, Result, Space, SpaceId};

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
                let problem = "differs between examples, but a closed channel is to stay zero in the batch norm";
                let (node, space) = (&net.node(id).name, &net.spaces()[net.space(id)].name);
                let advice =
                    "share one mask (Mask::Shared), or let closed channels be constant (ClosedChannels::Constant)";
                Err(Error::mask(space, format!("{problem} {node:?}; {advice}")))
            }
            None => Ok(()),
        }
    }

    /// Which nodes differ between examples for the masks' sake: what stems from a mask that varies does, too, under
    /// whatever space its node has, until a layer mixes its units.
    fn varying(&self, net: &Net) -> Vec<bool> {
        let mut varies = vec![false; net.nodes().len()];
        for id in 0..varies.len() {
            let node = net.node(id);
            let inherits = net.reads(id).is_unit_by_unit() && node.inputs.iter().any(|&input| varies[input]);
            varies[id] = inherits || self.varies(net.space(id));
        }
        varies
    }
}
