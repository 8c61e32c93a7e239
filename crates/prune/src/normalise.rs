//! Normalisations for networks that lost theirs: exporters multiply a batch normalisation into the layer before it, and
//! what is left computes the same, but does not train well when it is deep.

use std::collections::HashMap;

use candle_core::{D, DType, Device, Tensor};
use l0_data::{Dataset, Feed, Split};
use l0_net::layers::BatchNorm;
use l0_net::{ClosedChannels, Layer, Model, Net, Node, NodeId, Weights};
use l0_rng::{Purpose, Stream};

use crate::Result;

/// Training images from which the statistics are taken: drawn, since many data sets are in order of classes.
const EXAMPLES: usize = 512;

/// Images in a batch: what every layer makes of one is in memory at once.
const BATCH: usize = 32;

/// The same function as a network that can be trained on: a batch normalisation behind every convolution that has a
/// bias and no normalisation, with the mean and variance that its channels have on training images as running
/// statistics, and as shift and scale what undoes them. Compaction multiplies it into the convolution again.
///
/// # Errors
/// If the images do not fit the network, or cannot be read.
pub fn normalised(model: &Model, data: &Dataset) -> Result<Model> {
    let layers = bare(&model.net);
    let examples = drawn(&data.train)?;
    let feed = Feed::new(&examples, data.normalise.clone(), BATCH, &Device::Cpu)?;
    let mut moments: Vec<Option<Moments>> = vec![None; layers.len()];
    for batch in feed.in_order() {
        let made = model.net.outputs_of(&layers, &model.weights, &batch?.images)?;
        for (so_far, ys) in moments.iter_mut().zip(&made) {
            let of_batch = Moments::of(ys)?;
            *so_far = Some(match so_far.take() {
                Some(moments) => moments.joined(of_batch),
                None => of_batch,
            });
        }
    }
    let mut values: Vec<(String, Tensor)> = model.weights.iter().map(|(n, t)| (n.into(), t.clone())).collect();
    let mut behind: HashMap<NodeId, String> = HashMap::new();
    for (&id, moments) in layers.iter().zip(moments) {
        let Some(moments) = moments else { continue };
        let name = fresh(&model.net, &model.net.node(id).name);
        values.extend(moments.undone(&name)?);
        behind.insert(id, name);
    }
    let net = Net::new(with_norms(&model.net, &behind))?;
    let mut by_name: HashMap<String, Tensor> = values.into_iter().collect();
    let ordered = net.parameters().into_iter().filter_map(|(name, ..)| by_name.remove_entry(&name));
    Ok(Model::new(net.clone(), Weights::new(ordered.collect())?)?)
}

/// Whether a network has a batch normalisation.
pub(crate) fn normalises(net: &Net) -> bool {
    net.nodes().iter().any(|node| matches!(node.layer, Layer::BatchNorm(_)))
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

/// `EXAMPLES` of the training images, or all where there are fewer.
fn drawn(train: &Split) -> Result<Split> {
    let order = Stream::new(0, Purpose::Other, 0, 0, "normalise").permutation(train.len());
    Ok(train.select(&order[..EXAMPLES.min(order.len())])?)
}

/// How the values of each channel are distributed.
#[derive(Debug, Clone)]
struct Moments {
    /// Values of a channel that were seen.
    seen: f64,
    mean: Vec<f64>,
    /// Sums of squared differences from the mean.
    squares: Vec<f64>,
}

impl Moments {
    /// Those of `ys`, (b, c, h, w).
    fn of(ys: &Tensor) -> Result<Self> {
        let by_channel = ys.transpose(0, 1)?.flatten_from(1)?;
        let mean = by_channel.mean(D::Minus1)?;
        let squares = by_channel.broadcast_sub(&mean.unsqueeze(1)?)?.sqr()?.sum(D::Minus1)?;
        let numbers = |of: Tensor| of.to_dtype(DType::F64)?.to_vec1::<f64>();
        Ok(Self { seen: by_channel.dim(1)? as f64, mean: numbers(mean)?, squares: numbers(squares)? })
    }

    /// Those of the values of both together (Chan, Golub and LeVeque, 1979).
    fn joined(mut self, other: Self) -> Self {
        let seen = self.seen + other.seen;
        for (channel, (mean, squares)) in self.mean.iter_mut().zip(&mut self.squares).enumerate() {
            let apart = other.mean[channel] - *mean;
            *mean += apart * other.seen / seen;
            *squares += other.squares[channel] + apart * apart * self.seen * other.seen / seen;
        }
        Self { seen, ..self }
    }

    /// Scale, shift, mean and variance of a normalisation that changes nothing where values are distributed so.
    fn undone(&self, name: &str) -> Result<Vec<(String, Tensor)>> {
        let var: Vec<f64> = self.squares.iter().map(|squares| squares / self.seen).collect();
        let scale: Vec<f64> = var.iter().map(|var| (var + BatchNorm::default().eps).sqrt()).collect();
        let named = [("weight", &scale), ("bias", &self.mean), ("running_mean", &self.mean), ("running_var", &var)];
        let tensor = |(leaf, values): (&str, &Vec<f64>)| {
            let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            Ok((format!("{name}.{leaf}"), Tensor::new(values, &Device::Cpu)?))
        };
        named.into_iter().map(tensor).collect()
    }
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
