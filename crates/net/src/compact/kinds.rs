//! What is left of layers that do not act unit by unit on one input, nor are linear maps.

use l0_ops::Selection;

use super::draft::Held;
use super::writer::Writer;
use crate::forward::part;
use crate::layers::{Add, Concat, Flatten, Input, Mul, PadUnits, Softmax, Take};
use crate::{NodeId, Result};

/// A network reads all that it is given, whatever it uses.
pub(super) fn input(writer: &mut Writer, id: NodeId, input: &Input) -> Result<Held> {
    let node = writer.push(id, input.clone().into(), Vec::new());
    let units = 0..writer.pass.net.shape(id).units() as u32;
    Ok(Held::new(node, units.collect()))
}

pub(super) fn take(writer: &mut Writer, id: NodeId, take: &Take, input: NodeId) -> Result<Held> {
    let units = writer.kept(id);
    let wanted: Vec<u32> = units.iter().map(|&unit| take.units[unit as usize]).collect();
    let (held, name) = (writer.held(input)?.clone(), writer.name(id));
    Ok(Held::new(writer.draft.take(&held, &wanted, |_| name.into())?, units))
}

/// Nothing is left of units that are 0; who reads all units fills them in again.
pub(super) fn pad_units(writer: &mut Writer, id: NodeId, pad: &PadUnits, input: NodeId) -> Result<Held> {
    let units = writer.kept(id);
    let wanted: Vec<u32> = units.iter().map(|unit| unit - pad.before as u32).collect();
    let name = writer.name(id).into();
    Ok(Held { padded_by: Some(name), ..Held::new(writer.take(input, &wanted)?, units) })
}

/// All features of the channels of which one is left; who reads them takes those.
pub(super) fn flatten(writer: &mut Writer, id: NodeId, input: NodeId) -> Result<Held> {
    let positions = writer.pass.net.shape(input).positions() as u32;
    let mut channels: Vec<u32> = writer.kept(id).iter().map(|feature| feature / positions).collect();
    channels.dedup();
    let reads = writer.take(input, &channels)?;
    let node = writer.push(id, Flatten.into(), vec![reads]);
    let units = channels.iter().flat_map(|channel| channel * positions..(channel + 1) * positions).collect();
    Ok(Held::new(node, units))
}

pub(super) fn softmax(writer: &mut Writer, id: NodeId, input: NodeId) -> Result<Held> {
    let all = Selection::all(writer.pass.net.shape(id).units());
    let reads = writer.whole(input, &all)?;
    let node = writer.push(id, Softmax.into(), vec![reads]);
    Ok(Held::new(node, all.iter().map(|unit| unit as u32).collect()))
}

pub(super) fn concat(writer: &mut Writer, id: NodeId, inputs: &[NodeId]) -> Result<Held> {
    let (kept, units) = (writer.pass.plan.kept(id), writer.kept(id));
    let sizes = inputs.iter().map(|&input| writer.pass.net.shape(input).units()).collect::<Vec<_>>();
    let mut parts = Vec::new();
    for ((&input, &size), start) in inputs.iter().zip(&sizes).zip(Concat::starts(sizes.iter().copied())) {
        let wanted: Vec<u32> = part(kept, start, size).iter().map(|unit| unit as u32).collect();
        if !wanted.is_empty() {
            parts.push(writer.take(input, &wanted)?);
        }
    }
    let node = match parts[..] {
        [only] => only,
        _ => writer.push(id, Concat.into(), parts),
    };
    Ok(Held::new(node, units))
}

/// Terms that are constant where others vary become a bias; those that vary are filled up with their constants.
pub(super) fn add(writer: &mut Writer, id: NodeId, inputs: &[NodeId]) -> Result<Held> {
    let (kept, units) = (writer.pass.plan.kept(id), writer.kept(id));
    let (vary, constant): (Vec<NodeId>, Vec<NodeId>) = inputs.iter().partition(|&&term| computes(writer, term, kept));
    let mut node = match vary[..] {
        [only] => writer.whole(only, kept)?,
        _ => {
            let terms = vary.iter().map(|&term| writer.whole(term, kept)).collect::<Result<_>>()?;
            writer.push(id, Add.into(), terms)
        }
    };
    for term in constant {
        let constants = writer.constants(term, kept)?;
        node = writer.draft.bias(writer.name(id), "constant", node, constants)?;
    }
    Ok(Held::new(node, units))
}

/// A factor that is constant becomes a scale, where it is one number for each unit.
pub(super) fn mul(writer: &mut Writer, id: NodeId, inputs: &[NodeId]) -> Result<Held> {
    let (kept, units) = (writer.pass.plan.kept(id), writer.kept(id));
    let vary: Vec<NodeId> = inputs.iter().copied().filter(|&input| computes(writer, input, kept)).collect();
    let node = match vary[..] {
        [only] => {
            let other = if only == inputs[0] { inputs[1] } else { inputs[0] };
            match writer.constants(other, kept)? {
                Some(factor) if factor.rank() == 1 && writer.same_shape(id, only) => {
                    let node = writer.whole(only, kept)?;
                    let zeros = factor.zeros_like()?;
                    writer.draft.scale(writer.name(id), node, factor, zeros)
                }
                _ => both(writer, id, inputs, kept)?,
            }
        }
        _ => both(writer, id, inputs, kept)?,
    };
    Ok(Held::new(node, units))
}

/// Both factors as nodes that hold all units, constants filled in.
fn both(writer: &mut Writer, id: NodeId, inputs: &[NodeId], kept: &Selection) -> Result<NodeId> {
    let factors = inputs.iter().map(|&input| writer.filled(input, kept)).collect::<Result<_>>()?;
    Ok(writer.push(id, Mul.into(), factors))
}

/// Whether a unit of `input` is computed among those kept.
fn computes(writer: &Writer, input: NodeId, kept: &Selection) -> bool {
    let mask = writer.pass.plan.kept(input).mask();
    kept.iter().any(|unit| mask[unit])
}
