//! A layer without a step of its own: the layer alone as a network, run on Candle's tensors.

use candle_core::{Device, Tensor};
use l0_net::layers::{Input, Take};
use l0_net::{Model, Net, Node, NodeId, Shape, Weights};

use crate::kernel::{Inputs, Kernel};
use crate::layout::Layout;
use crate::{Error, Result};

/// Images go through one by one, so that a result cannot depend on the batch.
pub(crate) struct Fallback {
    model: Model,
    inputs: Vec<Layout>,
    output: Layout,
}

impl Fallback {
    /// The layer of node `id` of `net`.
    pub(crate) fn new(net: &Net, weights: &Weights, id: NodeId, inputs: Vec<Layout>, output: Layout) -> Result<Self> {
        let net = alone(net, id)?;
        let value = |name: String| Ok((name.clone(), weights.get(&name)?.clone()));
        let named = net.parameters().into_iter().map(|(name, ..)| value(name)).collect::<Result<_>>()?;
        let weights = Weights::new(named)?.to_device(&Device::Cpu)?;
        Ok(Self { model: Model::new(net, weights)?, inputs, output })
    }
}

/// A network of one layer. A network reads a single input, so several of them become one, and are taken apart again.
fn alone(net: &Net, id: NodeId) -> Result<Net> {
    let node = net.node(id);
    let shapes: Vec<Shape> = node.inputs.iter().map(|&input| net.shape(input)).collect();
    let first = shapes.first().copied().unwrap_or(net.shape(id));
    if shapes.iter().any(|shape| shape.with_units(1) != first.with_units(1)) {
        return Err(Error::Layer { node: node.name.clone(), kind: node.layer.kind() });
    }
    let name = |what: usize| format!("{} input {what}", node.name);
    let units = shapes.iter().map(|shape| shape.units()).sum();
    let input = Input { shape: first.with_units(units).dims() };
    let mut nodes = vec![Node { name: name(0), layer: input.into(), inputs: vec![] }];
    let mut start = 0;
    for (i, shape) in shapes.iter().enumerate().filter(|_| shapes.len() > 1) {
        let take = Take { units: (start..start + shape.units() as u32).collect() };
        start += shape.units() as u32;
        nodes.push(Node { name: name(i + 1), layer: take.into(), inputs: vec![0] });
    }
    let inputs = if shapes.len() > 1 { (1..=shapes.len()).collect() } else { vec![0] };
    nodes.push(Node { inputs, ..node.clone() });
    Ok(Net::new(nodes)?)
}

impl Kernel for Fallback {
    fn run(&self, images: usize, xs: Inputs, ys: &mut [f32], _: &mut [f32]) -> Result<()> {
        for image in 0..images {
            let mut values = Vec::new();
            for (i, layout) in self.inputs.iter().enumerate() {
                let xs = xs.image(i, layout, image);
                layout.rows().for_each(|at| values.extend_from_slice(&xs[at..at + layout.w]));
            }
            let dims = [vec![1], self.model.net.shape(0).dims()].concat();
            let made = self.model.forward(&Tensor::from_vec(values, dims, &Device::Cpu)?)?;
            let made = crate::fold::flat(&made)?;
            let ys = &mut ys[image * self.output.len()..];
            for (row, at) in made.chunks_exact(self.output.w).zip(self.output.rows()) {
                ys[at..at + self.output.w].copy_from_slice(row);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Engine;
    use l0_net::layers::{Add, Concat, Conv2d, Mul, PRelu, Softmax};
    use l0_net::{Builder, Layer, Params, Sides};

    /// A network of layers that have steps of their own, with one, two and three inputs.
    fn net() -> Net {
        let mut b = Builder::image("x", 3, 4, 5);
        b.layer("a", Conv2d::new(3, 3).padding(1)).layer("b", PRelu).mul(1).layer("c", Softmax);
        let mut nodes: Vec<Node> = b.build().unwrap().into();
        let more = [(Layer::from(Add), vec![0, 1, 4]), (Concat.into(), vec![2, 0, 5]), (Mul.into(), vec![5, 0])];
        nodes.extend(more.into_iter().enumerate().map(|(i, (layer, inputs))| Node {
            name: format!("d{i}"),
            layer,
            inputs,
        }));
        Net::new(nodes).unwrap()
    }

    #[test]
    fn a_layer_alone_gives_what_its_own_step_gives() {
        let net = net();
        let weights = Params::init(&net, 1, &Device::Cpu).unwrap().detached();
        for id in 1..net.nodes().len() {
            let layout = |id: NodeId, pad: Sides| Layout::new("", net.shape(id), pad).unwrap();
            let inputs: Vec<Layout> = net.node(id).inputs.iter().map(|&id| layout(id, 0.into())).collect();
            let output = layout(id, [1, 0, 2, 3].into());
            let fallback = Fallback::new(&net, &weights, id, inputs.clone(), output).unwrap();
            let fill = |i: usize, n: usize| (0..n).map(|at| ((i * 7 + at) % 5) as f32 - 1.5).collect::<Vec<f32>>();
            let buffers: Vec<Vec<f32>> = inputs.iter().enumerate().map(|(i, layout)| fill(i, layout.len())).collect();
            let places: Vec<usize> = (0..buffers.len()).collect();
            let mut ys = vec![0.0; output.len()];
            fallback.run(1, Inputs { buffers: &buffers, places: &places }, &mut ys, &mut []).unwrap();
            let made: Vec<f32> = output.rows().flat_map(|at| ys[at..at + output.w].to_vec()).collect();
            let mut engine = Engine::new(&fallback.model.net, &fallback.model.weights).unwrap();
            for (a, b) in engine.run(&buffers.concat(), 1).unwrap().iter().zip(&made) {
                assert!((a - b).abs() < 1e-6, "{}: {a} and {b}", net.node(id).name);
            }
        }
    }

    #[test]
    fn inputs_of_different_sides_are_refused() {
        let mut b = Builder::image("x", 3, 4, 5);
        b.global_avg_pool().mul(0);
        let net = b.build().unwrap();
        let error = alone(&net, 2).unwrap_err().to_string();
        assert!(error.starts_with("node \"mul2\" is a multiply, which cannot be compiled"), "{error}");
    }
}
