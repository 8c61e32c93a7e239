//! A network as a list of steps on buffers.

use l0_net::layers::{Border, GlobalPool, PoolKind};
use l0_net::{Layer, Net, NodeId, Pair, Shape, Weights};

use crate::conv::{Conv, Geometry};
use crate::fold::{Chain, flat, values};
use crate::kernel::{Add, AvgPool, Gather, Kernel, Map, MaxPool, Pointwise};
use crate::layout::Layout;
use crate::linear::Linear;
use crate::{Error, Result};

/// One step: reads one or two buffers, writes another.
pub(crate) struct Step {
    pub(crate) kernel: Box<dyn Kernel>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) output: usize,
}

/// A compiled network.
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    /// What each buffer holds; the first one the input.
    pub(crate) buffers: Vec<Layout>,
    /// The buffer of the output, which is in one piece.
    pub(crate) output: usize,
}

/// Where the output of a node is to be found.
#[derive(Clone, Copy)]
struct Value {
    buffer: usize,
    layout: Layout,
}

struct Compiler<'a> {
    net: &'a Net,
    weights: &'a Weights,
    /// The border that the readers of each node want.
    pads: Vec<usize>,
    values: Vec<Option<Value>>,
    steps: Vec<Step>,
    buffers: Vec<Layout>,
}

impl Program {
    pub(crate) fn new(net: &Net, weights: &Weights) -> Result<Self> {
        weights.check(net)?;
        let nodes = net.nodes().len();
        let (values, steps, buffers) = (vec![None; nodes], Vec::new(), Vec::new());
        let read = read(net);
        let mut compiler = Compiler { net, weights, pads: pads(net, &read), values, steps, buffers };
        let mut inside = vec![false; nodes]; // of a chain that is one step
        for id in (0..nodes).filter(|&id| read[id]) {
            if inside[id] {
                continue;
            }
            let last = compiler.layer(id)?;
            let mut at = id;
            while at != last {
                at = net.readers(at)[0];
                inside[at] = true;
            }
        }
        let output = compiler.value(net.output()).buffer;
        Ok(share(compiler.steps, &compiler.buffers, output))
    }
}

/// The zeros that convolutions which the output depends on want around the output of each node.
fn pads(net: &Net, read: &[bool]) -> Vec<usize> {
    let mut pads = vec![0; net.nodes().len()];
    for id in (0..pads.len()).rev() {
        let wanted =
            net.readers(id).iter().filter(|&&reader| read[reader]).map(|&reader| match net.node(reader).layer {
                Layer::Conv2d(conv) => conv.padding.even().unwrap_or(0),
                Layer::Dropout(_) | Layer::Identity(_) => pads[reader],
                _ => 0,
            });
        pads[id] = wanted.max().unwrap_or(0);
    }
    pads
}

/// Whether the output depends on each node.
fn read(net: &Net) -> Vec<bool> {
    let mut read = vec![false; net.nodes().len()];
    read[net.output()] = true;
    read[0] = true; // the input has to be put somewhere
    for id in (0..read.len()).rev().filter(|&id| id > 0) {
        if read[id] {
            net.node(id).inputs.iter().for_each(|&input| read[input] = true);
        }
    }
    read
}

impl Compiler<'_> {
    fn value(&self, id: NodeId) -> Value {
        self.values[id].expect("a node stands after those it reads, so they have been compiled")
    }

    fn values(&self, id: NodeId, leaf: &str) -> Result<Vec<f32>> {
        values(self.net, self.weights, id, leaf)
    }

    fn layout(&self, id: NodeId) -> Result<Layout> {
        Layout::new(&self.net.node(id).name, self.net.shape(id), self.pads[id])
    }

    /// A step that makes the output of `id`, in a buffer of its own for now.
    fn step(&mut self, id: NodeId, inputs: &[Value], layout: Layout, kernel: impl Kernel + 'static) {
        self.buffers.push(layout);
        let output = self.buffers.len() - 1;
        let inputs = inputs.iter().map(|value| value.buffer).collect();
        self.steps.push(Step { kernel: Box::new(kernel), inputs, output });
        self.values[id] = Some(Value { buffer: output, layout });
    }

    /// Compiles a layer and those that go into the same step; the last of them.
    fn layer(&mut self, id: NodeId) -> Result<NodeId> {
        let node = self.net.node(id);
        let inputs: Vec<Value> = node.inputs.iter().map(|&input| self.value(input)).collect();
        let output = self.layout(id)?;
        match (&node.layer, inputs.as_slice()) {
            (Layer::Input(_), _) => {
                self.buffers.push(output);
                self.values[id] = Some(Value { buffer: 0, layout: output });
            }
            (Layer::Conv2d(_) | Layer::Linear(_), &[input]) => return self.affine(id, input),
            (Layer::Dropout(_) | Layer::Identity(_), &[input]) => self.values[id] = Some(input),
            (Layer::Flatten(_), &[input]) => self.flatten(id, input),
            (Layer::MaxPool2d(pool), &[Value { layout: input, .. }]) if pool.side_by_side().is_some() => {
                let size = pool.size.h;
                self.step(id, &inputs, output, MaxPool { input, output, size });
            }
            (Layer::GlobalPool(GlobalPool { kind: PoolKind::Mean, keep: false }), &[Value { layout: input, .. }]) => {
                self.step(id, &inputs, output, AvgPool { input, output });
            }
            (Layer::Take(take), &[Value { layout: input, .. }]) => {
                self.step(id, &inputs, output, Gather { input, output, units: take.units.clone() });
            }
            (Layer::Add(_), &[Value { layout: a, .. }, Value { layout: b, .. }]) => {
                let (last, relu) = self.then_relu(id);
                let output = self.layout(last)?;
                self.step(last, &inputs, output, Add { inputs: [a, b], output, relu });
                return Ok(last);
            }
            (Layer::BatchNorm(_) | Layer::Bias(_) | Layer::Border(_) | &Layer::Relu, &[input]) => {
                return self.pointwise(id, input);
            }
            (layer, _) => return Err(Error::Layer { node: node.name.clone(), kind: layer.kind() }),
        }
        Ok(id)
    }

    fn affine(&mut self, id: NodeId, input: Value) -> Result<NodeId> {
        let layer = &self.net.node(id).layer;
        let bias = match layer {
            Layer::Conv2d(conv) => conv.bias,
            Layer::Linear(linear) => linear.bias,
            _ => return Ok(id),
        };
        let chain = Chain::after(self.net, self.weights, id, matches!(layer, Layer::Conv2d(_)))?;
        let mut weight = self.values(id, "weight")?;
        let bias = if bias { Some(self.values(id, "bias")?) } else { None };
        let bias = chain.fold(&mut weight, bias);
        let output = self.layout(chain.last)?;
        match *layer {
            Layer::Conv2d(conv) => {
                let plain = (conv.kernel.square(), conv.stride.square(), conv.padding.even());
                let (Some(kernel), Some(stride), Some(padding), true) =
                    (plain.0, plain.1, plain.2, conv.groups == 1 && conv.dilation == Pair::ONE)
                else {
                    return Err(Error::Layer { node: self.net.node(id).name.clone(), kind: layer.kind() });
                };
                let geometry = Geometry { kernel, stride, padding, pool: chain.pool };
                let conv = Conv::new(geometry, input.layout, output, &weight, bias, chain.relu);
                self.step(chain.last, &[input], output, conv);
            }
            _ => {
                let linear = Linear::new(input.layout.c, &weight, &bias, chain.relu);
                self.step(chain.last, &[input], output, linear);
            }
        }
        Ok(chain.last)
    }

    /// Features are the values of an image in one piece: the same buffer, unless that has a border.
    fn flatten(&mut self, id: NodeId, input: Value) {
        let layout = input.layout.flat();
        if input.layout.pad == 0 {
            self.values[id] = Some(Value { layout, ..input });
            return;
        }
        let output = Layout { pad: 0, ..input.layout };
        let units = (0..output.c as u32).collect();
        self.step(id, &[input], output, Gather { input: input.layout, output, units });
        let buffer = self.buffers.len() - 1;
        self.values[id] = Some(Value { buffer, layout });
    }

    /// A normalisation, bias or ReLU that no linear map took in.
    fn pointwise(&mut self, id: NodeId, input: Value) -> Result<NodeId> {
        let Some(chain) = Chain::from(self.net, self.weights, id)? else {
            let (last, relu) = self.then_relu(id);
            let (output, values) = (self.layout(last)?, self.map(id)?);
            self.step(last, &[input], output, Map { input: input.layout, output, values, relu });
            return Ok(last);
        };
        let (last, relu, output) = (chain.last, chain.relu, self.layout(chain.last)?);
        let (scale, shift) = chain.into_pointwise();
        self.step(last, &[input], output, Pointwise { input: input.layout, output, scale, shift, relu });
        Ok(last)
    }

    /// The constants of a bias or border at every position.
    fn map(&self, id: NodeId) -> Result<Vec<f32>> {
        let (Layer::Border(Border { margins }), Shape::Image(_, h, w)) = (&self.net.node(id).layer, self.net.shape(id))
        else {
            return self.values(id, "bias");
        };
        let distinct = self.weights.get(&format!("{}.bias", self.net.node(id).name))?;
        flat(&margins.expand(distinct, h, w)?)
    }

    /// The ReLU that alone reads `id`, if there is one, else `id`.
    fn then_relu(&self, id: NodeId) -> (NodeId, bool) {
        match *self.net.readers(id) {
            [reader] if self.net.node(reader).layer == Layer::Relu => (reader, true),
            _ => (id, false),
        }
    }
}

/// Lets steps write into buffers of the same layout that nobody reads any more. A border stays zero, since nobody
/// writes it.
fn share(mut steps: Vec<Step>, layouts: &[Layout], output: usize) -> Program {
    let mut last_read = vec![0; layouts.len()];
    for (t, step) in steps.iter().enumerate() {
        step.inputs.iter().for_each(|&input| last_read[input] = t);
    }
    last_read[output] = usize::MAX;
    let mut place = vec![0; layouts.len()]; // of the first buffer, the input's, place 0
    let (mut buffers, mut free) = (vec![layouts[0]], Vec::new());
    for (t, step) in steps.iter_mut().enumerate() {
        let layout = layouts[step.output];
        place[step.output] = match free.iter().position(|&buffer: &usize| buffers[buffer] == layout) {
            Some(found) => free.swap_remove(found),
            None => {
                buffers.push(layout);
                buffers.len() - 1
            }
        };
        let done: Vec<usize> = step.inputs.iter().filter(|&&i| last_read[i] == t).map(|&i| place[i]).collect();
        done.into_iter().for_each(|buffer| {
            if !free.contains(&buffer) {
                free.push(buffer);
            }
        });
        step.inputs.iter_mut().for_each(|input| *input = place[*input]);
        step.output = place[step.output];
    }
    Program { steps, output: place[output], buffers }
}
