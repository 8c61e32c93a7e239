//! The sub-block of a linear map that a masked network computes.
//!
//! With masks z (on the layer's own units) and s (left over by its input), and c the constant units of its input:
//! `weight' = z W s` on kept rows and columns, `bias' = z (b + W c)`. Where zero padding makes the part `W c` of a
//! convolution uneven, it has a value for each position, computed once for the whole batch.

use candle_core::Tensor;
use l0_ops::{Epilogue, Selection};

use super::at::{ALONE, At, MaskedLayer};
use super::flow::{Flow, scatter, sum};
use crate::layers::LinearMap;
use crate::{Error, Result, Shape};

/// A linear map of the computed units.
pub(crate) struct Block {
    /// The weight's rows and columns; none where no input unit is computed.
    pub(crate) weight: Option<Tensor>,
    /// (rows,)
    pub(crate) bias: Option<Tensor>,
    /// What constant channels add at each position, (1, rows, h', w').
    pub(crate) uneven: Option<Tensor>,
}

impl MaskedLayer<'_> {
    /// The sub-block of this layer, the linear map `map`, that makes the units `rows` from `input`.
    pub(crate) fn block(&self, map: &dyn LinearMap, rows: &Selection, input: &Flow) -> Result<Block> {
        self.block_of(map, rows, input, &self.constants_read())
    }

    /// The same where the weight has a column for each unit of `input`, of which `cols` are constant.
    pub(crate) fn block_of(
        &self,
        map: &dyn LinearMap,
        rows: &Selection,
        input: &Flow,
        cols: &Selection,
    ) -> Result<Block> {
        let weight = self.value("weight")?;
        let z = self.scale();
        let block = (!input.kept.is_empty())
            .then(|| map.select(weight, [rows, &input.kept], [z, input.scale.as_ref()]))
            .transpose()?;
        let mut bias = match map.bias() {
            Some(true) => Some(l0_ops::select_vector(self.value("bias")?, rows, z)?),
            _ => None,
        };
        let mut uneven = None;
        if let Some(constants) = &input.constants {
            let values = l0_ops::take(constants, 0, cols)?;
            let block = map.select(weight, [rows, cols], [z, None])?;
            match spread(map, self.place.inputs[0], &block, &values)? {
                Spread::Even(even) => bias = Some(bias.map_or(Ok(even.clone()), |bias| bias + even)?),
                Spread::Uneven(values) => uneven = Some(values),
            }
        }
        Ok(Block { weight: block, bias, uneven })
    }

    /// The values of the constant units of this layer, the linear map `map`, (n,) or (n, h', w'), or none.
    fn block_constants(&self, map: &dyn LinearMap, input: &Flow) -> Result<Option<Tensor>> {
        let constant = self.constants();
        if constant.is_empty() {
            return Ok(None);
        }
        let nothing = Selection::of(&vec![false; input.kept.total()]);
        let made = self.block(map, &constant, &Flow { kept: nothing, ..input.clone() })?;
        made.values()?.map(|values| scatter(&values, &constant)).transpose()
    }
}

/// What the constants `values` of an input, (cols,) or (cols, h, w), add to the units of `block`.
fn spread(map: &dyn LinearMap, input: Shape, block: &Tensor, values: &Tensor) -> Result<Spread> {
    let even = values.rank() == 1;
    Ok(match input {
        Shape::Image(_, h, w) if map.is_uneven() || !even => {
            let cols = values.dim(0)?;
            let image = if even { values.reshape((cols, 1, 1))? } else { values.clone() };
            let image = image.broadcast_as((cols, h, w))?.contiguous()?.unsqueeze(0)?;
            Spread::Uneven(map.apply(&image, block, None, ALONE)?)
        }
        _ => Spread::Even(map.summed(block)?.matmul(&values.unsqueeze(1)?)?.squeeze(1)?),
    })
}

enum Spread {
    /// (rows,)
    Even(Tensor),
    /// (1, rows, h', w')
    Uneven(Tensor),
}

impl Block {
    /// What is added to each unit, (rows,) or (rows, h', w'), or nothing.
    pub(crate) fn values(&self) -> Result<Option<Tensor>> {
        let uneven = self.uneven.as_ref().map(|values| values.squeeze(0)).transpose()?;
        Ok(match (&self.bias, uneven) {
            (Some(bias), Some(uneven)) => Some(sum(bias, &uneven)?),
            (bias, uneven) => bias.clone().or(uneven),
        })
    }
}

impl At<'_> {
    /// Runs this layer, which is the linear map `map`.
    pub(crate) fn linear_map(&self, map: &dyn LinearMap, input: &Flow) -> Result<Flow> {
        let (kept, epilogue) = (self.kept(), self.epilogue);
        let constants = match self.layer.block_constants(map, input)? {
            Some(c) if c.rank() > 1 => Some(finish(&c.unsqueeze(0)?, epilogue)?.squeeze(0)?),
            Some(c) => Some(if epilogue.relu { l0_ops::relu(&c)? } else { c }),
            None => None,
        };
        let made = Flow { computed: None, kept: kept.clone(), constants, scale: None };
        if kept.is_empty() {
            return Ok(made);
        }
        let block = self.layer.block(map, kept, input)?;
        let ys = match (&block.weight, &input.computed) {
            (Some(weight), Some(xs)) => map.apply(xs, weight, block.values()?.as_ref(), epilogue)?,
            _ => finish(&self.constant_channels(&block)?, epilogue)?,
        };
        self.per_example(Flow { computed: Some(ys), ..made })
    }

    /// Units made of constants alone that are computed all the same: patterns in training, or scaled per example.
    fn constant_channels(&self, block: &Block) -> Result<Tensor> {
        let values = block.values()?.ok_or_else(|| Error::layer(self.name(), "has no computed input"))?;
        let rows = values.dim(0)?;
        let shape = self.layer.place.output.with_units(rows);
        let kept = Selection::of(&vec![false; rows]);
        let made = Flow { computed: None, kept, constants: Some(values.clone()), scale: None };
        made.expand(&Selection::all(rows), self.batch.dim(0)?, shape, &values)
    }
}

fn finish(ys: &Tensor, epilogue: Epilogue) -> Result<Tensor> {
    let ys = if epilogue.relu { l0_ops::relu(ys)? } else { ys.clone() };
    Ok(if epilogue.max_pool > 1 { l0_ops::max_pool2d(&ys, epilogue.max_pool)? } else { ys })
}
