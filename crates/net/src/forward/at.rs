//! What a layer knows while it is run: its place, its values, what masks leave of it, and the batch.

use candle_core::Tensor;
use l0_ops::{After, Epilogue, Selection};
use l0_rng::Stream;

use crate::{Mask, Place, Result, Shape, Unit, Weights, plan};

/// Whether a pass trains or evaluates.
#[derive(Clone, Copy)]
pub enum Mode<'a> {
    /// Batch statistics in normalisations; dropout draws its noise from the stream that belongs to the layer's name.
    Train(&'a dyn Fn(&str) -> Stream),
    /// Running statistics, no dropout.
    Eval,
}

impl Mode<'_> {
    pub(crate) fn is_training(self) -> bool {
        matches!(self, Self::Train(_))
    }
}

/// New running statistics of one normalisation.
#[derive(Debug)]
pub struct StatisticsUpdate {
    pub(crate) node: String,
    pub(crate) mean: Tensor,
    pub(crate) var: Tensor,
}

/// Nothing is computed at once with a layer.
pub(super) const ALONE: Epilogue = Epilogue { relu: false, max_pool: 1 };

/// A layer of a masked network: where it stands, its values, and what becomes of its units.
pub(crate) struct MaskedLayer<'a> {
    pub(super) place: Place<'a>,
    pub(super) weights: &'a Weights,
    /// The mask of the space that its output has, and whether it is applied here.
    pub(super) mask: Option<&'a Mask>,
    pub(super) makes_space: bool,
    /// Whether all that reads its output are linear maps, which fold a scale into their weights: that also spares the
    /// gradient of the input.
    pub(super) folds_scale: bool,
    /// The units that are closed but computed, as [`Masks::fillers`](crate::Masks::fillers).
    pub(super) fillers: &'a [bool],
    /// The units that are computed.
    pub(crate) kept: &'a Selection,
    pub(super) units: &'a [Unit],
    /// What becomes of the units of its first input.
    pub(super) read: &'a [Unit],
}

impl<'a> MaskedLayer<'a> {
    /// The value of a parameter.
    pub(crate) fn value(&self, leaf: &str) -> Result<&'a Tensor> {
        self.weights.of(self.place.name, leaf)
    }

    /// The scale of all units, (n,), where the layer makes their space.
    pub(crate) fn scale(&self) -> Option<&'a Tensor> {
        match self.mask {
            Some(Mask::Shared(z)) if self.makes_space => Some(z),
            _ => None,
        }
    }

    /// The units that are the same for every input but not zero, and read.
    pub(crate) fn constants(&self) -> Selection {
        plan::constants(self.units)
    }

    /// The same of its first input.
    pub(crate) fn constants_read(&self) -> Selection {
        plan::constants(self.read)
    }

    /// Whether a unit is closed and computed all the same, to fill a tile.
    pub(crate) fn is_filler(&self, unit: usize) -> bool {
        self.fillers.get(unit).is_some_and(|&fills| fills)
    }
}

/// One layer of a pass.
pub(crate) struct At<'a> {
    pub(crate) layer: MaskedLayer<'a>,
    /// What is computed at once with the layer.
    pub(crate) epilogue: Epilogue,
    /// What is added before that, where a sum is computed at once with the layer.
    pub(crate) plus: Option<&'a Tensor>,
    /// What the network was given.
    pub(crate) batch: &'a Tensor,
    pub(crate) mode: Mode<'a>,
    pub(crate) statistics: &'a mut Vec<StatisticsUpdate>,
}

impl<'a> At<'a> {
    pub(crate) fn name(&self) -> &'a str {
        self.layer.place.name
    }

    /// What a normalisation does after its own work.
    pub(crate) fn after(&self) -> After<'a> {
        After { plus: self.plus, relu: self.epilogue.relu }
    }

    /// The value of a parameter of this layer.
    pub(crate) fn value(&self, leaf: &str) -> Result<&'a Tensor> {
        self.layer.value(leaf)
    }

    /// The units of the output that are computed.
    pub(crate) fn kept(&self) -> &'a Selection {
        self.layer.kept
    }

    /// The shape of one example of an input.
    pub(crate) fn input_shape(&self, input: usize) -> Shape {
        self.layer.place.inputs[input]
    }
}
