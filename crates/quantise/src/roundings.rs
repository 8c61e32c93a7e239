//! Where a network is rounded: what convolutions, linear layers and sums read and make.

use l0_net::layers::{GlobalPool, PoolKind};
use l0_net::{Activation, Layer, Net, NodeId};

/// How the output of a layer is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// It stays as it is.
    None,
    /// It is rounded to a grid of its own.
    Own,
    /// Its numbers are some of those that the layer reads, and stay on their grid.
    Same,
}

/// Whether runtimes have a form of the layer that reads and makes whole numbers.
fn is_whole(layer: &Layer) -> bool {
    matches!(layer, Layer::Conv2d(_) | Layer::Linear(_) | Layer::Add(_) | Layer::Concat(_))
}

/// Whether the layer computes nothing, so that there is nothing to be said of it.
fn moves(layer: &Layer) -> bool {
    matches!(layer, Layer::Flatten(_) | Layer::Take(_) | Layer::MaxPool2d(_) | Layer::Identity(_) | Layer::Dropout(_))
}

/// Functions that are the ends of a grid and nothing else.
fn is_bounds(layer: &Layer) -> bool {
    matches!(layer, Layer::Activation(Activation::Relu | Activation::Clip { .. }))
}

/// How the output of each layer is rounded.
pub(crate) fn roundings(net: &Net) -> Vec<Rounding> {
    let mut roundings: Vec<Rounding> = Vec::new();
    let fed = fed(net);
    for (id, node) in net.nodes().iter().enumerate() {
        let follows = node.inputs.first().filter(|_| is_bounds(&node.layer)).map(|&input| &net.node(input).layer);
        let made =
            [Some(&node.layer), follows].into_iter().flatten().any(|l| is_whole(l) && !matches!(l, Layer::Linear(_)));
        let bounded =
            matches!(*net.readers(id), [reader] if is_bounds(&net.node(reader).layer)) && is_whole(&node.layer);
        roundings.push(match node.inputs.first().map(|&input| roundings[input]) {
            _ if id == net.output() => Rounding::None,
            Some(Rounding::Own | Rounding::Same) if moves(&node.layer) => Rounding::Same,
            _ if !bounded && (made || fed[id]) => Rounding::Own,
            _ => Rounding::None,
        });
    }
    roundings
}

/// Whether the output of each layer is read by a layer of whole numbers, perhaps after it was pooled or moved: what
/// these read is rounded before them, and stays on its grid.
fn fed(net: &Net) -> Vec<bool> {
    let mut fed = vec![false; net.nodes().len()];
    for id in (0..fed.len()).rev() {
        let layer = |reader: NodeId| &net.node(reader).layer;
        fed[id] = net.readers(id).iter().any(|&r| is_whole(layer(r)) || moves(layer(r)) && fed[r]);
    }
    fed
}

/// The layers that compute with floats although there are whole numbers around them, with what they are.
pub(crate) fn floats(net: &Net, roundings: &[Rounding]) -> Vec<String> {
    let stays = |&id: &NodeId| {
        let node = net.node(id);
        let pools =
            matches!(node.layer, Layer::AvgPool2d(_) | Layer::GlobalPool(GlobalPool { kind: PoolKind::Mean, .. }));
        let reads = node.inputs.first().is_some_and(|&input| roundings[input] != Rounding::None);
        let bounds = is_bounds(&node.layer) && node.inputs.first().is_some_and(|&i| is_whole(&net.node(i).layer));
        id > 0 && !(bounds || pools || moves(&node.layer) || is_whole(&node.layer) && reads)
    };
    (0..net.nodes().len())
        .filter(stays)
        .map(|id| format!("{} ({})", net.node(id).name, net.node(id).layer.kind()))
        .collect()
}
