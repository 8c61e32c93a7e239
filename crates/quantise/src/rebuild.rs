//! The network with the roundings in it, and with weights and biases that are the numbers of their codes.

use std::collections::{HashMap, HashSet};

use candle_core::{Device, Tensor};
use l0_net::{Activation, Grid, Int8Weights, Model, Net, Node, NodeId, Weights};

use crate::{Error, Result};

/// The same network, the output of each layer rounded to its grid if it has one.
pub(crate) fn rebuild(model: &Model, grids: &[Option<Grid>]) -> Result<Model> {
    let net = &model.net;
    let mut taken: HashSet<String> = net.nodes().iter().map(|node| node.name.clone()).collect();
    let (mut nodes, mut values) = (Vec::new(), values(model)?);
    let mut places: Vec<NodeId> = Vec::new(); // of each layer's output, rounded or not
    for (id, node) in net.nodes().iter().enumerate() {
        let inputs = node.inputs.iter().map(|&input| places[input]).collect();
        nodes.push(Node { inputs, ..node.clone() });
        if let Some(grid) = node.inputs.first().and_then(|&input| grids[input]) {
            round(net, id, grid, &mut values)?;
        }
        if let Some(grid) = grids[id] {
            let (name, inputs) = (fresh(&mut taken, &node.name), vec![nodes.len() - 1]);
            nodes.push(Node { name, layer: Activation::Quantise(grid).into(), inputs });
        }
        places.push(nodes.len() - 1);
    }
    let named =
        values.into_iter().map(|(name, (dims, values))| Ok((name, Tensor::from_vec(values, dims, &Device::Cpu)?)));
    let weights = Weights::new(named.collect::<Result<_>>()?)?;
    Ok(Model { kept: model.kept.clone(), ..Model::new(Net::new(nodes)?, weights)? })
}

/// Shape and numbers of each parameter.
type Values = HashMap<String, (Vec<usize>, Vec<f32>)>;

fn values(model: &Model) -> Result<Values> {
    let value = |(name, tensor): (&str, &Tensor)| {
        Ok((name.to_string(), (tensor.dims().to_vec(), tensor.flatten_all()?.to_vec1::<f32>()?)))
    };
    model.weights.iter().map(value).collect()
}

/// Rounds weights and biases of a linear layer or a convolution that reads numbers of a grid.
fn round(net: &Net, id: NodeId, input: Grid, values: &mut Values) -> Result<()> {
    let node = net.node(id);
    if !matches!(node.layer, l0_net::Layer::Conv2d(_) | l0_net::Layer::Linear(_)) {
        return Ok(());
    }
    let [weight, bias] = ["weight", "bias"].map(|leaf| format!("{}.{leaf}", node.name));
    let codes = {
        let bias = values.get(&bias).map(|(_, bias)| bias.as_slice());
        let weight = values.get(&weight).map(|(_, weight)| weight.as_slice()).unwrap_or_default();
        Int8Weights::nearest(weight, bias, net.shape(id).units(), input)
    };
    let codes = codes.ok_or_else(|| Error::Weights { node: node.name.clone() })?;
    if let Some((_, values)) = values.get_mut(&weight) {
        *values = codes.weights();
    }
    if let (Some((_, values)), Some(rounded)) = (values.get_mut(&bias), codes.biases(input)) {
        *values = rounded;
    }
    Ok(())
}

/// A name for what rounds the output of a layer.
fn fresh(taken: &mut HashSet<String>, layer: &str) -> String {
    let mut name = format!("{layer}.q");
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}
