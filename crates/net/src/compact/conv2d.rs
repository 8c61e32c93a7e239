//! What is left of a convolution: a smaller one, in as many groups as are left.

use l0_ops::Selection;

use super::draft::Held;
use super::writer::Writer;
use crate::layers::Conv2d;
use crate::{NodeId, Result};

pub(super) fn conv2d(writer: &mut Writer, id: NodeId, conv: &Conv2d, input: NodeId) -> Result<Held> {
    match conv.groups {
        1 => writer.linear_map(id, conv, input, |out, bias| Conv2d { out, bias, ..*conv }.into()),
        _ if conv.is_depthwise(writer.pass.net.shape(input).units()) => {
            let units = writer.kept(id).len();
            writer.unit_by_unit(id, Conv2d { out: units, groups: units, ..*conv }.into(), input)
        }
        _ => in_groups(writer, id, conv, input),
    }
}

/// All outputs of the groups that are left; who reads them takes those that count.
fn in_groups(writer: &mut Writer, id: NodeId, conv: &Conv2d, input: NodeId) -> Result<Held> {
    let pass = writer.pass;
    let layer = pass.layer(id);
    let (groups, inputs, outputs) = conv.whole(layer.kept, pass.net.shape(input).units());
    if groups == 1 {
        let start = inputs.iter().next().unwrap_or(0);
        let one = Conv2d { groups, ..*conv };
        let left = |out, bias| Conv2d { out, bias, ..one }.into();
        return writer.one_group(id, &one, (input, start, inputs.len()), left);
    }
    let reads = writer.whole(input, &inputs)?;
    let weight = layer.value("weight")?;
    let weight = l0_ops::select(weight, &outputs, &Selection::all(weight.dim(1)?), layer.scale(), None)?;
    let mut values = vec![("weight", weight)];
    if conv.bias {
        values.push(("bias", l0_ops::select_vector(layer.value("bias")?, &outputs, layer.scale())?));
    }
    let left = Conv2d { out: outputs.len(), groups, ..*conv };
    let node = writer.draft.push_with(writer.name(id), left.into(), reads, values);
    Ok(Held::new(node, outputs.iter().map(|unit| unit as u32).collect()))
}
