//! Writing a network as a chain the eye can follow.

use crate::layers::{
    Activation, Add, BatchNorm, ClosedChannels, Concat, Conv2d, Dropout, Flatten, GlobalPool, Identity, Input, Layer,
    Linear, MaxPool2d, Mul,
};
use crate::{Error, Net, Node, NodeId, Result};

/// Builds a [`Net`]: each call adds a layer that reads the newest one, [`Builder::at`] goes back to an earlier one.
#[derive(Debug, Clone)]
pub struct Builder {
    nodes: Vec<Node>,
    tip: NodeId,
    closed: ClosedChannels,
}

impl Builder {
    fn start(name: &str, shape: Vec<usize>) -> Self {
        let node = Node { name: name.into(), layer: Input { shape }.into(), inputs: Vec::new() };
        Self { nodes: vec![node], tip: 0, closed: ClosedChannels::Constant }
    }

    /// A network of feature vectors.
    pub fn features(name: &str, features: usize) -> Self {
        Self::start(name, vec![features])
    }

    /// A network of images of `c` channels, `h` rows and `w` columns.
    pub fn image(name: &str, c: usize, h: usize, w: usize) -> Self {
        Self::start(name, vec![c, h, w])
    }

    /// Adds any layer under a name.
    pub fn layer(&mut self, name: &str, layer: impl Into<Layer>) -> &mut Self {
        self.push(name.into(), layer.into(), vec![self.tip])
    }

    fn push(&mut self, name: String, layer: Layer, inputs: Vec<NodeId>) -> &mut Self {
        self.nodes.push(Node { name, layer, inputs });
        self.tip = self.nodes.len() - 1;
        self
    }

    /// Layers without parameters need no name of their own: "relu3" is the relu at place 3.
    fn unnamed(&mut self, stem: &str, layer: impl Into<Layer>) -> &mut Self {
        let name = format!("{stem}{}", self.nodes.len());
        self.layer(&name, layer)
    }

    /// A linear layer with a bias.
    pub fn linear(&mut self, name: &str, out: usize) -> &mut Self {
        self.layer(name, Linear { out, bias: true })
    }

    /// A convolution with a bias, stride 1, no padding.
    pub fn conv2d(&mut self, name: &str, out: usize, kernel: usize) -> &mut Self {
        self.layer(name, Conv2d::new(out, kernel))
    }

    /// A convolution without a bias, padded by `kernel / 2`: with stride 1 and an odd kernel the image keeps its size,
    /// with an even one it grows by a row and a column.
    pub fn conv2d_same(&mut self, name: &str, out: usize, kernel: usize, stride: usize) -> &mut Self {
        self.layer(name, Conv2d::new(out, kernel).stride(stride).padding(kernel / 2).without_bias())
    }

    /// Batch normalisation with PyTorch's constants: eps 1e-5, momentum 0.1.
    pub fn batch_norm(&mut self, name: &str) -> &mut Self {
        self.layer(name, BatchNorm { closed: self.closed, ..BatchNorm::default() })
    }

    /// What the normalisations that follow make of channels that masks close; at first what the formula says, a
    /// constant. A network to be pruned gets smaller with [`ClosedChannels::Zero`].
    pub fn closed_channels(&mut self, closed: ClosedChannels) -> &mut Self {
        self.closed = closed;
        self
    }

    /// `max(0, x)`.
    pub fn relu(&mut self) -> &mut Self {
        self.activation(Activation::Relu)
    }

    /// A function of each number: "relu3" is the relu at place 3.
    pub fn activation(&mut self, activation: Activation) -> &mut Self {
        let kind = Layer::from(activation).kind().replace(' ', "_");
        self.unnamed(&kind, activation)
    }

    /// Max pooling over windows of `size` x `size` side by side.
    pub fn max_pool2d(&mut self, size: usize) -> &mut Self {
        self.unnamed("pool", MaxPool2d::new(size))
    }

    /// Mean of each channel.
    pub fn global_avg_pool(&mut self) -> &mut Self {
        self.unnamed("pool", GlobalPool::default())
    }

    /// (c, h, w) -> (c h w,); the name is that of the space of features it makes.
    pub fn flatten(&mut self, name: &str) -> &mut Self {
        self.layer(name, Flatten)
    }

    /// Dropout, or nothing where `p` is 0.
    pub fn dropout(&mut self, p: f64) -> &mut Self {
        if p == 0.0 { self } else { self.unnamed("dropout", Dropout { p }) }
    }

    /// A space of its own for what comes before: called before a sum, gates on the layers of a branch then close that
    /// branch alone ([`Layer::Identity`]).
    pub fn identity(&mut self) -> &mut Self {
        self.unnamed("identity", Identity)
    }

    /// The newest layer, to come back to.
    pub fn tip(&self) -> NodeId {
        self.tip
    }

    /// Goes on from an earlier layer.
    pub fn at(&mut self, node: NodeId) -> &mut Self {
        self.tip = node;
        self
    }

    /// Adds the output of an earlier layer to the newest one's.
    pub fn add(&mut self, other: NodeId) -> &mut Self {
        let name = format!("add{}", self.nodes.len());
        self.push(name, Add.into(), vec![self.tip, other])
    }

    /// Multiplies the output of an earlier layer with the newest one's.
    pub fn mul(&mut self, other: NodeId) -> &mut Self {
        let name = format!("mul{}", self.nodes.len());
        self.push(name, Mul.into(), vec![self.tip, other])
    }

    /// Puts the units of the newest layer after those of earlier ones.
    pub fn concat(&mut self, others: &[NodeId]) -> &mut Self {
        let name = format!("concat{}", self.nodes.len());
        self.push(name, Concat.into(), others.iter().copied().chain([self.tip]).collect())
    }

    /// The checked network; its output is the newest layer's.
    ///
    /// # Errors
    /// As [`Net::new`]; also if [`Builder::at`] went back to an earlier layer and nothing was added there: the output
    /// of a network is its last node's.
    pub fn build(&self) -> Result<Net> {
        let last = self.nodes.len() - 1;
        if self.tip != last {
            let last = &self.nodes[last].name;
            let problem = format!("is where the chain stands, but {last:?} was added last and would be the output");
            let node = self.nodes.get(self.tip).map_or("", |node| &node.name);
            return Err(Error::layer(node, format!("{problem}; add a layer here, or go back to that one")));
        }
        Net::new(self.nodes.clone())
    }
}
