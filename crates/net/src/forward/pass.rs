//! What the layers of one pass share, and what a pass gives.

use candle_core::Tensor;

use super::at::{MaskedLayer, StatisticsUpdate};
use crate::{Masks, Net, NodeId, Plan, Weights};

/// The result of a forward pass.
#[derive(Debug)]
pub struct Output {
    /// Output of the last layer, (b, n) or (b, c, h, w).
    pub ys: Tensor,
    /// What the running statistics of normalisations learn from this batch; empty in evaluation.
    pub statistics: Vec<StatisticsUpdate>,
}

/// A network, and what a pass through it is to compute.
pub(crate) struct Pass<'a> {
    pub(crate) net: &'a Net,
    pub(crate) plan: &'a Plan,
    pub(crate) masks: &'a Masks,
    pub(crate) weights: &'a Weights,
}

impl<'a> Pass<'a> {
    /// What the layer at node `id` is told of all that.
    pub(crate) fn layer(&self, id: NodeId) -> MaskedLayer<'a> {
        let (net, plan, space) = (self.net, self.plan, self.net.space(id));
        MaskedLayer {
            place: net.place(id),
            weights: self.weights,
            mask: self.masks.get(space),
            makes_space: net.makes_space(id),
            folds_scale: self.folds_scale(id),
            fillers: self.masks.fillers(space),
            kept: plan.kept(id),
            units: plan.units(id),
            read: net.node(id).inputs.first().map_or(&[], |&input| plan.units(input)),
        }
    }

    /// Whether all that reads node `id` are linear maps.
    fn folds_scale(&self, id: NodeId) -> bool {
        let readers = self.net.readers(id);
        !readers.is_empty() && readers.iter().all(|&reader| self.net.node(reader).layer.rules().linear_map().is_some())
    }
}
