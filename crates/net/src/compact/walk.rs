//! Writes the compact network node by node: what is left of each kind of layer.

use super::draft::{Held, Values};
use super::writer::Writer;
use super::{conv2d, kinds};
use crate::forward::{Flow, Pass};
use crate::layers::{ConvTranspose2d, Layer, Linear};
use crate::{Node, NodeId, Result};

/// The nodes and values that are left of what `pass` computes, of which its nodes made `made`.
pub(super) fn write(pass: &Pass, made: Vec<Option<Flow>>) -> Result<(Vec<Node>, Values)> {
    let mut writer = Writer::new(pass, made)?;
    for id in 0..pass.net.nodes().len() {
        let computed = id == 0 || !pass.plan.kept(id).is_empty();
        let held = if computed { Some(layer(&mut writer, id)?) } else { None };
        writer.hold(id, held)?;
    }
    writer.finish()
}

/// Writes what is left of the layer at node `id`, some unit of which is computed.
fn layer(writer: &mut Writer, id: NodeId) -> Result<Held> {
    let Node { layer, inputs, .. } = writer.pass.net.node(id);
    match layer {
        Layer::Activation(_)
        | Layer::AvgPool2d(_)
        | Layer::BatchNorm(_)
        | Layer::Bias(_)
        | Layer::Border(_)
        | Layer::GlobalPool(_)
        | Layer::MaxPool2d(_)
        | Layer::PRelu(_)
        | Layer::Pad(_)
        | Layer::Scale(_)
        | Layer::Stride(_)
        | Layer::Upsample(_) => writer.unit_by_unit(id, layer.clone(), inputs[0]),

        Layer::Linear(map) => writer.linear_map(id, map, inputs[0], |out, bias| Linear { out, bias }.into()),
        Layer::ConvTranspose2d(map) => {
            writer.linear_map(id, map, inputs[0], |out, bias| ConvTranspose2d { out, bias, ..*map }.into())
        }
        Layer::Conv2d(conv) => conv2d::conv2d(writer, id, conv, inputs[0]),

        Layer::Dropout(_) | Layer::Identity(_) => writer.held(inputs[0]).cloned(),
        Layer::Add(_) => kinds::add(writer, id, inputs),
        Layer::Concat(_) => kinds::concat(writer, id, inputs),
        Layer::Flatten(_) => kinds::flatten(writer, id, inputs[0]),
        Layer::Input(input) => kinds::input(writer, id, input),
        Layer::Mul(_) => kinds::mul(writer, id, inputs),
        Layer::PadUnits(pad) => kinds::pad_units(writer, id, pad, inputs[0]),
        Layer::Softmax(_) => kinds::softmax(writer, id, inputs[0]),
        Layer::Take(take) => kinds::take(writer, id, take, inputs[0]),
    }
}
