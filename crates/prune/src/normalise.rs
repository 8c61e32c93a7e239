//! Normalisations for networks that lost theirs: exporters multiply a batch normalisation into the layer before it, and
//! what is left computes the same, but does not train well when it is deep.

use std::collections::HashMap;

use candle_core::{D, Device, Tensor};
use l0_data::{Dataset, Feed};
use l0_net::layers::BatchNorm;
use l0_net::{ClosedChannels, Layer, Model, Net, Node, NodeId, Weights};

use crate::Result;

/// Training images from which the statistics are taken.
const EXAMPLES: usize = 512;

/// The same function as a network that can be trained on: a batch normalisation behind every convolution that has a
/// bias and no normalisation, with the mean and variance that its channels have on training images as running
/// statistics, and as shift and scale what undoes them. Compaction multiplies it into the convolution again.
///
/// # Errors
/// If the images do not fit the network, or cannot be read.
pub fn normalised(model: &Model, data: &Dataset) -> Result<Model> {
    let layers = bare(&model.net);
    let examples = data.train.take(EXAMPLES);
    let feed = Feed::new(&examples, data.normalise.clone(), EXAMPLES, &Device::Cpu)?;
    let Some(batch) = feed.in_order().next().transpose()? else { return Ok(model.clone()) };
    let made = model.net.outputs_of(&layers, &model.weights, &batch.images)?;
    let mut values: Vec<(String, Tensor)> = model.weights.iter().map(|(n, t)| (n.into(), t.clone())).collect();
    let mut behind: HashMap<NodeId, String> = HashMap::new();
    for (&id, ys) in layers.iter().zip(&made) {
        let name = fresh(&model.net, &model.net.node(id).name);
        values.extend(undone(&name, ys)?);
        behind.insert(id, name);
    }
    let net = Net::new(with_norms(&model.net, &behind))?;
    let mut by_name: HashMap<String, Tensor> = values.into_iter().collect();
    let ordered = net.parameters().into_iter().filter_map(|(name, ..)| by_name.remove_entry(&name));
    Ok(Model::new(net.clone(), Weights::new(ordered.collect())?)?)
}

/// The convolutions of images with a bias, what they make read by something else than a normalisation.
fn bare(net: &Net) -> Vec<NodeId> {
    let is_norm = |&id: &NodeId| matches!(net.node(id).layer, Layer::BatchNorm(_));
    let has_bias = |id: NodeId| match &net.node(id).layer {
        Layer::Conv2d(conv) => conv.bias,
        _ => false,
    };
    net.affine().filter(|&id| has_bias(id) && id != net.output() && !net.readers(id).iter().any(is_norm)).collect()
}

/// Scale, shift, mean and variance of a normalisation that changes nothing where values are distributed as in `ys`.
fn undone(name: &str, ys: &Tensor) -> Result<Vec<(String, Tensor)>> {
    let by_channel = ys.transpose(0, 1)?.flatten_from(1)?;
    let mean = by_channel.mean(D::Minus1)?;
    let var = by_channel.broadcast_sub(&mean.unsqueeze(1)?)?.sqr()?.mean(D::Minus1)?;
    let scale = (&var + BatchNorm::default().eps)?.sqrt()?;
    let named = [("weight", scale), ("bias", mean.clone()), ("running_mean", mean), ("running_var", var)];
    Ok(named.map(|(leaf, value)| (format!("{name}.{leaf}"), value)).to_vec())
}

fn fresh(net: &Net, layer: &str) -> String {
    let mut name = format!("{layer}.norm");
    while net.find(&name).is_ok() {
        name.push('_');
    }
    name
}

/// The nodes with the named normalisations behind some of them.
fn with_norms(net: &Net, behind: &HashMap<NodeId, String>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut moved: Vec<NodeId> = Vec::new();
    for (id, node) in net.nodes().iter().enumerate() {
        let inputs = node.inputs.iter().map(|&input| moved[input]).collect();
        nodes.push(Node { inputs, ..node.clone() });
        if let Some(name) = behind.get(&id) {
            let layer = BatchNorm { closed: ClosedChannels::Zero, ..BatchNorm::default() }.into();
            nodes.push(Node { name: name.clone(), layer, inputs: vec![nodes.len() - 1] });
        }
        moved.push(nodes.len() - 1);
    }
    nodes
}

/// The description with closed channels that stay zero in its normalisations, so that closing one leaves no constant
/// behind.
pub(crate) fn closing(net: &Net) -> Result<Net> {
    let closing = |node: &Node| match &node.layer {
        Layer::BatchNorm(norm) => {
            Node { layer: BatchNorm { closed: ClosedChannels::Zero, ..*norm }.into(), ..node.clone() }
        }
        _ => node.clone(),
    };
    Ok(Net::new(net.nodes().iter().map(closing).collect())?)
}
