//! What is read as nodes and values: the layers that the output needs, under names that differ.

use candle_core::{Device, Tensor};

use super::constant::Constant;
use super::draft::{Content, Draft, Step, ValueId};
use super::names::Names;
use crate::{Error, Layer, Model, Net, Node, Result, Weights};

/// A layer, its name, and the places of what it reads.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) layer: Layer,
    pub(super) inputs: Vec<usize>,
    pub(super) values: Vec<(String, Constant)>,
}

/// The layers that `output` needs, the input first, the output last.
pub(super) fn finish(draft: Draft, output: ValueId) -> Vec<Found> {
    let live = live(draft.steps(), output);
    let mut places = vec![0; live.len()];
    let (mut names, mut found) = (Names::default(), Vec::new());
    for (id, step) in draft.into_steps().into_iter().enumerate().filter(|(id, _)| live[*id]) {
        let Content::Layer { layer, inputs, values } = step.content else { continue };
        let name = names.fresh(&step.stem, &layer, &values);
        let inputs = inputs.into_iter().map(|input| places[input]).collect();
        let values = values.into_iter().map(|(leaf, value)| (format!("{name}.{leaf}"), value)).collect();
        places[id] = found.len();
        found.push(Found { name, layer, inputs, values });
    }
    found
}

/// Which steps the output needs; the input always.
fn live(steps: &[Step], output: ValueId) -> Vec<bool> {
    let mut live = vec![false; steps.len()];
    (live[0], live[output]) = (true, true);
    for id in (0..=output).rev() {
        if let (true, Content::Layer { inputs, .. }) = (live[id], &steps[id].content) {
            inputs.iter().for_each(|&input| live[input] = true);
        }
    }
    live
}

/// The network and its values.
pub(super) fn model(found: Vec<Found>) -> Result<Model> {
    let (mut nodes, mut named) = (Vec::new(), Vec::new());
    for Found { name, layer, inputs, values } in found {
        nodes.push(Node { name, layer, inputs });
        for (name, value) in values {
            let floats = value.as_floats().map_err(|reason| Error::layer(&name, reason))?;
            named.push((name, Tensor::from_slice(floats, value.dims(), &Device::Cpu)?));
        }
    }
    Model::new(Net::new(nodes)?, Weights::new(named)?)
}
